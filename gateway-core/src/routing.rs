//! Where a request goes: listener by host, then rule, then one of the pool's targets.

mod choose;
mod decide;
mod host;

pub use choose::{NoTarget, Turn, choose};
pub use decide::{Decision, decide};
