//! A bound that holds for all workers together: open connections.
//!
//! Written once a connection, never on the way of a plain request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Descriptors kept back for the admin API, probes, logs and the store.
const DESCRIPTORS_KEPT_BACK: u64 = 128;

/// Of the descriptors that are left, the part for idle connections to backends.
const IDLE_PART: u64 = 8;

/// So many clients may wait for room with a descriptor of their own; the kernel holds the others.
const MOST_WAITING: u32 = 32;

/// While clients wait, workers are asked for idle connections so often: who was busy may be idle by
/// then.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// How many client connections may be open.
#[derive(Debug)]
pub(crate) struct ConnectionBudget {
    open: AtomicU32,
    /// `maxConnections`.
    configured: AtomicU32,
    /// What the process has descriptors for: two a connection, the client's and the backend's.
    affordable: u32,
    /// What there are descriptors for besides: idle connections to backends.
    idle: usize,
    freed: Notify,
    /// Clients that were accepted and have no share yet.
    waiting: AtomicU32,
    /// Asks each worker to let idle connections go.
    asked: Box<[Notify]>,
}

/// One connection's share.
#[derive(Debug)]
pub(crate) struct ConnectionPermit(Arc<ConnectionBudget>);

impl ConnectionBudget {
    /// A budget for a process that may have `descriptors` open, `None` for any number, and has so
    /// many workers.
    pub(crate) fn new(descriptors: Option<u64>, workers: usize) -> Arc<Self> {
        let spare = descriptors.map(|all| all.saturating_sub(DESCRIPTORS_KEPT_BACK.min(all / 2)));
        let affordable = spare.map_or(u32::MAX, |spare| {
            let pairs = (spare - spare / IDLE_PART) / 2;
            u32::try_from(pairs).unwrap_or(u32::MAX).max(1)
        });
        let idle = spare.and_then(|spare| usize::try_from(spare / IDLE_PART).ok());
        Arc::new(Self {
            open: AtomicU32::new(0),
            configured: AtomicU32::new(u32::MAX),
            affordable,
            idle: idle.unwrap_or(usize::MAX),
            freed: Notify::new(),
            waiting: AtomicU32::new(0),
            asked: (0..workers).map(|_| Notify::new()).collect(),
        })
    }

    /// How many idle connections to backends one of so many workers may keep.
    pub(crate) fn idle_share(&self, workers: usize) -> usize {
        self.idle / workers.max(1)
    }

    /// Sets `maxConnections`.
    pub(crate) fn configure(&self, max: Option<u32>) {
        self.configured
            .store(max.unwrap_or(u32::MAX), Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Takes a share for a client that has been accepted. Where there is none, idle connections are
    /// asked to leave, over and over, until one comes free.
    pub(crate) async fn acquire(self: &Arc<Self>) -> ConnectionPermit {
        if self.take_if_any() {
            return ConnectionPermit(Arc::clone(self));
        }
        let _waits = Waits::begin(self);
        loop {
            self.asked.iter().for_each(Notify::notify_one);
            let free = self.when(|| self.take_if_any());
            if tokio::time::timeout(ASK_AGAIN, free).await.is_ok() {
                return ConnectionPermit(Arc::clone(self));
            }
        }
    }

    /// Takes a share whether there is one or not, for a client that cannot wait.
    pub(crate) fn take(self: &Arc<Self>) -> ConnectionPermit {
        self.open.fetch_add(1, Ordering::Relaxed);
        ConnectionPermit(Arc::clone(self))
    }

    fn take_if_any(&self) -> bool {
        let taken = self.open.fetch_add(1, Ordering::Relaxed) < self.limit();
        if !taken {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }

    /// Waits until one more client may be accepted: there is room, or it may wait for some. That
    /// takes no share: many endpoints would hold it for nothing.
    pub(crate) async fn may_accept(&self) {
        self.when(|| self.open() < self.limit() || self.waiting() < MOST_WAITING)
            .await;
    }

    /// Waits until this worker is asked to let idle connections go.
    pub(crate) async fn asks(&self, worker: usize) {
        self.asked[worker].notified().await;
    }

    /// Clients that were accepted and have no share yet.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    async fn when(&self, condition: impl Fn() -> bool) {
        loop {
            // Listens before it looks, so that what comes free in between is not missed.
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            if condition() {
                return;
            }
            freed.await;
        }
    }

    /// Open client connections.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    fn limit(&self) -> u32 {
        self.affordable.min(self.configured.load(Ordering::Relaxed))
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_waiters();
    }
}

/// A client waits, until this is dropped.
struct Waits<'b>(&'b ConnectionBudget);

impl<'b> Waits<'b> {
    fn begin(budget: &'b ConnectionBudget) -> Self {
        budget.waiting.fetch_add(1, Ordering::Relaxed);
        Self(budget)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_waits_for_its_share() {
        let budget = ConnectionBudget::new(None, 1);
        budget.configure(Some(1));
        let first = budget.acquire().await;
        let mut second = std::pin::pin!(budget.acquire());
        let waits = tokio::time::timeout(Duration::ZERO, &mut second).await;
        assert!(waits.is_err());
        assert_eq!(budget.waiting(), 1);
        // The worker is asked for idle connections.
        budget.asks(0).await;
        drop(first);
        drop(second.await);
        assert_eq!((budget.open(), budget.waiting()), (0, 0));
    }

    #[test]
    fn few_descriptors_still_afford_a_connection() {
        assert_eq!(ConnectionBudget::new(Some(4), 1).limit(), 1);
        assert_eq!(ConnectionBudget::new(Some(1024), 1).limit(), 392);
        assert_eq!(ConnectionBudget::new(Some(1024), 1).idle_share(4), 28);
        assert_eq!(ConnectionBudget::new(None, 1).limit(), u32::MAX);
    }
}
