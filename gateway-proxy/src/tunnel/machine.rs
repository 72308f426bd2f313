//! What a tunnel does, as plain data: bytes in; bytes, interest and events out.
//!
//! Knows no socket, clock or runtime: time comes in. Whoever drives it reads where [`Machine::wants_read`] says so,
//! writes what [`Machine::receive`] and [`Machine::queued`] give, and reports what became of it. A
//! side is read only while nothing waits for the other, so what a stalled reader costs is bounded by
//! one read.

mod care;
mod ending;
mod failing;
mod flow;
mod look_after;
mod pinger;
mod queue;
mod waiting;

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_core::config::TunnelSettings;
use gateway_core::websocket::{Direction, encode_close};

use super::meter::TunnelMeter;
use care::Care;
use ending::End;
pub(crate) use ending::{EndCause, Traffic, TunnelEnd};
use failing::Offence;
use flow::{Flow, Inlet, Outlet, Passage, Received};
use waiting::Wait;

/// The most bytes to be read at once. With a Close frame of ours behind them, what waits for a slow
/// reader stays within 64 KiB.
pub(super) const READ_LIMIT: usize = 64 * 1024 - 256;

/// One end of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that asked for the tunnel.
    Client,
    /// The one that granted it.
    Backend,
}

impl Side {
    /// Both, in the order in which they are served.
    pub(super) const BOTH: [Self; 2] = [Self::Client, Self::Backend];

    /// The opposite end.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Backend,
            Self::Backend => Self::Client,
        }
    }
}

/// A Close frame that the gateway itself says, ready for either direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct CloseOrder<'r> {
    /// The status code (RFC 6455 section 7.4).
    pub(super) code: u16,
    /// The reason that peers may log.
    pub(super) reason: &'r str,
    /// Towards the backend we are a client, and mask (section 5.3).
    pub(super) mask: [u8; 4],
}

impl CloseOrder<'_> {
    fn frame(&self, to: Side) -> Vec<u8> {
        match to {
            Side::Client => encode_close(self.code, self.reason, None),
            Side::Backend => encode_close(self.code, self.reason, Some(self.mask)),
        }
    }
}

/// How far a tunnel as a whole has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The peers decide.
    Open,
    /// We have said Close, or are about to, in a drain that has a deadline of its own.
    Draining,
    /// We have said Close, or are about to, and do not wait for long.
    Closing,
    /// A peer's frames were refused. The other one is told by a Close; its answer, behind what it had
    /// to say before, goes to the offender, who else hears a Close of ours.
    Failing(Offence),
    /// Time is up: FINs go out, what comes in is dropped.
    Cut,
    /// Nothing more to do.
    Over,
}

/// A tunnel's state.
#[derive(Debug)]
pub(super) struct Machine {
    from_client: Box<Flow>,
    from_backend: Box<Flow>,
    phase: Phase,
    end: Option<Box<End>>,
    /// What it waits for under a limit, and until when.
    waiting: Option<(Wait, Instant)>,
    /// Whose connection may not end like a whole stream.
    abrupt: [bool; 2],
    /// A side that is waited for no more.
    cut_off: Option<Side>,
    /// What the settings ask for beyond passing bytes on, if anything.
    care: Option<Box<Care>>,
    /// Counts what passes, in this tunnel and others.
    meter: Arc<TunnelMeter>,
    /// For the Close that a peer's bad framing asks for, since randomness comes in from outside.
    mask: [u8; 4],
}

impl Machine {
    /// A tunnel under `settings` that is opened `now`. `meter` counts what passes; `mask` is random.
    pub(super) fn new(
        settings: &TunnelSettings,
        meter: Arc<TunnelMeter>,
        mask: [u8; 4],
        now: Instant,
    ) -> Self {
        Self {
            from_client: Flow::boxed(Direction::ToBackend, settings.frames, now),
            from_backend: Flow::boxed(Direction::ToClient, settings.frames, now),
            phase: Phase::Open,
            end: None,
            waiting: None,
            abrupt: [false; 2],
            cut_off: None,
            care: Care::of(settings, now),
            meter,
            mask,
        }
    }

    /// Takes what arrived behind either head, which goes first.
    pub(super) fn begin(&mut self, client_first: &[u8], backend_first: &[u8], now: Instant) {
        for (side, first) in [(Side::Client, client_first), (Side::Backend, backend_first)] {
            let passed = self.receive(side, first, now);
            self.keep(side.other(), passed);
        }
    }

    fn flow(&self, from: Side) -> &Flow {
        match from {
            Side::Client => &self.from_client,
            Side::Backend => &self.from_backend,
        }
    }

