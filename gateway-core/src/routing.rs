//! Where a request goes: listener by host, then rule, then one of the pool's targets.

mod choose;
mod cycle;
mod decide;
mod host;

pub use choose::{NoTarget, Turn, choose, forced};
pub use cycle::Cycle;
pub use decide::{Decision, decide};
