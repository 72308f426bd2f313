//! The health state machine: outcomes and times in, transitions and the next probe's time out.

use std::fmt;
use std::num::NonZeroU8;
use std::time::{Duration, Instant, SystemTime};

use super::Health;
use crate::websocket::{ConfirmError, PongError};

/// What one probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// A healthy answer; its status.
    Healthy {
        /// The answer's status.
        status: u16,
    },
    /// A WebSocket was opened, and its Ping was answered.
    HealthyWebSocket,
    /// Anything else.
    Failed(ProbeFailure),
}

/// The last word of `healthProbeLog`.
impl fmt::Display for ProbeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy { status } => write!(f, "status {status}"),
            Self::HealthyWebSocket => f.write_str("status 101, and the Ping got its Pong"),
            Self::Failed(failure) => failure.fmt(f),
        }
    }
}

/// Why a probe failed: `healthProbeLog`, word for word what an operator needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// No whole answer in time.
    #[error("no answer within {} s (while {doing})", .after.as_secs_f64())]
    Timeout {
        /// The probe's timeout.
        after: Duration,
        /// Connecting, TLS handshake, waiting for the head, reading the body, waiting for the Pong.
        doing: &'static str,
    },
    /// The connection was refused.
    #[error("{address} refused the connection")]
    Refused {
        /// Who.
        address: std::net::SocketAddr,
    },
    /// Connecting failed otherwise.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Who.
        address: std::net::SocketAddr,
        /// The system's word.
        reason: String,
    },
    /// The peer's certificate, or its TLS, is not acceptable.
    #[error("TLS: {reason}")]
    Tls {
        /// Expired, another name, unknown root ...
        reason: String,
    },
    /// The connection ended before the answer did.
    #[error("the connection was closed before the answer was complete: {reason}")]
    Closed {
        /// Reset or end of stream.
        reason: String,
    },
    /// The answer is not HTTP.
    #[error("the answer is not valid HTTP: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// A status outside the match.
    #[error("status {received}, expected {expected}")]
    Status {
        /// What came.
        received: u16,
        /// The ranges that would do.
        expected: String,
    },
    /// The body lacks the text.
    #[error("the body does not contain {expected:?}")]
    Body {
        /// The text that is looked for.
        expected: String,
    },
    /// A 101 that opens no WebSocket.
    #[error("the WebSocket handshake failed: {0}")]
    Handshake(ConfirmError),
    /// A 101 without the subprotocol that was asked for.
    #[error(
        "the WebSocket handshake failed: the backend did not agree to the subprotocol {asked:?}"
    )]
    Subprotocol {
        /// What was asked for.
        asked: Box<str>,
    },
    /// A WebSocket that does not answer its Ping.
    #[error("no Pong: {0}")]
    Pong(PongError),
}

/// A change of health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What it was.
    pub from: Health,
    /// What it is.
    pub to: Health,
}

/// The least time between the starts of two probes that suspicions ask for: a target that fails
/// its requests but not its probes is not probed as often as it is asked.
const SUSPICION_GAP: Duration = Duration::from_secs(1);

/// Follows one target.
///
/// From the moment a target stops answering, it is down within
/// `interval + (threshold - 1) * max(interval, timeout) + timeout`, plus the jitter of each probe,
/// provided that a probe starts when it is due and ends within its timeout.
#[derive(Debug)]
pub struct HealthTracker {
    health: Health,
    since: SystemTime,
    failures: u8,
    threshold: NonZeroU8,
    interval: Duration,
    last_started: Option<Instant>,
    next_probe_at: Instant,
}

impl HealthTracker {
    /// Starts with `health` (carried over or unknown); the first probe is due at `first_probe_at`.
    pub fn new(
        health: Health,
        since: SystemTime,
        threshold: NonZeroU8,
        interval: Duration,
        first_probe_at: Instant,
    ) -> Self {
        Self {
            health,
            since,
            failures: 0,
            threshold,
            interval,
            last_started: None,
            next_probe_at: first_probe_at,
        }
    }

    /// What is known.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Since when.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// Consecutive failures up to now.
    pub fn failures(&self) -> u8 {
        self.failures
    }

    /// When the next probe is due.
    pub fn next_probe_at(&self) -> Instant {
        self.next_probe_at
    }

    /// Takes in the outcome of the probe that was started at `started`, seen at `now`
    /// (`wall` by the calendar). The next probe is due an interval after `started`, or at once where
    /// the probe took longer; `jitter` is added.
    pub fn observe(
        &mut self,
        outcome: &ProbeOutcome,
        started: Instant,
        now: Instant,
        wall: SystemTime,
        jitter: Duration,
    ) -> Option<Transition> {
        self.last_started = Some(started);
        self.next_probe_at = (started + self.interval).max(now) + jitter;
        match outcome {
            ProbeOutcome::Healthy { .. } | ProbeOutcome::HealthyWebSocket => {
                self.failures = 0;
                self.turn_to(Health::Up, wall)
            }
            ProbeOutcome::Failed(_) => self.count_failure(wall),
        }
    }

    /// A request found the target refusing or resetting: the next probe is due at once, or a second
    /// after the last one's start. A target whose health is unknown is taken down by `threshold` of
    /// these, with failed probes, in a row; one that is up only by its probes; for one that is down
    /// nothing changes.
    ///
    /// While a probe is under way, its outcome answers the suspicion.
    pub fn suspect(&mut self, now: Instant, wall: SystemTime) -> Option<Transition> {
        if self.health == Health::Down {
            return None;
        }
        let earliest = self
            .last_started
            .map_or(now, |started| now.max(started + SUSPICION_GAP));
        self.next_probe_at = self.next_probe_at.min(earliest);
        if self.health == Health::Unknown {
            return self.count_failure(wall);
        }
        None
    }

    /// Goes on under an edited probe. Health and failures stay; a shorter interval brings the next
    /// probe forward, a longer one holds from the next probe on, and a lower threshold is judged by
    /// the next failure.
    pub fn retune(&mut self, threshold: NonZeroU8, interval: Duration) {
        self.threshold = threshold;
        self.interval = interval;
        if let Some(started) = self.last_started {
            self.next_probe_at = self.next_probe_at.min(started + interval);
        }
    }

    fn count_failure(&mut self, wall: SystemTime) -> Option<Transition> {
        self.failures = self.failures.saturating_add(1);
        if self.failures < self.threshold.get() {
            return None;
        }
        self.turn_to(Health::Down, wall)
    }

    fn turn_to(&mut self, to: Health, wall: SystemTime) -> Option<Transition> {
        if self.health == to {
            return None;
        }
        let from = std::mem::replace(&mut self.health, to);
        self.since = wall;
        Some(Transition { from, to })
    }
}

#[cfg(test)]
mod tests;
