//! A bounded number of connections, of which those that ask nothing make room when others wait.
//!
//! Without that, whoever can reach the API could shut everybody out, without a token, by opening
//! connections and sending nothing.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The places of one listener.
pub(super) struct Seats {
    permits: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
    count: usize,
    patience: Duration,
    cut: CancellationToken,
}

/// Who sits where, the longest sitting first.
#[derive(Default)]
struct Taken {
    next: u64,
    guests: BTreeMap<u64, Arc<Guest>>,
}

struct Guest {
    requests: AtomicUsize,
    left: CancellationToken,
}

/// One connection's place, given back when dropped.
pub(super) struct Seat {
    number: u64,
    guest: Arc<Guest>,
    taken: Arc<Mutex<Taken>>,
    _permit: OwnedSemaphorePermit,
}

/// A request is being answered.
pub(super) struct Busy(Arc<Guest>);

/// A body whose connection is busy until it has ended, or is dropped.
pub(super) struct BusyBody<B> {
    body: B,
    _busy: Busy,
}

impl Seats {
    /// So many places; `cut` empties all of them.
    pub(super) fn new(count: usize, patience: Duration, cut: &CancellationToken) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(count)),
            taken: Arc::default(),
            count,
            patience,
            cut: cut.clone(),
        }
    }

    /// Waits for a free place; when nobody leaves for long, those who ask nothing have to.
    pub(super) async fn free(&self) -> Seat {
        loop {
            let permit = Arc::clone(&self.permits).acquire_owned();
            if let Ok(permit) = tokio::time::timeout(self.patience, permit).await {
                return self.take(permit.expect("the semaphore is never closed"));
            }
            self.make_room();
        }
    }

    fn take(&self, permit: OwnedSemaphorePermit) -> Seat {
        let guest = Arc::new(Guest {
            requests: AtomicUsize::new(0),
            left: self.cut.child_token(),
        });
        let mut taken = lock(&self.taken);
        let number = taken.next;
        taken.next += 1;
        taken.guests.insert(number, Arc::clone(&guest));
        Seat {
            number,
            guest,
            taken: Arc::clone(&self.taken),
            _permit: permit,
        }
    }

    /// A quarter at a time, the longest sitting first, so that a flood cannot keep up.
    fn make_room(&self) {
        let taken = lock(&self.taken);
        let idle = taken.guests.values();
        let idle = idle.filter(|guest| guest.requests.load(Ordering::Relaxed) == 0);
        let mut closed = 0;
        for guest in idle.take((self.count / 4).max(1)) {
            guest.left.cancel();
            closed += 1;
        }
        tracing::warn!(closed, "connections to the API without a request make room");
    }
}

impl Seat {
    /// Cancelled when the connection has to go.
    pub(super) fn left(&self) -> CancellationToken {
        self.guest.left.clone()
    }

    /// Keeps the seat for as long as a request is being answered.
    pub(super) fn busy(&self) -> Busy {
        self.guest.requests.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(&self.guest))
    }
}

impl Busy {
    /// An answer may take long: a large document to a slow reader, or events.
    pub(super) fn until_end_of<B>(self, body: B) -> BusyBody<B> {
        BusyBody { body, _busy: self }
    }
}

impl<B: Body + Unpin> Body for BusyBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.taken).guests.remove(&self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A panic while it was held leaves the list whole: each change is one call.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}
