//! All tunnels of one worker: opening, finding those whose listener or target is gone, draining.
//!
//! One task paces each drain and holds its deadline, so that an idle tunnel needs no timer.

mod pace;

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use gateway_core::snapshot::{ListenerId, Snapshot, TargetId};
use rustls::crypto::{SecureRandom, aws_lc_rs};
use slab::Slab;
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::driver::{Tunnel, TunnelAbout};
use super::leg::Leg;
use super::machine::{Machine, READ_LIMIT};

/// Names a tunnel among those of its worker, once and for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TunnelKey {
    slot: usize,
    serial: u64,
}

/// What a tunnel is told from outside.
#[derive(Debug, Clone)]
pub(super) enum Order {
    /// End by the WebSocket protocol.
    Close(Rc<Farewell>),
    /// End now.
    Cut,
}

/// What a Close frame of ours says; one for all tunnels of a drain.
#[derive(Debug)]
pub(super) struct Farewell {
    /// The status code (RFC 6455 section 7.4).
    pub(super) code: u16,
    /// The reason that peers may log.
    pub(super) reason: Box<str>,
}

/// What the set knows of a tunnel.
struct Entry {
    serial: u64,
    listener: ListenerId,
    target: TargetId,
    drain_timeout: Duration,
    draining: bool,
    order: Option<Order>,
    waker: Option<Waker>,
}

/// The tunnels of one worker. Lives on that worker's thread, in its `LocalSet`.
pub(crate) struct TunnelSet {
    entries: RefCell<Slab<Entry>>,
    next_serial: Cell<u64>,
    /// What all tunnels of the worker read into, one turn at a time.
    scratch: RefCell<Box<[u8]>>,
    emptied: Notify,
    /// What tunnels are judged by; `None` before the first refresh.
    live: RefCell<Option<Arc<Snapshot>>>,
    /// When the process ends, once that is known.
    shutdown: Cell<Option<Instant>>,
    random: &'static dyn SecureRandom,
}

impl TunnelSet {
    /// An empty set.
    pub(crate) fn new() -> Self {
        Self {
            entries: RefCell::default(),
            next_serial: Cell::new(0),
            scratch: RefCell::new(vec![0; READ_LIMIT].into_boxed_slice()),
            emptied: Notify::new(),
            live: RefCell::new(None),
            shutdown: Cell::new(None),
            random: aws_lc_rs::default_provider().secure_random,
        }
    }

    /// Opens a tunnel as a task of its own. `client_first` and `backend_first` are what arrived
    /// behind either head; they are copied, and go first. Whoever read the heads bounds them.
    ///
    /// # Panics
    /// Outside a `LocalSet`.
    pub(crate) fn open(
        self: &Rc<Self>,
        client: Leg,
        client_first: &[u8],
        backend: Leg,
        backend_first: &[u8],
        about: TunnelAbout,
    ) {
        let serial = self.next_serial.get();
        self.next_serial.set(serial + 1);
        let mut entry = Entry {
            serial,
            listener: about.listener,
            target: about.target,
            drain_timeout: about.drain_timeout,
            draining: false,
            order: None,
            waker: None,
        };
        let time_left = self.time_left(&entry);
        entry.draining = time_left.is_some();
        let slot = self.entries.borrow_mut().insert(entry);
        let machine = Machine::new(client_first, backend_first, self.mask());
        let key = TunnelKey { slot, serial };
        let tunnel = Tunnel::new(Rc::clone(self), key, (client, backend), machine, about);
        // The set is the task's owner: it knows of it until the task drops its entry.
        drop(spawn_local(tunnel));
        if let Some(time) = time_left {
            self.start_drain(&[(key, time)]);
        }
    }

    /// How many tunnels are open.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Whether none is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// Starts to drain the tunnels whose listener or target `snapshot` no longer has, each within
    /// the time that its settings gave it; that no rule leads there any more drains nothing. Tunnels
    /// that drain already go on doing so. To be called with every new snapshot: a handshake may end
    /// behind it, and its tunnel is judged by the last.
    pub(crate) fn refresh(self: &Rc<Self>, snapshot: &Arc<Snapshot>) {
        self.live.replace(Some(Arc::clone(snapshot)));
        self.start_drain(&self.choose(|entry| self.time_left(entry)));
    }

