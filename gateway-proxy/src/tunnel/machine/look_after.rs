//! What is done for a tunnel while its peers decide nothing: pings, the idle timeout, the end of a slow
//! consumer.

use std::time::Instant;

use super::ending::{End, EndCause};
use super::flow::{Inlet, Outlet};
use super::pinger::{Due, PAYLOAD};
use super::{CloseOrder, Machine, Phase, Side};

impl Machine {
    /// Takes note of how a turn has ended: `unflushed` sides have bytes waiting below the queue.
    pub(in crate::tunnel) fn observe(&mut self, unflushed: [bool; 2], now: Instant) {
        let waits = Side::BOTH
            .map(|side| unflushed[side as usize] || !self.flow(side.other()).queue.is_empty());
        if let Some(care) = &mut self.care {
            care.observe(waits, now);
        }
    }

    /// When [`Self::look_after`] has something to look at.
    pub(super) fn looks_at(&self) -> Option<Instant> {
        let care = self.care.as_ref().filter(|_| self.phase == Phase::Open)?;
        let times = Side::BOTH.map(|side| {
            let ping = care.ping_at(side).filter(|_| self.is_pinged(side));
            [ping, care.slow_at(side)]
        });
        let idle = care.idle_at(self.last_traffic_of_both());
        times.into_iter().flatten().chain([idle]).flatten().min()
    }

    fn last_traffic_of_both(&self) -> Instant {
        let [client, backend] = Side::BOTH.map(|side| self.last_traffic(side));
        client.max(backend)
    }

    /// Whether `side` is sent pings: it can get one, and may answer.
    fn is_pinged(&self, side: Side) -> bool {
        let (out_of, into) = (self.flow(side), self.flow(side.other()));
        out_of.inlet == Inlet::Open && !out_of.has_closed() && into.outlet == Outlet::Open
    }

    /// Does what is due `now`. Says whether anything has changed.
    pub(super) fn look_after(&mut self, now: Instant, random: &mut dyn FnMut(&mut [u8])) -> bool {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let last_traffic = self.last_traffic_of_both();
        let Some(care) = self.care.as_ref().filter(|_| self.phase == Phase::Open) else {
            return false;
        };
        if is_due(care.idle_at(last_traffic)) {
            self.give_up(None, EndCause::Idle, "idle timeout");
            return true;
        }
        for side in Side::BOTH {
            if is_due(care.slow_at(side)) {
                self.abrupt[side as usize] = true;
                self.flow_mut(side.other()).break_outlet();
                self.give_up(Some(side), EndCause::SlowConsumer, "the peer takes nothing");
                return true;
            }
        }
        let mut changed = false;
        for side in Side::BOTH {
            changed |= self.look_after_pings(side, now, random);
        }
        changed
    }

    /// Sends the Ping that `side` is due, or gives it up.
    fn look_after_pings(
        &mut self,
        side: Side,
        now: Instant,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> bool {
        let is_pinged = self.phase == Phase::Open && self.is_pinged(side);
        let Some(care) = self.care.as_deref_mut().filter(|_| is_pinged) else {
            return false;
        };
        let Some(interval) = care.ping_interval else {
            return false;
        };
        let (listens, reaches) = (!care.is_stalled(side.other()), !care.is_stalled(side));
        let pinger = &mut care.leg(side).pinger;
        match pinger.due(now, interval, listens, reaches) {
            Due::Nothing => return false,
            Due::End => {
                self.give_up(Some(side), EndCause::Unanswered, "no answer to pings");
                return true;
            }
            Due::Ping => {}
        }
        let (mut payload, mut mask) = ([0; PAYLOAD], [0; 4]);
        random(&mut payload);
        random(&mut mask);
        pinger.ask(payload, mask);
        let (flow, mut passage) = self.passage(side.other(), now);
        flow.say_ping(&mut passage);
        true
    }

    /// Ends the tunnel: Close 1001 to whoever can hear it, and no more waiting for `side`.
    fn give_up(&mut self, side: Option<Side>, cause: EndCause, reason: &'static str) {
        let is_opaque = self.is_opaque();
        let code = (!is_opaque).then_some(1001);
        let mut end = End::by_gateway(cause, code);
        end.by = side;
        self.note(end);
        self.cut_off = side;
        if is_opaque {
            return self.cut();
        }
        self.phase = Phase::Closing;
        let mask = self.mask;
        self.say_close(&CloseOrder {
            code: 1001,
            reason,
            mask,
        });
    }
}
