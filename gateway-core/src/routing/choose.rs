//! One target among a backend's healthy ones.
//!
//! Allocates nothing and writes only the worker's own [`Turn`]. Round robin looks at few targets
//! beyond those that are down; least connections and the hash of the client's address look at all of them.

mod by_client;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::slow_start::{Share, SlowStart};
use crate::config::Balancing;
use crate::snapshot::{Backend, Target, TargetId};

/// Where one worker's balancing stands at one backend. Written by that worker alone.
#[derive(Debug, Default)]
pub struct Turn {
    next: AtomicU32,
    /// Counts how often a list was begun anew, for slow start to take some turns of.
    round: AtomicU32,
}

impl Turn {
    /// The position to look at first, below `length`, and the round. A list that has come to its
    /// end, or has become shorter, starts again.
    fn next(&self, length: usize) -> (usize, u32) {
        let next = self.next.load(Ordering::Relaxed) as usize;
        let round = self.round.load(Ordering::Relaxed);
        if next < length {
            (next, round)
        } else {
            (0, round.wrapping_add(1))
        }
    }

    fn set_next(&self, next: usize, round: u32) {
        // A position in a cycle or pool, both far shorter than 2^32.
        self.next.store(next as u32, Ordering::Relaxed);
        self.round.store(round, Ordering::Relaxed);
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
    /// An operator drains the members that are not down.
    #[error("all members of the pool that are not down are being drained")]
    AllDraining,
    /// The members that are left have been tried already.
    #[error("no other member of the pool is left to try")]
    AllTried,
}

/// Who asks for a target.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'t> {
    /// The worker that serves the request.
    pub worker: usize,
    /// The client, as it is believed to be.
    pub client: IpAddr,
    /// When the request came.
    pub now: Instant,
    /// The targets that the request has been to already.
    pub tried: &'t [TargetId],
}

/// How a rule has its targets chosen.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// By what.
    pub balancing: Balancing,
    /// How long a target that came back grows into its share; `IpHash` knows none.
    pub slow_start: Option<Duration>,
}

/// Chooses a target of `backend`, other than those that `asker` has tried.
///
/// A target that is down is chosen only where the probe's `minServers` wants it: see [`forced`]. One
/// that an operator drains is not chosen at all.
pub fn choose<'s>(
    backend: &'s Backend,
    policy: Policy,
    asker: &Asker<'_>,
) -> Result<&'s Arc<Target>, NoTarget> {
    let turn = backend.turn.of(asker.worker);
    let eligible = Eligible::new(backend, asker.tried);
    let slow = SlowStart::new(policy.slow_start, asker.now, backend, &eligible);
    let choose = |slow: Option<SlowStart>| match policy.balancing {
        Balancing::RoundRobin => round_robin(backend, turn, &eligible, slow),
        Balancing::LeastConnections => least_connections(backend, turn, &eligible, slow),
        Balancing::IpHash => by_client::choose(backend, asker.client, &eligible),
    };
    let chosen = match choose(slow) {
        // Whoever has its whole share may have gone down between two looks.
        None if slow.is_some() => choose(None),
        chosen => chosen,
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

/// The targets that are down and not served in spite of that.
pub fn lost(backend: &Backend) -> impl Iterator<Item = &Arc<Target>> {
    let forced_below = forced_below(backend);
    backend.targets[forced_below..]
        .iter()
        .filter(|target| !target.health.health().is_serving())
}

/// Which targets may be chosen.
pub(super) struct Eligible<'t> {
    tried: &'t [TargetId],
    /// Targets before this index are served even when they are down.
    forced_below: usize,
}

impl<'t> Eligible<'t> {
    fn new(backend: &Backend, tried: &'t [TargetId]) -> Self {
        Self {
            tried,
            forced_below: forced_below(backend),
        }
    }

    fn serves(&self, index: usize, target: &Target) -> bool {
        !target.drain.is_draining() && self.would_serve(index, target)
    }

    fn would_serve(&self, index: usize, target: &Target) -> bool {
        index < self.forced_below || target.health.health().is_serving()
    }

    pub(super) fn allows(&self, index: usize, target: &Target) -> bool {
        !self.tried.contains(&target.id) && self.serves(index, target)
    }

    fn why_none(&self, backend: &Backend) -> NoTarget {
        let targets = || backend.targets.iter().enumerate();
        if backend.targets.is_empty() {
            NoTarget::Empty
        } else if targets().any(|(index, target)| self.serves(index, target)) {
            NoTarget::AllTried
        } else if targets().any(|(index, target)| self.would_serve(index, target)) {
            NoTarget::AllDraining
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
/// the others are down. Some turns of a target in slow start are passed over.
fn round_robin<'s>(
    backend: &'s Backend,
    turn: &Turn,
    eligible: &Eligible<'_>,
    slow: Option<SlowStart>,
) -> Option<&'s Arc<Target>> {
    let length = backend.cycle.len();
    let (first, round) = turn.next(length);
    for at in (first..length).chain(0..first) {
        let index = backend.cycle.target_at(at);
        let target = &backend.targets[index];
        if !eligible.allows(index, target) {
            continue;
        }
        let round = round.wrapping_add(u32::from(at < first));
        let takes = |slow: SlowStart| slow.share(target).takes(round.wrapping_add(at as u32));
        if slow.is_none_or(takes) {
            turn.set_next(at + 1, round);
            return Some(target);
        }
    }
    None
}

/// The least load for its weight; among equals, the next in turn.
///
/// A target in slow start counts as one of less weight, so that it does not fill up at once, and is
/// passed over in some choices, so that it is not alone in being chosen while it fills.
fn least_connections<'s>(
    backend: &'s Backend,
    turn: &Turn,
    eligible: &Eligible<'_>,
    slow: Option<SlowStart>,
) -> Option<&'s Arc<Target>> {
    let length = backend.targets.len();
    let (first, round) = turn.next(length);
    let mut least: Option<(usize, u64, u64)> = None;
    for index in (first..length).chain(0..first) {
        let target = &backend.targets[index];
        if !eligible.allows(index, target) {
            continue;
        }
        let share = slow.map_or(Share::WHOLE, |slow| slow.share(target));
        if !share.takes(round.wrapping_add(index as u32)) {
            continue;
        }
        let (load, weight) = (u64::from(target.load()), share.of(target.weight.get()));
        let is_less = least.is_none_or(|(_, least_load, least_weight)| {
            // load / weight, without the division
            load * least_weight < least_load * weight
        });
        if is_less {
            least = Some((index, load, weight));
        }
    }
    let (index, ..) = least?;
    turn.set_next(index + 1, round.wrapping_add(1));
    Some(&backend.targets[index])
}

#[cfg(test)]
mod tests;
