//! Ending tunnels: which drain each is in, who is told when, and who is cut.
//!
//! One task paces each drain and holds its deadlines, so that an idle tunnel needs no timer. All
//! tunnels are looked at in slices, so that 100,000 of them hold up nobody.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use gateway_core::config::OnUnhealthy;
use gateway_core::name::HttpSettingsName;
use gateway_core::snapshot::Snapshot;
use gateway_core::tunnels::{DrainKind, TunnelFacts};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::super::drains::{Drain, DrainKey, DrainOrder};
use super::super::state::TunnelState;
use super::pace::{Action, Candidate, Pace, Schedule};
use super::{Entry, Order, TunnelKey, TunnelSet};

/// Says which tunnels are meant.
pub(crate) type TunnelFilter = dyn Fn(&TunnelFacts<'_>) -> bool + Send + Sync;

/// Whether a tunnel is to end.
#[derive(Debug)]
pub(super) enum Standing {
    /// It is not.
    Open,
    /// It was, and stays, since that drain was cancelled. Only another order ends it.
    Kept(Arc<Drain>),
    /// It is.
    Draining(Arc<Drain>, Stage),
}

/// How far a tunnel that drains has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its turn is yet to come.
    Waits,
    /// It was told to close.
    Told,
    /// It was cut.
    Cut,
}

impl Standing {
    /// The tunnel has ended.
    pub(super) fn ended(&self) {
        if let Self::Draining(drain, stage) = self {
            drain.note_end(*stage == Stage::Cut);
        }
    }

    fn waits_in(&self, drain: &Arc<Drain>) -> bool {
        matches!(self, Self::Draining(own, Stage::Waits) if Arc::ptr_eq(own, drain))
    }

    /// Makes the tunnel one of `drain`'s.
    fn join(&mut self, drain: &Arc<Drain>) {
        if let Self::Draining(last, _) = self {
            last.give_away();
        }
        drain.add();
        *self = Self::Draining(Arc::clone(drain), Stage::Waits);
    }
}

/// The tunnels of each drain that is about to start.
#[derive(Default)]
struct Chosen(Vec<(Arc<Drain>, Vec<Candidate>)>);

impl Chosen {
    fn add(&mut self, drain: &Arc<Drain>, candidate: Candidate) {
        let mut known = self.0.iter_mut();
        match known.find(|(known, _)| Arc::ptr_eq(known, drain)) {
            Some((_, candidates)) => candidates.push(candidate),
            None => self.0.push((Arc::clone(drain), vec![candidate])),
        }
    }
}

impl TunnelSet {
    /// Starts to drain the tunnels whose listener or target `snapshot` no longer has, each within
    /// the time that its settings gave it; that no rule leads there any more drains nothing. Tunnels
    /// that drain already go on doing so. To be called with every new snapshot: a handshake may end
    /// behind it, and its tunnel is judged by the last.
    pub(crate) async fn refresh(self: &Rc<Self>, snapshot: &Arc<Snapshot>) {
        let last = self.live.replace(Some(Arc::clone(snapshot)));
        if last.is_some_and(|last| snapshot.has_all_of(&last)) {
            return;
        }
        let mut chosen = Chosen::default();
        self.walk(|key, entry| self.judge(key, entry, &mut chosen))
            .await;
        self.run_all(chosen);
    }