    fn flow_mut(&mut self, from: Side) -> &mut Flow {
        match from {
            Side::Client => &mut self.from_client,
            Side::Backend => &mut self.from_backend,
        }
    }

    /// Whether bytes from `side` are welcome: its stream has not ended, and nothing that came from
    /// it waits for the other side.
    pub(super) fn wants_read(&self, side: Side) -> bool {
        let flow = self.flow(side);
        flow.inlet == Inlet::Open && flow.queue.is_empty()
    }

    /// Takes what was read from `from`. The bytes returned, a prefix, go to the other side now,
    /// before anything in its queue; what could not be written of them goes to [`Self::keep`].
    pub(super) fn receive<'b>(&mut self, from: Side, bytes: &'b [u8], now: Instant) -> &'b [u8] {
        let (flow, mut passage) = self.passage(from, now);
        let Received {
            passed,
            is_traffic,
            peer_close,
            offence,
        } = flow.receive(bytes, &mut passage);
        if is_traffic {
            flow.last_traffic = now;
        }
        if let Some(care) = passage.care {
            care.leg(from).pinger.heard(now);
        }
        if let Some(frame) = peer_close {
            self.note(End::closed(from, &frame));
        }
        if let Some(error) = offence {
            self.note(End::offence(from, error));
            self.fail(Offence { by: from, error });
        }
        &bytes[..passed]
    }

    /// The flow from `from`, and what its bytes are received under.
    fn passage(&mut self, from: Side, now: Instant) -> (&mut Flow, Passage<'_>) {
        let (flow, meter) = match from {
            Side::Client => (&mut self.from_client, &self.meter.to_backend),
            Side::Backend => (&mut self.from_backend, &self.meter.to_client),
        };
        let passage = Passage {
            from,
            now,
            care: self.care.as_deref_mut(),
            meter,
        };
        (flow, passage)
    }

    /// Keeps what could not be written to `to` at once.
    pub(super) fn keep(&mut self, to: Side, unwritten: &[u8]) {
        self.flow_mut(to.other()).keep(unwritten);
    }

    /// What waits to be written to `to`.
    pub(super) fn queued(&self, to: Side) -> &[u8] {
        self.flow(to.other()).queue.bytes()
    }

    /// The first `count` bytes of the queue have been written.
    pub(super) fn wrote(&mut self, to: Side, count: usize) {
        self.flow_mut(to.other()).queue.consume(count);
        self.took(to);
    }

    /// `to` has taken something that had waited for it.
    pub(super) fn took(&mut self, to: Side) {
        if let Some(care) = &mut self.care {
            care.took(to);
        }
    }

    /// `side` has ended its stream in order.
    pub(super) fn ended(&mut self, side: Side) {
        if self.flow(side.other()).outlet == Outlet::Broken {
            // An end of stream behind a failed write is a reset that the kernel has already told.
            return self.lost(side);
        }
        self.note(End::of(side, EndCause::Fin));
        self.say_refusal();
        self.flow_mut(side).end(Inlet::Ended);
    }

    /// `side`'s stream broke: a reset, a dead peer, TLS cut short.
    pub(super) fn lost(&mut self, side: Side) {
        self.note(End::of(side, EndCause::Reset));
        self.say_refusal();
        let orderly = self.phase != Phase::Open || self.flow(side).has_closed();
        let inlet = if orderly { Inlet::Ended } else { Inlet::Lost };
        self.flow_mut(side).end(inlet);
        // Nobody is there to take these.
        self.flow_mut(side.other()).break_outlet();
    }

    /// Writing to `to` failed: its peer is gone, but may have left bytes behind that are unread.
    pub(super) fn write_failed(&mut self, to: Side) {
        self.flow_mut(to.other()).break_outlet();
        if self.flow(to).inlet != Inlet::Open {
            self.lost(to);
        }
    }

    /// Whether `to` is to get a FIN now.
    pub(super) fn wants_finish(&self, to: Side) -> bool {
        let into = self.flow(to.other());
        if into.outlet.is_finished() || !into.queue.is_empty() {
            return false;
        }
        self.phase == Phase::Cut
            || into.inlet == Inlet::Ended
            || (into.outlet == Outlet::ClosedByUs && self.peer_is_done(to))
            || (into.outlet == Outlet::ClosedByPeer && self.flow(to).is_refused())
    }

    /// Whether `side` needs to hear nothing more once our Close has gone out to it. Section 7.1.1:
    /// the server ends TCP first, and towards clients that is us.
    fn peer_is_done(&self, side: Side) -> bool {
        let out_of = self.flow(side);
        out_of.inlet != Inlet::Open
            || out_of.is_refused()
            || (side == Side::Client && out_of.has_closed())
    }

    /// The FIN to `to` has gone out.
    pub(super) fn finished(&mut self, to: Side) {
        self.flow_mut(to.other()).outlet = Outlet::Finished;
    }

    /// Whether `to` is to be reset now: the other side broke, and all it had sent is written.
    pub(super) fn wants_reset(&self, to: Side) -> bool {
        let into = self.flow(to.other());
        self.phase != Phase::Over && into.inlet == Inlet::Lost && into.queue.is_empty()
    }

    /// Whether the connection to `side` is to be reset now, and the tunnel goes on without it: it takes
    /// nothing, and the other side has been told behind a whole frame of its.
    pub(super) fn wants_drop(&self, side: Side) -> bool {
        let out_of = self.flow(side);
        let is_slow = self.cut_off == Some(side) && self.abrupt[side as usize];
        is_slow && out_of.inlet == Inlet::Open && !out_of.passes()
    }

    /// The connection to `side` has been reset.
    pub(super) fn dropped(&mut self, side: Side) {
        self.flow_mut(side).inlet = Inlet::GivenUp;
    }

    /// The reset has been sent.
    pub(super) fn reset(&mut self) {
        self.phase = Phase::Over;
    }

    /// Ends the tunnel by the WebSocket protocol: a Close frame to both sides at the next frame
    /// boundary, no data behind it. One whose frames are not followed waits for the cut.
    pub(super) fn close(&mut self, order: &CloseOrder<'_>) {
        if self.phase == Phase::Open && !self.is_opaque() {
            self.note(End {
                close_reason: Some(order.reason.into()),
                ..End::by_gateway(EndCause::Drain, Some(order.code))
            });
            self.phase = Phase::Draining;
            self.say_close(order);
        }
    }

    /// Whether frames are not followed.
    fn is_opaque(&self) -> bool {
        self.from_client.is_opaque()
    }

    fn say_close(&mut self, order: &CloseOrder<'_>) {
        self.from_backend.close_outlet(order.frame(Side::Client));
        self.from_client.close_outlet(order.frame(Side::Backend));
    }

    /// Ends the tunnel without waiting for anybody: FIN to both sides, and what waits is dropped.
    pub(super) fn cut(&mut self) {
        if matches!(self.phase, Phase::Cut | Phase::Over) {
            return;
        }
        self.note(End::by_gateway(EndCause::Cut, None));
        self.phase = Phase::Cut;
        self.from_client.queue.clear();
        self.from_backend.queue.clear();
    }

    /// Whether the connection to `side` is to be reset when the tunnel is over.
    pub(super) fn is_abrupt(&self, side: Side) -> bool {
        self.abrupt[side as usize]
    }

    /// Whether nothing goes to `side` any more, so that what has not left for it need not be waited for.
    pub(super) fn is_done_with(&self, side: Side) -> bool {
        self.flow(side.other()).outlet == Outlet::Broken
    }

    /// Whether nothing is left to be done, so that both connections can be dropped.
    pub(super) fn is_over(&self) -> bool {
        let is_done = |side: Side| {
            let is_silent = self.flow(side).inlet != Inlet::Open || self.cut_off == Some(side);
            is_silent && self.flow(side.other()).outlet.is_finished()
        };
        self.phase == Phase::Over || Side::BOTH.into_iter().all(is_done)
    }

    /// When something last came from `side`, but for Pongs to Pings of ours; before that, when the
    /// tunnel was opened.
    pub(super) fn last_traffic(&self, side: Side) -> Instant {
        self.flow(side).last_traffic
    }

    /// How long `side` took to answer our last Ping that it has answered.
    pub(super) fn round_trip(&self, side: Side) -> Option<Duration> {
        self.care.as_ref()?.round_trip(side)
    }

    /// Whether somebody has begun to end it.
    pub(super) fn is_ending(&self) -> bool {
        self.end.is_some()
    }

    /// What both directions carried so far, and how the tunnel ended.
    pub(super) fn summary(&self, age: Duration) -> TunnelEnd {
        let end = match &self.end {
            Some(end) => End::clone(end),
            None => End::by_gateway(EndCause::Abandoned, None),
        };
        TunnelEnd {
            by: end.by,
            cause: end.cause,
            close_code: end.close_code,
            close_reason: end.close_reason,
            to_backend: self.from_client.traffic,
            to_client: self.from_backend.traffic,
            age,
        }
    }

    /// Only the first cause counts: what follows is its consequence.
    fn note(&mut self, end: End) {
        self.end.get_or_insert_with(|| Box::new(end));
    }
}

#[cfg(test)]
mod tests;