    /// Drains every tunnel for the end of the process, and those that still open, and returns when
    /// none is left: at `deadline` from now, plus a moment for the last FINs, at the latest.
    pub(crate) async fn drain_all(self: &Rc<Self>, deadline: Duration) {
        self.shutdown.set(Some(Instant::now() + deadline));
        // Those that drain already may have more time than the process has.
        self.start_drain(&self.choose(|_| Some(deadline)));
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// How long a tunnel that the last refresh, or the end of the process, leaves no place may still
    /// take; `None` for one that may stay, and one that drains already.
    fn time_left(&self, entry: &Entry) -> Option<Duration> {
        if entry.draining {
            return None;
        }
        if let Some(end) = self.shutdown.get() {
            return Some(end.saturating_duration_since(Instant::now()));
        }
        let live = self.live.borrow();
        let stays = live
            .as_ref()
            .is_none_or(|live| live.has_listener(entry.listener) && live.has_target(entry.target));
        (!stays).then_some(entry.drain_timeout)
    }

    /// Marks the tunnels for which `time` gives a time as draining.
    fn choose(&self, time: impl Fn(&Entry) -> Option<Duration>) -> Vec<(TunnelKey, Duration)> {
        let mut chosen = Vec::new();
        for (slot, entry) in &mut *self.entries.borrow_mut() {
            if let Some(time) = time(entry) {
                entry.draining = true;
                let serial = entry.serial;
                chosen.push((TunnelKey { slot, serial }, time));
            }
        }
        chosen
    }

    /// Drains `tunnels`, each in its time: Close frames spread over a window, then the cut.
    fn start_drain(self: &Rc<Self>, tunnels: &[(TunnelKey, Duration)]) {
        if tunnels.is_empty() {
            return;
        }
        let steps = pace::plan(tunnels, fastrand::f64);
        let reason = match self.shutdown.get() {
            Some(_) => "shutting down",
            None => "going away",
        };
        tracing::info!(tunnels = tunnels.len(), reason, "draining tunnels");
        let farewell = Rc::new(Farewell {
            code: 1001,
            reason: reason.into(),
        });
        let set = Rc::clone(self);
        drop(spawn_local(async move {
            set.run_drain(steps, farewell).await;
        }));
    }

    async fn run_drain(&self, steps: Vec<pace::Step>, farewell: Rc<Farewell>) {
        let start = Instant::now();
        for step in steps {
            tokio::time::sleep_until(start + step.after).await;
            let order = match step.action {
                pace::Action::Cut => Order::Cut,
                pace::Action::Close => Order::Close(Rc::clone(&farewell)),
            };
            self.order(step.key, order);
        }
    }

    fn order(&self, key: TunnelKey, order: Order) {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(key.slot);
        if let Some(entry) = entry.filter(|entry| entry.serial == key.serial) {
            if !matches!(entry.order, Some(Order::Cut)) {
                entry.order = Some(order);
            }
            if let Some(waker) = &entry.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// What the tunnel `key` was told, once; whoever tells it something next wakes `waker`.
    pub(super) fn take_order(&self, key: TunnelKey, waker: &Waker) -> Option<Order> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(key.slot)?;
        if !entry
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            entry.waker = Some(waker.clone());
        }
        entry.order.take()
    }

    /// The tunnel `key` has ended.
    pub(super) fn remove(&self, key: TunnelKey) {
        let mut entries = self.entries.borrow_mut();
        entries.try_remove(key.slot);
        if entries.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// The buffer to read into, for one turn.
    pub(super) fn scratch(&self) -> RefMut<'_, Box<[u8]>> {
        self.scratch.borrow_mut()
    }

    /// A masking key that nobody can foretell (RFC 6455 section 5.3).
    pub(super) fn mask(&self) -> [u8; 4] {
        let mut mask = [0; 4];
        // Without random numbers TLS would have failed long ago; a key that can be foretold masks
        // nothing of a peer's here, only our own Close frame.
        let _ = self.random.fill(&mut mask);
        mask
    }
}

#[cfg(test)]
mod tests;
