//! Asks backend targets how they are, and tells the health tracker.
//!
//! Writes health into the snapshot's cells; knows nothing of listeners or requests. When a probe is
//! due and what its outcome means is the core's; this crate owns the clock, the sockets and the tasks.

#![forbid(unsafe_code)]

mod http_probe;
mod metrics;
mod probe;
mod prober;
mod report;
mod target;
mod websocket_probe;

pub use prober::Prober;
pub use report::{HealthEvent, LastProbe, TargetReport};
