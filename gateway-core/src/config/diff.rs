//! What changes between two configurations, by resource.

use super::Config;

/// One resource's change: put in place, or removed.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {}

/// What must be done to `old` to make it `new`: nothing for what is equal.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let _ = (old, new);
    unimplemented!()
}
