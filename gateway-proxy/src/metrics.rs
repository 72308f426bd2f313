//! What the proxy counts. Each worker writes cells of its own; they are added up when somebody looks.
//!
//! Labels come from the configuration, never from a request.

mod export;
mod tunnels;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

pub(crate) use export::Export;
pub use tunnels::HandshakeFailures;
pub(crate) use tunnels::{TunnelBook, TunnelCells};

use crate::error::Side;
use crate::tunnel::EndCause;

/// Upper bounds of the request histogram's buckets, in seconds.
pub(crate) const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// Status classes, 1xx to 5xx.
pub(crate) const CLASSES: usize = 5;

/// A number that one thread writes: no locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, by: u64) {
        self.0.store(self.get().wrapping_add(by), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One worker's requests of one route, by status class.
#[derive(Debug, Default)]
pub(crate) struct RequestCell {
    classes: [Histogram; CLASSES],
}

/// Durations; the last bucket has no upper bound.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [Count; BUCKETS.len() + 1],
    nanoseconds: Count,
}

impl RequestCell {
    /// Counts a request that was answered with `status` and took `took`. A tunnel is no request.
    pub(crate) fn observe(&self, status: StatusCode, took: Duration) {
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES) - 1;
        self.classes[class].observe(took);
    }

    pub(crate) fn classes(&self) -> &[Histogram; CLASSES] {
        &self.classes
    }
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].add(1);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.add(nanoseconds);
    }

    pub(crate) fn buckets(&self) -> &[Count; BUCKETS.len() + 1] {
        &self.buckets
    }

    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds.get()).as_secs_f64()
    }
}

/// How tunnels end, as a label.
pub(crate) const TUNNEL_ENDS: [&str; 11] = [
    "close",
    "fin",
    "reset",
    "framing",
    "drain",
    "cut",
    "abandoned",
    "limit",
    "idle",
    "unanswered",
    "slowConsumer",
];

/// The index of a tunnel's end in [`TUNNEL_ENDS`].
pub(crate) fn tunnel_end(cause: &EndCause) -> usize {
    match cause {
        EndCause::Close => 0,
        EndCause::Fin => 1,
        EndCause::Reset => 2,
        EndCause::Framing(_) => 3,
        EndCause::Drain => 4,
        EndCause::Cut => 5,
        EndCause::Abandoned => 6,
        EndCause::Limit(_) => 7,
        EndCause::Idle => 8,
        EndCause::Unanswered => 9,
        EndCause::SlowConsumer => 10,
    }
}

/// One worker's other counts.
#[derive(Debug, Default)]
pub(crate) struct WorkerCounts {
    /// Client connections that were accepted.
    pub(crate) accepted: Count,
    /// Failed `accept` calls: out of descriptors or memory.
    pub(crate) accept_errors: Count,
    /// Idle client connections that were closed since others waited for room.
    pub(crate) made_room: Count,
    /// Requests that were sent to a second target, or on a second connection.
    pub(crate) retries: Count,
    /// Requests that failed, by whose fault it was.
    client_failures: Count,
    gateway_failures: Count,
    backend_failures: Count,
    /// Connections opened to backends, and requests that went over an old one.
    pub(crate) backend_opened: Count,
    pub(crate) backend_reused: Count,
}

impl WorkerCounts {
    /// Counts a failed request.
    pub(crate) fn failed(&self, side: Side) {
        self.failures(side).add(1);
    }

    /// Requests that failed by the fault of `side`.
    pub(crate) fn failures(&self, side: Side) -> &Count {
        match side {
            Side::Client => &self.client_failures,
            Side::Gateway => &self.gateway_failures,
            Side::Backend => &self.backend_failures,
        }
    }
}
