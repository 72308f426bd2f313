//! Counts that outlive a snapshot: those of listeners and targets that stay, and of tunnels that are
//! open while no rule leads to theirs.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use gateway_core::name::{HttpSettingsName, PoolName};
use gateway_core::snapshot::{Backend, ListenerId, Route, Snapshot, Target, TargetId};

use super::{ListenerGate, PoolGate, Seats};

/// All gates that somebody holds: what is published, or a tunnel.
#[derive(Debug)]
pub(crate) struct Gates {
    /// Since when rates grow that have a ramp.
    start: Instant,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) listeners: HashMap<ListenerId, Weak<ListenerGate>>,
    pub(super) pools: HashMap<(PoolName, HttpSettingsName), Weak<PoolGate>>,
    pub(super) targets: HashMap<TargetId, Weak<Seats>>,
}

/// The gates of one snapshot.
#[derive(Debug)]
pub(crate) struct PublishedGates {
    /// By [`Route::index`].
    listeners: Vec<Arc<ListenerGate>>,
    /// By [`Backend::index`].
    pools: Vec<Arc<PoolGate>>,
    targets: HashMap<TargetId, Arc<Seats>>,
}

impl Gates {
    /// For a process that starts now.
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            start,
            held: Mutex::default(),
        }
    }

    /// The gates of `snapshot`: those that there are, and new ones for what is new.
    pub(crate) fn of(&self, snapshot: &Snapshot) -> PublishedGates {
        let held = &mut *self.held();
        let listeners = snapshot.routes.iter().map(|route| {
            let known = held.listeners.entry(route.listener_id);
            known_or(known.or_default(), || ListenerGate::new(self.start))
        });
        let listeners = listeners.collect();
        let pools = snapshot.backends.iter().map(|backend| {
            let name = (backend.pool.clone(), backend.settings_name.clone());
            let known = held.pools.entry(name);
            known_or(known.or_default(), || PoolGate::new(self.start))
        });
        let pools = pools.collect();
        let targets = snapshot.backends.iter();
        let targets = targets.flat_map(|backend| &backend.targets).map(|target| {
            let known = held.targets.entry(target.id);
            (target.id, known_or(known.or_default(), Seats::default))
        });
        let targets = targets.collect();
        forget_unheld(&mut held.listeners);
        forget_unheld(&mut held.pools);
        forget_unheld(&mut held.targets);
        PublishedGates {
            listeners,
            pools,
            targets,
        }
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        // What a panic leaves half done is forgotten by the next one that looks.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known_or<T>(known: &mut Weak<T>, make: impl FnOnce() -> T) -> Arc<T> {
    known.upgrade().unwrap_or_else(|| {
        let new = Arc::new(make());
        *known = Arc::downgrade(&new);
        new
    })
}

fn forget_unheld<K: Hash + Eq, T>(held: &mut HashMap<K, Weak<T>>) {
    held.retain(|_, gate| gate.strong_count() > 0);
}

impl PublishedGates {
    /// That of a route's listener.
    pub(crate) fn listener(&self, route: &Route) -> &Arc<ListenerGate> {
        &self.listeners[route.index]
    }

    /// That of a pool.
    pub(crate) fn pool(&self, backend: &Backend) -> &PoolGate {
        &self.pools[backend.index]
    }

    /// The tunnels of a target of the same snapshot.
    pub(crate) fn target(&self, target: &Target) -> &Arc<Seats> {
        &self.targets[&target.id]
    }

    /// The targets of a pool that have as many tunnels as they may have.
    pub(crate) fn full(&self, backend: &Backend) -> Vec<TargetId> {
        let most = backend.settings.web_socket.max_connections;
        let targets = backend.targets.iter();
        let full = targets.filter(|target| self.target(target).are_taken(most));
        full.map(|target| target.id).collect()
    }

    /// Looks whether pools have come back. The workers look too, when they need to know; but nobody
    /// may need to know while a pool is down.
    pub(crate) fn look(&self, snapshot: &Snapshot, now: Instant) {
        for backend in &snapshot.backends {
            self.pool(backend).look(backend, now);
        }
    }
}
