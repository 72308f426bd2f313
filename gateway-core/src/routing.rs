//! Where a request goes: listener by host, then rule, then one of the pool's targets.

mod choose;
mod cycle;
mod decide;
mod host;
mod rebalance;
mod slow_start;

pub use choose::{Asker, NoTarget, Policy, Turn, choose, forced, lost};
pub use cycle::Cycle;
pub use decide::{Decision, decide};
pub use rebalance::{Holding, Rebalancing, Step};
pub use slow_start::Share;
