//! All tunnels of one worker: opening them, and telling each what was ordered from outside. Who is
//! told to end, and when, is the business of [`ending`].

mod ending;
mod list;
pub(super) mod pace;
mod progress;

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use gateway_core::snapshot::Snapshot;
use gateway_core::tunnels::TunnelId;
use rustls::crypto::{SecureRandom, aws_lc_rs};
use slab::Slab;
use tokio::sync::{Mutex, Notify};
use tokio::task::{spawn_local, yield_now};
use tokio::time::Instant;

use super::drains::{Drain, DrainBook};
use super::driver::{Tunnel, TunnelAbout};
use super::leg::Leg;
use super::machine::{Machine, READ_LIMIT};
use super::meter::TunnelMeter;
use super::state::{TunnelIdentity, TunnelState};
use super::timers::{Timers, now};
use crate::access_log::TunnelNews;
use ending::Standing;
pub(crate) use ending::TunnelFilter;

/// How many tunnels are looked at before others on the worker have their turn. Few in tests, so that a
/// handful takes several turns, but for those that measure.
const SLICE: usize = if cfg!(all(test, debug_assertions)) {
    2
} else {
    512
};

/// Names a tunnel among those of its worker, once and for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TunnelKey {
    serial: u64,
    slot: usize,
}

/// What a tunnel is told from outside.
#[derive(Debug, Clone)]
pub(super) enum Order {
    /// End by the WebSocket protocol, with that drain's Close frame.
    Close(Arc<Drain>),
    /// End now.
    Cut,
}

/// What the set knows of a tunnel.
struct Entry {
    tunnel: Rc<TunnelState>,
    standing: Standing,
    order: Option<Order>,
    waker: Option<Waker>,
}

/// Told of tunnels: which, whose, and what there is to be said.
type OnNews = dyn Fn(TunnelId, &Arc<TunnelIdentity>, TunnelNews);

/// The tunnels of one worker. Lives on that worker's thread, in its runtime.
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
    /// The drains of all workers.
    drains: Arc<DrainBook>,
    /// Orders are carried out one after another, in the order in which they came.
    turn: Mutex<()>,
    random: &'static dyn SecureRandom,
    /// What wakes tunnels at their deadlines.
    timers: Rc<Timers>,
    /// Counts what tunnels carry.
    meter: Arc<TunnelMeter>,
    /// See [`Self::telling`].
    on_news: Box<OnNews>,
    /// How many tunnels are to be told of while they are open.
    told_of: Cell<usize>,
    /// How often a walk has looked at a place for a tunnel.
    #[cfg(test)]
    looks: Cell<usize>,
}

impl TunnelSet {
    /// An empty set, whose drains are told in `drains`.
    pub(crate) fn new(drains: Arc<DrainBook>) -> Self {
        Self {
            entries: RefCell::default(),
            next_serial: Cell::new(0),
            scratch: RefCell::new(vec![0; READ_LIMIT].into_boxed_slice()),
            emptied: Notify::new(),
            live: RefCell::new(None),
            shutdown: Cell::new(None),
            drains,
            turn: Mutex::default(),
            random: aws_lc_rs::default_provider().secure_random,
            timers: Rc::new(Timers::new()),
            meter: Arc::default(),
            on_news: Box::new(|_, _, _| {}),
            told_of: Cell::new(0),
            #[cfg(test)]
            looks: Cell::new(0),
        }
    }

    /// The same, which tells `on_news` of each tunnel that opens, that stays open where its settings ask
    /// for that, and that has ended. It must not panic: it may run in a drop.
    pub(crate) fn telling(
        self,
        on_news: impl Fn(TunnelId, &Arc<TunnelIdentity>, TunnelNews) + 'static,
    ) -> Self {
        let on_news = Box::new(on_news);
        Self { on_news, ..self }
    }

    /// The same, with its traffic counted by `meter`.
    pub(crate) fn metered_by(self, meter: Arc<TunnelMeter>) -> Self {
        Self { meter, ..self }
    }