    /// Drains every tunnel for the end of the process, and those that still open, and returns when
    /// none is left: at `deadline` from now, plus a moment for the last FINs, at the latest.
    pub(crate) async fn drain_all(self: &Rc<Self>, deadline: Duration) {
        let end = Instant::now() + deadline;
        self.shutdown.set(Some(end));
        let mut chosen = Chosen::default();
        let mut told = Vec::new();
        self.walk(|key, entry| match &entry.standing {
            // Those that drain already may have more time than the process has.
            Standing::Draining(_, Stage::Told) => told.push(key),
            Standing::Draining(drain, Stage::Waits) if drain.order.kind == DrainKind::Shutdown => {}
            Standing::Draining(_, Stage::Cut) => {}
            Standing::Draining(_, Stage::Waits) | Standing::Open | Standing::Kept(_) => {
                entry.standing = match std::mem::replace(&mut entry.standing, Standing::Open) {
                    Standing::Draining(drain, _) => {
                        drain.give_away();
                        Standing::Open
                    }
                    Standing::Open | Standing::Kept(_) => Standing::Open,
                };
                self.judge(key, entry, &mut chosen);
            }
        })
        .await;
        self.run_all(chosen);
        self.cut_at(told, end);
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Begins `drain` with those of the tunnels that `which` names and that are in none yet.
    pub(crate) async fn end(self: &Rc<Self>, drain: &Arc<Drain>, which: &TunnelFilter) {
        let _turn = self.turn.lock().await;
        let mut candidates = Vec::new();
        let now = StdInstant::now();
        self.walk(|key, entry| {
            let free = match &entry.standing {
                Standing::Open | Standing::Kept(_) => true,
                // What is to end at once does not wait for its turn elsewhere.
                Standing::Draining(_, Stage::Waits) => drain.order.pace == Pace::AtOnce,
                Standing::Draining(..) => false,
            };
            if free && which(&entry.tunnel.facts(now)) {
                entry.standing.join(drain);
                candidates.push(self.candidate(key, &entry.tunnel, drain));
            }
        })
        .await;
        drain.worker_has_chosen();
        self.run(drain, &candidates);
    }

    /// Carries out that `drain` was cancelled: who was not told yet stays.
    pub(crate) async fn cancel(&self, drain: &Arc<Drain>) {
        let _turn = self.turn.lock().await;
        self.walk(|_, entry| {
            if entry.standing.waits_in(drain) {
                entry.standing = Standing::Kept(Arc::clone(drain));
                drain.keep();
            }
        })
        .await;
    }

    /// Goes on with those that stayed when `drain` was cancelled.
    pub(crate) async fn resume(self: &Rc<Self>, drain: &Arc<Drain>) {
        let _turn = self.turn.lock().await;
        let mut candidates = Vec::new();
        self.walk(|key, entry| {
            if matches!(&entry.standing, Standing::Kept(by) if Arc::ptr_eq(by, drain)) {
                entry.standing = Standing::Draining(Arc::clone(drain), Stage::Waits);
                drain.take_back();
                candidates.push(self.candidate(key, &entry.tunnel, drain));
            }
        })
        .await;
        drain.worker_has_chosen();
        self.run(drain, &candidates);
    }

    /// Judges a tunnel that has just opened: its handshake may have ended behind a change.
    pub(super) fn judge_new(self: &Rc<Self>, key: TunnelKey) {
        let mut chosen = Chosen::default();
        if let Some(entry) = self.entries.borrow_mut().get_mut(key.slot) {
            self.judge(key, entry, &mut chosen);
            self.judge_health(key, entry, &mut chosen);
        }
        self.run_all(chosen);
    }

    /// Has a tunnel that the last refresh, an operator or the end of the process leaves no place join
    /// the drain of that, unless it was let stay in that very drain.
    fn judge(&self, key: TunnelKey, entry: &mut Entry, chosen: &mut Chosen) {
        if matches!(entry.standing, Standing::Draining(..)) {
            return;
        }
        let Some(drain) = self.due(&entry.tunnel) else {
            return;
        };
        if matches!(&entry.standing, Standing::Kept(by) if Arc::ptr_eq(by, &drain)) {
            return;
        }
        entry.standing.join(&drain);
        if drain.is_cancelled() {
            drain.keep();
            entry.standing = Standing::Kept(drain);
            return;
        }
        chosen.add(&drain, self.candidate(key, &entry.tunnel, &drain));
    }

    /// The drain that a tunnel belongs to, if it may not stay.
    fn due(&self, tunnel: &TunnelState) -> Option<Arc<Drain>> {
        let [listener, _, pool, _] = tunnel.names();
        let target = &tunnel.identity.target;
        let (kind, key) = if self.shutdown.get().is_some() {
            (DrainKind::Shutdown, DrainKey::Process)
        } else {
            let live = self.live.borrow();
            let live = live.as_ref()?;
            if !live.has_listener(tunnel.listener) {
                let key = DrainKey::Listener(tunnel.listener);
                (DrainKind::ListenerRemoved, key)
            } else if !live.has_target(target.id) {
                (DrainKind::TargetRemoved, DrainKey::Target(target.id))
            } else if live.is_draining(target.id) {
                (DrainKind::TargetDrained, DrainKey::Target(target.id))
            } else {
                return None;
            }
        };
        let (what, reason) = match key {
            DrainKey::Process => ("the process".to_owned(), "shutting down"),
            DrainKey::Listener(_) => (listener.to_owned(), "going away"),
            DrainKey::Target(_) => (format!("{pool}/{}", target.address), "going away"),
        };
        let order = || DrainOrder {
            kind,
            what,
            code: None,
            reason: reason.into(),
            pace: Pace::Settings,
            time: None,
        };
        Some(self.drains.join(kind, key, order))
    }

    /// Has a tunnel join the drain of its target, where that went down while the handshake was under
    /// way and its settings say so. Who was open by then is told by whoever sees targets go down.
    fn judge_health(&self, key: TunnelKey, entry: &mut Entry, chosen: &mut Chosen) {
        let tunnel = &entry.tunnel;
        let then = tunnel.settings.web_socket.on_unhealthy;
        if then == OnUnhealthy::Keep || !matches!(entry.standing, Standing::Open) {
            return;
        }
        let [_, _, pool, settings] = tunnel.names();
        let target = &tunnel.identity.target;
        let settings = HttpSettingsName::from(settings);
        let live = self.live.borrow();
        let is_lost = |live: &Arc<Snapshot>| live.has_lost(target.id, &settings);
        if !live.as_ref().is_some_and(is_lost) {
            return;
        }
        let order = DrainOrder::unhealthy(then, pool, target.address, &settings);
        let Some(order) = order else { return };
        let hangs_on = DrainKey::Target(target.id);
        let drain = self.drains.join(order.kind, hangs_on, || order);
        let candidate = self.candidate(key, tunnel, &drain);
        entry.standing.join(&drain);
        chosen.add(&drain, candidate);
    }

    fn candidate(&self, key: TunnelKey, tunnel: &TunnelState, drain: &Drain) -> Candidate {
        let settings = &tunnel.settings;
        let time = match (drain.order.kind, self.shutdown.get()) {
            (DrainKind::Shutdown, Some(end)) => end.saturating_duration_since(Instant::now()),
            _ => drain.time_for(settings),
        };
        Candidate {
            key,
            time,
            close_over: settings.web_socket.close_over,
        }
    }

    fn run_all(self: &Rc<Self>, Chosen(chosen): Chosen) {
        for (drain, candidates) in chosen {
            self.run(&drain, &candidates);
        }
    }

    /// Tells `candidates` one after another, and cuts who does not end.
    fn run(self: &Rc<Self>, drain: &Arc<Drain>, candidates: &[Candidate]) {
        if candidates.is_empty() {
            return;
        }
        let (kind, what) = (drain.order.kind.as_str(), &drain.order.what);
        tracing::info!(
            tunnels = candidates.len(),
            drain = drain.id(),
            kind,
            what,
            "draining tunnels"
        );
        let tickets = drain.tickets.clone();
        let start = match tickets {
            // Turns are counted from one moment for all workers.
            Some(_) => Instant::from_std(drain.started),
            None => Instant::now(),
        };
        if tickets.is_none() {
            let longest = candidates.iter().map(|candidate| candidate.time).max();
            drain.note_deadline(longest.unwrap_or_default());
        }
        let schedule = Schedule::new(candidates, drain.order.pace, tickets, fastrand::f64);
        let (set, drain) = (Rc::clone(self), Arc::clone(drain));
        drop(spawn_local(async move {
            set.follow(schedule, start, &drain).await;
        }));
    }

    /// Cuts those of `told` that are still there at `end`.
    fn cut_at(self: &Rc<Self>, told: Vec<TunnelKey>, end: Instant) {
        if told.is_empty() {
            return;
        }
        let set = Rc::clone(self);
        drop(spawn_local(async move {
            tokio::time::sleep_until(end).await;
            for key in told {
                set.cut(key);
            }
        }));
    }

    async fn follow(&self, mut schedule: Schedule, start: Instant, drain: &Arc<Drain>) {
        let run = drain.run();
        let waits = |key| {
            let may_tell = !drain.is_cancelled() && drain.run() == run;
            may_tell && self.with(key, |entry| entry.standing.waits_in(drain)) == Some(true)
        };
        while let Some(step) = schedule.next(waits) {
            tokio::time::sleep_until(start + step.after).await;
            match step.action {
                Action::Close if waits(step.key) => self.tell(step.key, drain),
                Action::Close => {}
                Action::Cut => self.cut(step.key),
            }
        }
    }

    fn tell(&self, key: TunnelKey, drain: &Arc<Drain>) {
        self.with(key, |entry| {
            drain.note_told();
            entry.standing = Standing::Draining(Arc::clone(drain), Stage::Told);
            entry.tell(Order::Close(Arc::clone(drain)));
        });
    }

    fn cut(&self, key: TunnelKey) {
        self.with(key, |entry| {
            if let Standing::Draining(_, stage @ Stage::Told) = &mut entry.standing {
                *stage = Stage::Cut;
                entry.tell(Order::Cut);
            }
        });
    }
}

impl Entry {
    fn tell(&mut self, order: Order) {
        self.order = Some(order);
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}
