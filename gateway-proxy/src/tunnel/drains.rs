//! Drains, all workers together: who ends which tunnels, how fast, and how far it has come.
//!
//! A drain is told to every worker; each ends its own tunnels and counts here. Nothing of this is on
//! the way of a frame.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use gateway_core::config::HttpSettings;
use gateway_core::snapshot::{ListenerId, TargetId};
use gateway_core::tunnels::{DrainKind, DrainReport, DrainState};

use super::set::pace::{Pace, Tickets};

/// How many drains are told of after their end.
const KEPT: usize = 64;

/// How tunnels are ended.
#[derive(Debug, Clone)]
pub struct DrainOrder {
    /// Why.
    pub kind: DrainKind,
    /// Whose tunnels, for people: a target, a listener, a filter.
    pub what: String,
    /// The Close frame's code (RFC 6455 section 7.4); that of each tunnel's HTTP settings unless
    /// given.
    pub code: Option<u16>,
    /// The Close frame's reason, at most 123 bytes.
    pub reason: String,
    /// How fast they are told.
    pub pace: Pace,
    /// How long a tunnel has before it is cut: with [`Pace::PerSecond`] from when it is told, else
    /// from the start. The drain time of each tunnel's HTTP settings unless given.
    pub time: Option<Duration>,
}

/// What a drain hangs on, for tunnels that open into it and for who begins it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DrainKey {
    Listener(ListenerId),
    Target(TargetId),
    Process,
}

/// One drain. Workers count in it, anybody reads it.
#[derive(Debug)]
pub(crate) struct Drain {
    id: u64,
    pub(super) order: DrainOrder,
    keys: Box<[DrainKey]>,
    pub(super) started: Instant,
    started_at: SystemTime,
    /// Hands out whose turn it is, where so many a second are told.
    pub(super) tickets: Option<Arc<Tickets>>,
    /// Milliseconds from the start to the last cut; 0 before there is any.
    deadline: AtomicU64,
    /// Workers that have yet to look which of their tunnels are meant.
    choosing: AtomicUsize,
    cancelled: AtomicBool,
    /// How often it was begun: what a run before the last had planned to say is not said.
    run: AtomicU32,
    total: AtomicUsize,
    told: AtomicUsize,
    closed: AtomicUsize,
    cut: AtomicUsize,
    kept: AtomicUsize,
}

