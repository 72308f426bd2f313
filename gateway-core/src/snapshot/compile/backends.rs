//! Pools as spoken to by HTTP settings: only those that a rule reaches, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::Resolutions;
use crate::config::{BackendPool, Config, HttpSettings, TargetHost};
use crate::health::{HealthCell, ProbePlan};
use crate::name::{HttpSettingsName, PoolName};
use crate::routing::Cycle;
use crate::snapshot::identities::{Identities, addresses};
use crate::snapshot::{Backend, PerWorker, Snapshot, Target, UnresolvedMember};

type Key<'c> = (&'c PoolName, &'c HttpSettingsName);

/// Backends in the making.
pub(super) struct Backends<'c> {
    config: &'c Config,
    resolutions: &'c Resolutions,
    workers: usize,
    previous: BTreeMap<Key<'c>, &'c Arc<Backend>>,
    cells_fit: bool,
    by_key: BTreeMap<Key<'c>, usize>,
    list: Vec<Arc<Backend>>,
}

impl<'c> Backends<'c> {
    pub(super) fn new(
        config: &'c Config,
        resolutions: &'c Resolutions,
        workers: usize,
        previous: Option<&'c Snapshot>,
    ) -> Self {
        let backends = previous.map_or(&[][..], |previous| &previous.backends);
        Self {
            config,
            resolutions,
            workers,
            previous: backends
                .iter()
                .map(|old| ((&old.pool, &old.settings_name), old))
                .collect(),
            cells_fit: previous.is_some_and(|previous| previous.workers == workers),
            by_key: BTreeMap::new(),
            list: Vec::new(),
        }
    }

    /// The backend of this pool and these settings, made when it is first asked for; `None` where
    /// the configuration lacks one of them.
    pub(super) fn reach(
        &mut self,
        pool: &'c PoolName,
        settings: &'c HttpSettingsName,
        identities: &mut Identities,
    ) -> Option<Arc<Backend>> {
        if let Some(&at) = self.by_key.get(&(pool, settings)) {
            return Some(Arc::clone(&self.list[at]));
        }
        let backend = Arc::new(self.make(pool, settings, identities)?);
        self.by_key.insert((pool, settings), self.list.len());
        self.list.push(Arc::clone(&backend));
        Some(backend)
    }

    pub(super) fn into_list(self) -> Vec<Arc<Backend>> {
        self.list
    }

    fn make(
        &self,
        pool_name: &PoolName,
        settings_name: &HttpSettingsName,
        identities: &mut Identities,
    ) -> Option<Backend> {
        let pool = self.config.pools.get(pool_name)?;
        let settings = self.config.http_settings.get(settings_name)?;
        let old = self.previous.get(&(pool_name, settings_name)).copied();
        let members = Members::of(pool, settings, self.resolutions);
        let same = old.filter(|old| self.cells_fit && members.are_those_of(old));
        let (targets, cycle) = match same {
            Some(old) => (old.targets.clone(), old.cycle.clone()),
            None => targets(pool_name, &members.found, old, identities),
        };
        let custom = settings.probe.as_ref();
        let probe = ProbePlan::new(
            settings,
            custom.and_then(|name| self.config.probes.get(name)),
        );
        let turn = old.filter(|_| self.cells_fit).map(|old| old.turn.clone());
        Some(Backend {
            index: self.list.len(),
            pool: pool_name.clone(),
            settings_name: settings_name.clone(),
            settings: shared(settings, old.map(|old| &old.settings), Clone::clone),
            probe: shared(&probe, old.map(|old| &old.probe), Clone::clone),
            targets,
            unresolved: members.unresolved,
            cycle,
            turn: turn.unwrap_or_else(|| PerWorker::new(self.workers)),
        })
    }
}

/// Targets for `members`, with the ids and cells of those that there were, and their cycle.
fn targets(
    pool: &PoolName,
    members: &[Member<'_>],
    old: Option<&Arc<Backend>>,
    identities: &mut Identities,
) -> (Vec<Arc<Target>>, Cycle) {
    let old = old.into_iter().flat_map(|old| &old.targets);
    let health: BTreeMap<SocketAddr, &Arc<HealthCell>> =
        old.map(|target| (target.address, &target.health)).collect();
    let targets = members.iter().map(|member| {
        let known = identities.target(pool, member.address);
        let health = health.get(&member.address).copied().cloned();
        Arc::new(Target {
            id: known.id,
            host: member.host.clone(),
            address: member.address,
            weight: member.weight,
            health: health.unwrap_or_else(|| Arc::new(HealthCell::new(identities.fresh()))),
            load: known.load,
            drain: known.drain,
        })
    });
    let targets: Vec<Arc<Target>> = targets.collect();
    let weights: Vec<NonZeroU16> = targets.iter().map(|target| target.weight).collect();
    (targets, Cycle::new(&weights))
}

/// The old value where it is equal, so that whoever keeps it sees that nothing changed.
fn shared<T: PartialEq>(new: &T, old: Option<&Arc<T>>, clone: impl Fn(&T) -> T) -> Arc<T> {
    match old {
        Some(old) if **old == *new => Arc::clone(old),
        _ => Arc::new(clone(new)),
    }
}

/// A pool's members as addresses, each once: of two that come to the same address, the first
/// written counts, with its name and weight.
struct Members<'c> {
    found: Vec<Member<'c>>,
    unresolved: Vec<UnresolvedMember>,
}

struct Member<'c> {
    host: &'c TargetHost,
    address: SocketAddr,
    weight: NonZeroU16,
}

impl<'c> Members<'c> {
    fn of(pool: &'c BackendPool, settings: &HttpSettings, resolutions: &Resolutions) -> Self {
        let mut found = Vec::with_capacity(pool.targets.len());
        let mut unresolved = Vec::new();
        let mut seen = BTreeSet::new();
        let mut unresolved_seen = BTreeSet::new();
        for written in &pool.targets {
            let port = written.port.unwrap_or(settings.port).get();
            match addresses(&written.host, resolutions) {
                Ok(addresses) => found.extend(
                    addresses
                        .iter()
                        .map(|&address| SocketAddr::new(address, port))
                        .filter(|&address| seen.insert(address))
                        .map(|address| Member {
                            host: &written.host,
                            address,
                            weight: written.weight,
                        }),
                ),
                Err(member) if unresolved_seen.insert(Arc::clone(&member.fqdn)) => {
                    unresolved.push(member);
                }
                Err(_) => {}
            }
        }
        Self { found, unresolved }
    }

    /// Whether `backend` was made of the same.
    fn are_those_of(&self, backend: &Backend) -> bool {
        let is_same = |(member, target): (&Member<'_>, &Arc<Target>)| {
            (member.address, member.weight) == (target.address, target.weight)
                && *member.host == target.host
        };
        self.found.len() == backend.targets.len()
            && self.found.iter().zip(&backend.targets).all(is_same)
    }
}
