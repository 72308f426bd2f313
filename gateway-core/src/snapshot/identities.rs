//! Who has which id. Identity is by name or address, as `docs/reconfiguration.md` has it in a
//! table; what is taken away and put back later is somebody new.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::slice;

use super::{
    ListenerId, LoadCell, PerWorker, Resolution, Resolutions, Snapshot, TargetId, UnresolvedMember,
};
use crate::config::{Config, TargetHost};
use crate::name::{ListenerName, PoolName};

/// What outlives a request refers to these. Listeners and targets are in here while they are
/// configured, even when no rule reaches them: taking a rule away drains nothing.
#[derive(Debug)]
pub(super) struct Identities {
    next_id: u64,
    workers: usize,
    listeners: BTreeMap<ListenerName, ListenerId>,
    targets: BTreeMap<(PoolName, SocketAddr), (TargetId, PerWorker<LoadCell>)>,
    listener_ids: BTreeSet<ListenerId>,
    target_ids: BTreeSet<TargetId>,
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
            target_ids: BTreeSet::new(),
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
        let configured = ConfiguredTargets::new(config, resolutions);
        for ((pool, address), (id, load)) in &old.targets {
            if !configured.contains(pool, *address) {
                continue;
            }
            let load = if old.workers == self.workers {
                load.clone()
            } else {
                PerWorker::new(self.workers)
            };
            self.target_ids.insert(*id);
            self.targets.insert((pool.clone(), *address), (*id, load));
        }
    }

    /// An id that nobody had before.
    pub(super) fn fresh(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// The id of a listener, which is one of the configuration's.
    pub(super) fn listener(&mut self, name: &ListenerName) -> ListenerId {
        self.listeners[name]
    }

    /// The id and load of a target that a rule reaches.
    pub(super) fn target(
        &mut self,
        pool: &PoolName,
        address: SocketAddr,
    ) -> (TargetId, PerWorker<LoadCell>) {
        let key = (pool.clone(), address);
        if let Some((id, load)) = self.targets.get(&key) {
            return (*id, load.clone());
        }
        let new = (TargetId(self.fresh()), PerWorker::new(self.workers));
        self.target_ids.insert(new.0);
        self.targets.insert(key, (new.0, new.1.clone()));
        new
    }

    pub(super) fn has_listener(&self, id: ListenerId) -> bool {
        self.listener_ids.contains(&id)
    }

    pub(super) fn has_target(&self, id: TargetId) -> bool {
        self.target_ids.contains(&id)
    }
}

/// Every (pool, address, port) that some HTTP settings could reach.
struct ConfiguredTargets<'c> {
    /// With the member's own port, or without one.
    members: BTreeSet<(&'c PoolName, IpAddr, Option<NonZeroU16>)>,
    settings_ports: BTreeSet<NonZeroU16>,
}

impl<'c> ConfiguredTargets<'c> {
    fn new(config: &'c Config, resolutions: &Resolutions) -> Self {
        let mut members = BTreeSet::new();
        for (name, pool) in &config.pools {
            for written in &pool.targets {
                let found = addresses(&written.host, resolutions).unwrap_or_default();
                members.extend(found.iter().map(|&address| (name, address, written.port)));
            }
        }
        let settings = config.http_settings.values();
        Self {
            members,
            settings_ports: settings.map(|settings| settings.port).collect(),
        }
    }

    fn contains(&self, pool: &PoolName, address: SocketAddr) -> bool {
        let Some(port) = NonZeroU16::new(address.port()) else {
            return false;
        };
        let has = |own_port| self.members.contains(&(pool, address.ip(), own_port));
        has(Some(port)) || (has(None) && self.settings_ports.contains(&port))
    }
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