impl Drain {
    fn new(id: u64, order: DrainOrder, keys: &[DrainKey]) -> Self {
        let tickets = match order.pace {
            Pace::PerSecond(rate) => Some(Arc::new(Tickets::new(rate))),
            Pace::Settings | Pace::Over(_) | Pace::AtOnce => None,
        };
        Self {
            id,
            order,
            keys: keys.into(),
            started: Instant::now(),
            started_at: SystemTime::now(),
            tickets,
            deadline: AtomicU64::new(0),
            choosing: AtomicUsize::new(0),
            cancelled: AtomicBool::new(false),
            run: AtomicU32::new(0),
            total: AtomicUsize::new(0),
            told: AtomicUsize::new(0),
            closed: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The code of the Close frame to a tunnel with these settings.
    pub(super) fn code_for(&self, settings: &HttpSettings) -> u16 {
        let code = self.order.code;
        code.unwrap_or_else(|| settings.web_socket.close_code.code())
    }

    /// How long a tunnel with these settings has.
    pub(super) fn time_for(&self, settings: &HttpSettings) -> Duration {
        self.order.time.unwrap_or(settings.drain_timeout)
    }

    /// So many workers are about to look for tunnels that are meant.
    pub(crate) fn expect_workers(&self, count: usize) {
        self.choosing.fetch_add(count, Ordering::Relaxed);
    }

    /// One of them has looked, or has ended.
    pub(crate) fn worker_has_chosen(&self) {
        self.choosing.fetch_sub(1, Ordering::Relaxed);
    }

    /// A tunnel is meant.
    pub(super) fn add(&self) {
        self.total.fetch_add(1, Ordering::Relaxed);
    }

    /// A tunnel goes on to another drain.
    pub(super) fn give_away(&self) {
        self.total.fetch_sub(1, Ordering::Relaxed);
    }

    /// A tunnel has been told.
    pub(super) fn note_told(&self) {
        self.told.fetch_add(1, Ordering::Relaxed);
    }

    /// A tunnel that was not told stays.
    pub(super) fn keep(&self) {
        self.kept.fetch_add(1, Ordering::Relaxed);
    }

    /// One that stayed is meant once more.
    pub(super) fn take_back(&self) {
        self.kept.fetch_sub(1, Ordering::Relaxed);
    }

    /// A tunnel has ended.
    pub(super) fn note_end(&self, cut: bool) {
        let count = if cut { &self.cut } else { &self.closed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Some are cut so long from now at the latest.
    pub(super) fn note_deadline(&self, time: Duration) {
        let after = (self.started.elapsed() + time).as_millis();
        let after = u64::try_from(after).unwrap_or(u64::MAX);
        self.deadline.fetch_max(after, Ordering::Relaxed);
    }

    /// Tells nobody any more.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Goes on with those that stayed.
    pub(crate) fn resume(&self) {
        self.run.fetch_add(1, Ordering::Relaxed);
        self.cancelled.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn run(&self) -> u32 {
        self.run.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.report().state != DrainState::Running
    }

    /// How far it has come.
    pub(crate) fn report(&self) -> DrainReport {
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let deadline = Duration::from_millis(self.deadline.load(Ordering::Relaxed));
        let mut report = DrainReport {
            id: self.id,
            kind: self.order.kind,
            what: self.order.what.clone(),
            state: DrainState::Running,
            started_at: self.started_at,
            deadline: (!deadline.is_zero()).then(|| self.started_at + deadline),
            total: count(&self.total),
            told: count(&self.told),
            closed: count(&self.closed),
            cut: count(&self.cut),
            kept: count(&self.kept),
        };
        if self.is_cancelled() {
            report.state = DrainState::Cancelled;
        } else if count(&self.choosing) == 0 && report.left() == 0 {
            report.state = DrainState::Finished;
        }
        report
    }
}

/// All drains that run, and the last ones that do not any more.
#[derive(Debug, Default)]
pub(crate) struct DrainBook(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    last_id: u64,
    /// The oldest first.
    drains: VecDeque<Arc<Drain>>,
}

impl DrainBook {
    /// Enters a new drain.
    pub(crate) fn begin(&self, order: DrainOrder, keys: &[DrainKey]) -> Arc<Drain> {
        self.pages().begin(order, keys)
    }

    /// The latest drain of that kind that hangs on `key`, or else a new one.
    pub(super) fn join(
        &self,
        kind: DrainKind,
        key: DrainKey,
        order: impl FnOnce() -> DrainOrder,
    ) -> Arc<Drain> {
        let mut pages = self.pages();
        let known = pages.latest(kind, &[key]);
        known.unwrap_or_else(|| pages.begin(order(), &[key]))
    }

    /// The latest drain of that kind that hangs on all of `keys`.
    pub(crate) fn hanging_on(&self, kind: DrainKind, keys: &[DrainKey]) -> Option<Arc<Drain>> {
        self.pages().latest(kind, keys)
    }

    /// The drain of that number.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Drain>> {
        let pages = self.pages();
        pages.drains.iter().find(|drain| drain.id == id).cloned()
    }

    /// All that are known, the oldest first.
    pub(crate) fn reports(&self) -> Vec<DrainReport> {
        let drains: Vec<_> = self.pages().drains.iter().cloned().collect();
        drains.iter().map(|drain| drain.report()).collect()
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // No code that can panic runs under the lock, so a poisoned one is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn begin(&mut self, order: DrainOrder, keys: &[DrainKey]) -> Arc<Drain> {
        self.last_id += 1;
        let drain = Arc::new(Drain::new(self.last_id, order, keys));
        self.forget();
        self.drains.push_back(Arc::clone(&drain));
        drain
    }

    /// Drops the oldest that are over, beyond those that are kept.
    fn forget(&mut self) {
        let over = self.drains.iter().filter(|drain| drain.is_over()).count();
        let mut too_many = (over + 1).saturating_sub(KEPT);
        self.drains.retain(|drain| {
            let goes = too_many > 0 && drain.is_over();
            too_many -= usize::from(goes);
            !goes
        });
    }

    fn latest(&self, kind: DrainKind, keys: &[DrainKey]) -> Option<Arc<Drain>> {
        let hangs = |drain: &Drain| keys.iter().all(|key| drain.keys.contains(key));
        let mut newest_first = self.drains.iter().rev();
        newest_first
            .find(|drain| drain.order.kind == kind && hangs(drain))
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(kind: DrainKind) -> DrainOrder {
        DrainOrder {
            kind,
            what: "somebody".into(),
            code: None,
            reason: "going away".into(),
            pace: Pace::Settings,
            time: None,
        }
    }

    #[test]
    fn a_drain_is_over_when_all_workers_have_chosen_and_all_tunnels_have_ended() {
        let drain = DrainBook::default().begin(order(DrainKind::Closed), &[]);
        drain.expect_workers(1);
        assert_eq!(
            drain.report().state,
            DrainState::Running,
            "nobody has looked"
        );
        (0..3).for_each(|_| drain.add());
        drain.worker_has_chosen();
        assert_eq!((drain.report().total, drain.report().left()), (3, 3));
        drain.note_told();
        drain.note_end(false);
        drain.note_end(true);
        let report = drain.report();
        assert_eq!((report.told, report.closed, report.cut), (1, 1, 1));
        assert_eq!((report.left(), report.state), (1, DrainState::Running));
        drain.note_end(false);
        assert_eq!(drain.report().state, DrainState::Finished);
    }

    #[test]
    fn what_a_cancelled_drain_keeps_is_not_left() {
        let drain = DrainBook::default().begin(order(DrainKind::Closed), &[]);
        (0..2).for_each(|_| drain.add());
        drain.cancel();
        drain.keep();
        let report = drain.report();
        assert_eq!((report.left(), report.kept), (1, 1));
        assert_eq!(report.state, DrainState::Cancelled);
        drain.resume();
        drain.take_back();
        assert_eq!(drain.report().left(), 2);
        assert_eq!(
            (drain.report().state, drain.run()),
            (DrainState::Running, 1)
        );
    }

    #[test]
    fn tunnels_join_the_latest_drain_of_what_they_hang_on() {
        let book = DrainBook::default();
        let key = DrainKey::Target(TargetId(7));
        let kind = DrainKind::TargetRemoved;
        let join = |key| book.join(kind, key, || order(kind)).id();
        assert_eq!((join(key), join(key)), (1, 1));
        assert_eq!(join(DrainKey::Target(TargetId(8))), 2);
        assert_eq!(join(DrainKey::Listener(ListenerId(7))), 3);
        let again = book.begin(order(kind), &[key]);
        assert_eq!(join(key), again.id());
        let other = DrainKind::TargetDrained;
        assert_ne!(book.join(other, key, || order(other)).id(), again.id());
    }

    #[test]
    fn drains_that_are_over_are_kept_for_a_while_and_those_that_run_for_good() {
        let book = DrainBook::default();
        let runs = book.begin(order(DrainKind::Closed), &[]);
        runs.add();
        for _ in 0..2 * KEPT {
            book.begin(order(DrainKind::Closed), &[]);
        }
        let known = book.reports();
        assert_eq!(known.len(), KEPT + 1);
        assert_eq!(known[0].id, runs.id());
        assert_eq!(known.last().map(|last| last.id), Some(2 * KEPT as u64 + 1));
        assert!(book.find(2).is_none());
    }
}
