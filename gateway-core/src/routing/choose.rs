//! One target among a backend's healthy ones.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::config::Balancing;
use crate::snapshot::{Backend, Target, TargetId};

/// Where one worker's round robin stands at one backend.
#[derive(Debug, Default)]
pub struct Turn(#[allow(dead_code)] AtomicU32);

/// Why no target can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    /// The pool has no members, or DNS knows none of them.
    #[error("the pool has no members")]
    Empty,
    /// All members are down.
    #[error("all members of the pool are down")]
    AllDown,
    /// The members that are left have been tried already.
    #[error("no other member of the pool is left to try")]
    AllTried,
}

/// Chooses a target of `backend` for `worker`, other than `tried`.
pub fn choose<'s>(
    backend: &'s Backend,
    balancing: Balancing,
    worker: usize,
    tried: Option<TargetId>,
) -> Result<&'s Arc<Target>, NoTarget> {
    let _ = (backend, balancing, worker, tried);
    unimplemented!()
}
