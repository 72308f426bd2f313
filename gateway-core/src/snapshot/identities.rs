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
    targets: BTreeMap<PoolName, BTreeMap<SocketAddr, TargetIdentity>>,
    listener_ids: BTreeSet<ListenerId>,
    target_ids: BTreeMap<TargetId, Arc<DrainCell>>,
}

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
        for (name, old_targets) in &old.targets {
            let Some(pool) = config.pools.get(name) else {
                continue;
            };
            let configured = configured_members(pool, resolutions);
            let mut kept = BTreeMap::new();
            for (address, known) in old_targets {
                let has = |own_port| configured.contains(&(address.ip(), own_port));
                let port = address.port();
                if has(Some(port)) || (has(None) && settings_ports.contains(&port)) {
                    let fits = old.workers == self.workers;
                    let load = fits.then(|| known.load.clone());
                    let load = load.unwrap_or_else(|| PerWorker::new(self.workers));
                    self.target_ids.insert(known.id, Arc::clone(&known.drain));
                    let known = known.clone();
                    kept.insert(*address, TargetIdentity { load, ..known });
                }
            }
            self.targets.insert(name.clone(), kept);
        }
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
        targets.insert(address, new.clone());
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

/// What a pool's members stand for now, with their own port where they have one.
fn configured_members(
    pool: &BackendPool,
    resolutions: &Resolutions,
) -> BTreeSet<(IpAddr, Option<u16>)> {
    let mut members = BTreeSet::new();
    for written in &pool.targets {
        let own_port = written.port.map(NonZeroU16::get);
        let found = addresses(&written.host, resolutions).unwrap_or_default();
        members.extend(found.iter().map(|&address| (address, own_port)));
    }
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
