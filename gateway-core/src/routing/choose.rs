//! One target among a backend's healthy ones.
//!
//! Allocates nothing and writes only the worker's own [`Turn`]. Round robin looks at few targets
//! beyond those that are down; least connections looks at all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::config::Balancing;
use crate::snapshot::{Backend, Target, TargetId};

/// Where one worker's balancing stands at one backend. Written by that worker alone.
#[derive(Debug, Default)]
pub struct Turn(AtomicU32);

impl Turn {
    /// The position to look at first, below `length`. A list that has become shorter starts again.
    fn next(&self, length: usize) -> usize {
        let next = self.0.load(Ordering::Relaxed) as usize;
        if next < length { next } else { 0 }
    }

    fn set_next(&self, next: usize) {
        // A position in a cycle or pool, both far shorter than 2^32.
        self.0.store(next as u32, Ordering::Relaxed);
    }
}

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
///
/// A target that is down is chosen only where the probe's `minServers` wants it: see [`forced`].
pub fn choose(
    backend: &Backend,
    balancing: Balancing,
    worker: usize,
    tried: Option<TargetId>,
) -> Result<&Arc<Target>, NoTarget> {
    let turn = backend.turn.of(worker);
    let eligible = Eligible::new(backend, tried);
    let chosen = match balancing {
        Balancing::RoundRobin => round_robin(backend, turn, &eligible),
        Balancing::LeastConnections => least_connections(backend, turn, &eligible),
    };
    chosen.ok_or_else(|| eligible.why_none(backend))
}

/// The targets that are served although they are down, so that the probe's `minServers` are
/// treated as healthy: as many as are wanting, in list order.
pub fn forced(backend: &Backend) -> impl Iterator<Item = &Arc<Target>> {
    let forced_below = forced_below(backend);
    backend.targets[..forced_below]
        .iter()
        .filter(|target| !target.health.health().is_serving())
}

/// Which targets may be chosen.
struct Eligible {
    tried: Option<TargetId>,
    /// Targets before this index are served even when they are down.
    forced_below: usize,
}

impl Eligible {
    fn new(backend: &Backend, tried: Option<TargetId>) -> Self {
        Self {
            tried,
            forced_below: forced_below(backend),
        }
    }

    fn serves(&self, index: usize, target: &Target) -> bool {
        index < self.forced_below || target.health.health().is_serving()
    }

    fn allows(&self, index: usize, target: &Target) -> bool {
        self.tried != Some(target.id) && self.serves(index, target)
    }

    fn why_none(&self, backend: &Backend) -> NoTarget {
        let mut targets = backend.targets.iter().enumerate();
        if backend.targets.is_empty() {
            NoTarget::Empty
        } else if targets.any(|(index, target)| self.serves(index, target)) {
            NoTarget::AllTried
        } else {
            NoTarget::AllDown
        }
    }
}

/// The index below which targets are served even when they are down. Costs a look at the targets
/// only where `minServers` is set and below the pool's size.
fn forced_below(backend: &Backend) -> usize {
    let wanted = backend.probe.min_servers;
    if wanted == 0 {
        return 0;
    }
    if wanted >= backend.targets.len() {
        return backend.targets.len();
    }
    let is_serving = |target: &Arc<Target>| target.health.health().is_serving();
    let healthy = backend.targets.iter().filter(|target| is_serving(target));
    let wanting = wanted - healthy.take(wanted).count();
    if wanting == 0 {
        return 0;
    }
    let mut down = backend
        .targets
        .iter()
        .enumerate()
        .filter(|(_, target)| !is_serving(target));
    // Health may change between the two looks; then a target more or less is served this once.
    down.nth(wanting - 1)
        .map_or(backend.targets.len(), |(last, _)| last + 1)
}

/// Goes on from the last choice, so that each target has its turns once in a cycle, whichever of
/// the others are down.
fn round_robin<'s>(
    backend: &'s Backend,
    turn: &Turn,
    eligible: &Eligible,
) -> Option<&'s Arc<Target>> {
    let length = backend.cycle.len();
    let first = turn.next(length);
    for at in (first..length).chain(0..first) {
        let index = backend.cycle.target_at(at);
        let target = &backend.targets[index];
        if eligible.allows(index, target) {
            turn.set_next(at + 1);
            return Some(target);
        }
    }
    None
}

/// The least load for its weight; among equals, the next in turn.
fn least_connections<'s>(
    backend: &'s Backend,
    turn: &Turn,
    eligible: &Eligible,
) -> Option<&'s Arc<Target>> {
    let length = backend.targets.len();
    let first = turn.next(length);
    let mut least: Option<(usize, u64, u64)> = None;
    for index in (first..length).chain(0..first) {
        let target = &backend.targets[index];
        if !eligible.allows(index, target) {
            continue;
        }
        let (load, weight) = (u64::from(target.load()), u64::from(target.weight.get()));
        let is_less = least.is_none_or(|(_, least_load, least_weight)| {
            // load / weight, without the division
            load * least_weight < least_load * weight
        });
        if is_less {
            least = Some((index, load, weight));
        }
    }
    let (index, ..) = least?;
    turn.set_next(index + 1);
    Some(&backend.targets[index])
}

#[cfg(test)]
mod tests;
