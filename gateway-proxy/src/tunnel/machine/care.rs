//! What a tunnel's settings ask for beyond passing bytes on: pings, timeouts, limits. A tunnel whose
//! settings ask for nothing has no part of this.

use std::time::{Duration, Instant};

use gateway_core::config::{Frames, TunnelSettings};
use gateway_core::websocket::{FrameRules, MessageRate};

use super::Side;
use super::pinger::{PAYLOAD, Pinger};

/// What is looked after, and what is known for it.
#[derive(Debug)]
pub(super) struct Care {
    pub(super) ping_interval: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) slow_timeout: Option<Duration>,
    max_frame: u64,
    max_message: u64,
    legs: [LegCare; 2],
    /// When either peer last took something that had waited for it.
    moved_at: Instant,
}

/// One peer's part.
#[derive(Debug)]
pub(super) struct LegCare {
    pub(super) pinger: Pinger,
    /// The messages that it sends.
    rate: Option<MessageRate>,
    /// Since when something waits for it of which it takes nothing.
    stalled: Option<Instant>,
    /// It took something since this was last looked at.
    took: bool,
}

impl Care {
    /// What `settings` ask for, if anything.
    pub(super) fn of(settings: &TunnelSettings, now: Instant) -> Option<Box<Self>> {
        let tracked = settings.frames == Frames::Tracked;
        let ping_interval = settings.ping_interval.filter(|_| tracked);
        let limited = settings.max_frame_bytes.is_some()
            || settings.max_message_bytes.is_some()
            || settings.max_messages_per_second.is_some();
        let is_needed = ping_interval.is_some()
            || settings.idle_timeout.is_some()
            || settings.slow_consumer_timeout.is_some()
            || (tracked && limited);
        let leg = || LegCare {
            pinger: Pinger::new(now),
            rate: settings
                .max_messages_per_second
                .map(|per_second| MessageRate::new(per_second, now)),
            stalled: None,
            took: false,
        };
        is_needed.then(|| {
            Box::new(Self {
                ping_interval,
                idle_timeout: settings.idle_timeout,
                slow_timeout: settings.slow_consumer_timeout,
                max_frame: settings.max_frame_bytes.unwrap_or(u64::MAX),
                max_message: settings.max_message_bytes.unwrap_or(u64::MAX),
                legs: [leg(), leg()],
                moved_at: now,
            })
        })
    }

    pub(super) fn leg(&mut self, side: Side) -> &mut LegCare {
        &mut self.legs[side as usize]
    }

    /// The time that `side`'s last Ping of ours took to its Pong.
    pub(super) fn round_trip(&self, side: Side) -> Option<Duration> {
        self.legs[side as usize].pinger.round_trip()
    }

    /// What frames from `side` are judged by.
    pub(super) fn rules(&self, side: Side, now: Instant) -> FrameRules {
        let leg = &self.legs[side as usize];
        FrameRules {
            max_frame: self.max_frame,
            max_message: self.max_message,
            messages: leg.rate.map_or(u64::MAX, |rate| rate.available(now)),
            hold_pongs: leg.pinger.awaits().then_some(PAYLOAD as u64),
        }
    }

    /// Of the messages that might begin, so many did.
    pub(super) fn count_messages(&mut self, from: Side, begun: u64, now: Instant) {
        if let Some(rate) = &mut self.leg(from).rate
            && begun > 0
        {
            rate.take(begun, now);
        }
    }

    /// `to` has taken something.
    pub(super) fn took(&mut self, to: Side) {
        self.leg(to).took = true;
    }

    /// Whether something waits for each side, at the end of a turn.
    pub(super) fn observe(&mut self, waits: [bool; 2], now: Instant) {
        for (leg, waits) in self.legs.iter_mut().zip(waits) {
            if std::mem::take(&mut leg.took) && leg.stalled.take().is_some() {
                self.moved_at = now;
            }
            leg.stalled = waits.then(|| leg.stalled.unwrap_or(now));
        }
    }

    /// Whether something waits for `side`.
    pub(super) fn is_stalled(&self, side: Side) -> bool {
        self.legs[side as usize].stalled.is_some()
    }

    /// When `side` will have taken nothing for too long, if it goes on so.
    pub(super) fn slow_at(&self, side: Side) -> Option<Instant> {
        Some(self.legs[side as usize].stalled? + self.slow_timeout?)
    }

    /// When nothing will have moved for too long, given when something last came from either side.
    pub(super) fn idle_at(&self, last_traffic: Instant) -> Option<Instant> {
        Some(last_traffic.max(self.moved_at) + self.idle_timeout?)
    }

    /// When `side`'s pings are to be looked at.
    pub(super) fn ping_at(&self, side: Side) -> Option<Instant> {
        let interval = self.ping_interval?;
        Some(self.legs[side as usize].pinger.due_at(interval))
    }
}