    /// Opens a tunnel as a task of its own. `client_first` and `backend_first` are what arrived
    /// behind either head; they are copied, and go first. Whoever read the heads bounds them.
    ///
    /// # Panics
    /// Outside a `LocalRuntime`.
    pub(crate) fn open(
        self: &Rc<Self>,
        client: Leg,
        client_first: &[u8],
        backend: Leg,
        backend_first: &[u8],
        mut about: TunnelAbout,
    ) {
        let serial = self.next_serial.get();
        self.next_serial.set(serial + 1);
        let opened = now();
        let settings = &about.settings.web_socket;
        let mut machine = Machine::new(settings, Arc::clone(&self.meter), self.mask(), opened);
        machine.begin(client_first, backend_first, opened);
        if let Some(timeout) = settings.tcp_user_timeout {
            client.limit_silence(timeout);
            backend.limit_silence(timeout);
        }
        let share = about.share.take();
        let tunnel = Rc::new(TunnelState::new(serial, about, machine, opened));
        if tunnel.is_told_of() {
            self.told_of.set(self.told_of.get() + 1);
        }
        let slot = self.entries.borrow_mut().insert(Entry {
            tunnel: Rc::clone(&tunnel),
            standing: Standing::Open,
            order: None,
            waker: None,
        });
        self.tell_of(&tunnel, TunnelNews::Open);
        let (set, legs) = (Rc::clone(self), (client, backend));
        let task = Tunnel::new(set, slot, legs, tunnel, share);
        // The set is the task's owner: it knows of it until the task drops its entry.
        drop(spawn_local(task));
        self.judge_new(TunnelKey { serial, slot });
    }

    /// Tells of a tunnel whoever wants to know.
    pub(super) fn tell_of(&self, tunnel: &TunnelState, news: TunnelNews) {
        (self.on_news)(tunnel.id, &tunnel.identity, news);
    }

    /// How many tunnels are open.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Whether none is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// Does something to the tunnel `key`, if it is still there.
    fn with<T>(&self, key: TunnelKey, act: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(key.slot)?;
        (entry.tunnel.id.serial == key.serial).then(|| act(entry))
    }

    /// Shows every tunnel to `visit`, with rests for others. One that opens meanwhile may be missed.
    async fn walk(&self, mut visit: impl FnMut(TunnelKey, &mut Entry)) {
        let mut slots = 0..SLICE;
        loop {
            let is_last = {
                let mut entries = self.entries.borrow_mut();
                for slot in slots.clone() {
                    #[cfg(test)]
                    self.looks.set(self.looks.get() + 1);
                    if let Some(entry) = entries.get_mut(slot) {
                        let serial = entry.tunnel.id.serial;
                        visit(TunnelKey { serial, slot }, entry);
                    }
                }
                slots.end >= entries.capacity()
            };
            if is_last {
                return;
            }
            slots = slots.end..slots.end + SLICE;
            yield_now().await;
        }
    }

    /// What the tunnel at `slot` was told, once; whoever tells it something next wakes `waker`.
    pub(super) fn take_order(&self, slot: usize, waker: &Waker) -> Option<Order> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(slot)?;
        if !entry
            .waker
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            entry.waker = Some(waker.clone());
        }
        entry.order.take()
    }

    /// The tunnel at `slot` has ended.
    pub(super) fn remove(&self, slot: usize) {
        let mut entries = self.entries.borrow_mut();
        if let Some(entry) = entries.try_remove(slot) {
            entry.standing.ended();
            if entry.tunnel.is_told_of() {
                self.told_of.set(self.told_of.get() - 1);
            }
        }
        if entries.is_empty() {
            self.emptied.notify_waiters();
        }
    }

    /// What wakes tunnels at their deadlines.
    pub(super) fn timers(&self) -> &Rc<Timers> {
        &self.timers
    }

    /// The buffer to read into, for one turn.
    pub(super) fn scratch(&self) -> RefMut<'_, Box<[u8]>> {
        self.scratch.borrow_mut()
    }

    /// A masking key that nobody can foretell (RFC 6455 section 5.3).
    pub(super) fn mask(&self) -> [u8; 4] {
        let mut mask = [0; 4];
        self.fill_random(&mut mask);
        mask
    }

    /// Fills `bytes` with what nobody can foretell.
    pub(super) fn fill_random(&self, bytes: &mut [u8]) {
        // Without random numbers TLS would have failed long ago; a key that can be foretold masks
        // nothing of a peer's here, only our own control frames.
        let _ = self.random.fill(bytes);
    }
}

#[cfg(test)]
mod tests;
