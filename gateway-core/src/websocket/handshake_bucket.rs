//! How many handshakes get through: a rate, and a ramp up to it.
//!
//! When a gateway starts, or a pool comes back, all clients that were cut off come at once. The ramp
//! lets few of them through at first, so that what was just started is not overrun, and more and
//! more as connections, caches and processes are there again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::config::HandshakeRate;

/// A ramp begins with this part of its rate.
const FIRST_PART: f64 = 0.1;

/// So much of the rate at a moment may come at once, if nothing came before.
const BURST: Duration = Duration::from_secs(1);

/// A rate is so many in this time.
const SECOND: Duration = Duration::from_secs(1);

/// A token bucket that fills by a rate that may still be growing, and never empties faster.
///
/// In any window, at most as many are admitted as the rate allows in it (its integral), and besides
/// as many as it allows in one second at its highest there, or one if that is more. In a window of
/// a second, at most as many as the rate has come to by its end, or one; what a growing rate has beyond a
/// whole number is lost.
#[derive(Debug)]
pub struct HandshakeBucket {
    /// Since when the rate grows.
    ramp_began: Instant,
    /// What was left at `at`; `None` if nothing was taken since the ramp began.
    left: Option<f64>,
    at: Instant,
    /// Who was admitted in the last second, since the ramp began.
    recent: VecDeque<Instant>,
}

impl HandshakeBucket {
    /// A bucket whose rate grows since `ramp_began`. With a ramp it then has one token, without one
    /// it is full: nobody was cut off who could come back all at once.
    pub fn new(ramp_began: Instant) -> Self {
        Self {
            ramp_began,
            left: None,
            at: ramp_began,
            recent: VecDeque::new(),
        }
    }

    /// The ramp begins anew. Not to be called where there is none: it takes what has gathered.
    pub fn restart(&mut self, now: Instant) {
        self.ramp_began = now;
        self.left = Some(self.left.map_or(1.0, |left| left.min(1.0)));
        self.at = self.at.max(now);
        self.recent.clear();
    }

    /// Whether one more may go through at `now`.
    pub fn admit(&mut self, now: Instant, rate: HandshakeRate) -> bool {
        // Workers look at their clocks before they get their turn here.
        let now = now.max(self.at);
        let growth = Growth::of(rate);
        let left = self.left.unwrap_or(match rate.ramp.is_zero() {
            true => f64::INFINITY,
            false => 1.0,
        });
        let (from, to) = (self.on_ramp(self.at), self.on_ramp(now));
        let most = growth.burst(to);
        let left = (left + growth.between(from, to)).min(most);
        while (self.recent.front()).is_some_and(|at| now.duration_since(*at) >= SECOND) {
            self.recent.pop_front();
        }
        let is_full = self.recent.len() as f64 + 1.0 > most;
        let admitted = left >= 1.0 && !is_full;
        if admitted {
            self.recent.push_back(now);
        }
        self.left = Some(match (admitted, is_full) {
            (true, _) => left - 1.0,
            // What comes in while nobody may pass would pass all at once, and again a second later.
            (false, true) => left.min(1.0),
            (false, false) => left,
        });
        self.at = now;
        admitted
    }

    /// How far on its ramp the rate is, in seconds.
    fn on_ramp(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.ramp_began).as_secs_f64()
    }
}

/// A rate as a function of the seconds since its ramp began.
struct Growth {
    most: f64,
    ramp: f64,
}

impl Growth {
    fn of(rate: HandshakeRate) -> Self {
        Self {
            most: rate.per_second.get().into(),
            ramp: rate.ramp.as_secs_f64(),
        }
    }

    /// Handshakes a second.
    fn at(&self, seconds: f64) -> f64 {
        if seconds >= self.ramp {
            return self.most;
        }
        self.most * (FIRST_PART + (1.0 - FIRST_PART) * seconds / self.ramp)
    }

    /// Handshakes between two moments: the area under a line that rises, and then is level.
    fn between(&self, from: f64, to: f64) -> f64 {
        let (top_from, top_to) = (from.min(self.ramp), to.min(self.ramp));
        let rising = (self.at(top_from) + self.at(top_to)) / 2.0 * (top_to - top_from);
        let level = self.most * ((to - top_to) - (from - top_from));
        rising + level
    }

    /// How many may gather by then.
    fn burst(&self, seconds: f64) -> f64 {
        (self.at(seconds) * BURST.as_secs_f64()).max(1.0)
    }
}

#[cfg(test)]
mod tests;
