//! Who has which id. Identity is by name or address, as `docs/reconfiguration.md` has it in a
//! table; what is taken away and put back later is somebody new.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::slice;
use std::sync::Arc;

use super::{
    DrainCell, ListenerId, LoadCell, PerWorker, Resolution, Resolutions, Snapshot, TargetId,
    UnresolvedMember,
};
use crate::config::{BackendPool, Config, TargetHost};
use crate::name::{ListenerName, PoolName};

/// What outlives a request refers to these. Listeners and targets are in here while they are
/// configured, even when no rule reaches them: taking a rule away drains nothing.
#[derive(Debug)]
pub(super) struct Identities {
    next_id: u64,
    workers: usize,
    listeners: BTreeMap<ListenerName, ListenerId>,
    targets: BTreeMap<PoolName, Arc<TargetsByAddress>>,
    listener_ids: BTreeSet<ListenerId>,
    target_ids: BTreeMap<TargetId, Arc<DrainCell>>,
}

/// The targets of one pool. Most pools stay as they are, and share theirs with the snapshot before.
type TargetsByAddress = BTreeMap<SocketAddr, TargetIdentity>;

/// What belongs to (pool, address, port).
#[derive(Debug, Clone)]
pub(super) struct TargetIdentity {
    pub(super) id: TargetId,
    pub(super) load: PerWorker<LoadCell>,
    pub(super) drain: Arc<DrainCell>,
}

impl Identities {
    /// Those of `previous` that are still configured, and the listeners of `config`.
    pub(super) fn next(
        config: &Config,
        resolutions: &Resolutions,
        previous: Option<&Snapshot>,
        workers: usize,
    ) -> Self {
        let old = previous.map(|previous| &previous.identities);
        let mut identities = Self {
            next_id: old.map_or(0, |old| old.next_id),
            workers,
            listeners: BTreeMap::new(),
            targets: BTreeMap::new(),
            listener_ids: BTreeSet::new(),
            target_ids: BTreeMap::new(),
        };
        for name in config.listeners.keys() {
            let known = old.and_then(|old| old.listeners.get(name)).copied();
            let id = known.unwrap_or_else(|| ListenerId(identities.fresh()));
            identities.listeners.insert(name.clone(), id);
            identities.listener_ids.insert(id);
        }
        if let Some(old) = old {
            identities.keep_targets(old, config, resolutions);
        }
        identities
    }

    fn keep_targets(&mut self, old: &Self, config: &Config, resolutions: &Resolutions) {
        let settings = config.http_settings.values();
        let settings_ports: BTreeSet<u16> = settings.map(|settings| settings.port.get()).collect();
        let fits = old.workers == self.workers;
        let mut drains = Vec::with_capacity(old.target_ids.len());
        let kept = old.targets.iter().filter_map(|(name, old_targets)| {
            let configured = configured_members(config.pools.get(name)?, resolutions);
            let stays = |address: &SocketAddr| {
                let has = |own_port| {
                    let member = (address.ip(), own_port);
                    configured.binary_search(&member).is_ok()
                };
                let port = address.port();
                has(Some(port)) || (has(None) && settings_ports.contains(&port))
            };
            let kept = if fits && old_targets.keys().all(&stays) {
                Arc::clone(old_targets)
            } else {
                let kept = old_targets.iter().filter(|(address, _)| stays(address));
                let kept = kept.map(|(address, known)| {
                    let load = fits.then(|| known.load.clone());
                    let load = load.unwrap_or_else(|| PerWorker::new(self.workers));
                    let known = known.clone();
                    (*address, TargetIdentity { load, ..known })
                });
                Arc::new(kept.collect())
            };
            let ids = kept
                .values()
                .map(|known| (known.id, Arc::clone(&known.drain)));
            drains.extend(ids);
            Some((name.clone(), kept))
        });
        self.targets = kept.collect();
        self.target_ids = drains.into_iter().collect();
    }

    /// An id that nobody had before.
    pub(super) fn fresh(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The id of a listener, which is one of the configuration's.
    pub(super) fn listener(&self, name: &ListenerName) -> ListenerId {
        self.listeners[name]
    }

    /// The id and cells of a target that a rule reaches.
    pub(super) fn target(&mut self, pool: &PoolName, address: SocketAddr) -> TargetIdentity {
        let known = self.targets.get(pool).and_then(|pool| pool.get(&address));
        if let Some(known) = known {
            return known.clone();
        }
        let new = TargetIdentity {
            id: TargetId(self.fresh()),
            load: PerWorker::new(self.workers),
            drain: Arc::default(),
        };
        self.target_ids.insert(new.id, Arc::clone(&new.drain));
        let targets = self.targets.entry(pool.clone()).or_default();
        Arc::make_mut(targets).insert(address, new.clone());
        new
    }

    pub(super) fn has_listener(&self, id: ListenerId) -> bool {
        self.listener_ids.contains(&id)
    }

    pub(super) fn has_target(&self, id: TargetId) -> bool {
        self.target_ids.contains_key(&id)
    }

    pub(super) fn is_draining(&self, id: TargetId) -> bool {
        self.target_ids
            .get(&id)
            .is_some_and(|drain| drain.is_draining())
    }

    /// A pool's targets; `None` for one that has none.
    pub(super) fn targets_of(
        &self,
        pool: &PoolName,
    ) -> Option<impl Iterator<Item = (SocketAddr, TargetId, &Arc<DrainCell>)>> {
        let targets = self.targets.get(pool)?.iter();
        Some(targets.map(|(address, target)| (*address, target.id, &target.drain)))
    }

    pub(super) fn has_all_of(&self, other: &Self) -> bool {
        self.listener_ids.is_superset(&other.listener_ids)
            && other.target_ids.keys().all(|id| self.has_target(*id))
    }
}

/// What a pool's members stand for now, with their own port where they have one; sorted.
fn configured_members(pool: &BackendPool, resolutions: &Resolutions) -> Vec<(IpAddr, Option<u16>)> {
    let mut members = Vec::with_capacity(pool.targets.len());
    for written in &pool.targets {
        let own_port = written.port.map(NonZeroU16::get);
        let found = addresses(&written.host, resolutions).unwrap_or_default();
        members.extend(found.iter().map(|&address| (address, own_port)));
    }
    members.sort_unstable();
    members
}

/// The addresses that a member stands for now.
pub(super) fn addresses<'a>(
    host: &'a TargetHost,
    resolutions: &'a Resolutions,
) -> Result<&'a [IpAddr], UnresolvedMember> {
    let fqdn = match host {
        TargetHost::Ip(address) => return Ok(slice::from_ref(address)),
        TargetHost::Fqdn(fqdn) => fqdn,
    };
    let reason = match resolutions.get(fqdn) {
        Some(Resolution::Addresses(addresses)) => return Ok(addresses),
        Some(Resolution::Failed(reason)) => reason.clone(),
        None => "not resolved yet".into(),
    };
    Err(UnresolvedMember {
        fqdn: fqdn.clone(),
        reason,
    })
}
