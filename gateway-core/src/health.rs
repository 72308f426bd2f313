//! Health: what a probe asks, what its outcomes mean, when the next one is due.

mod cell;
mod judge;
mod plan;
mod tracker;

pub use cell::{Health, HealthCell};
pub use judge::judge_handshake;
pub use plan::{ProbePlan, ProbeRequest};
pub use tracker::{HealthTracker, ProbeFailure, ProbeOutcome, Transition};
