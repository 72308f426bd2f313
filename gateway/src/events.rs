//! What happens in the process, kept for a while and told to whoever reads.
//!
//! One ring for all readers: each has a place in it, so that a slow one costs nothing but itself.

mod feed;
mod lookout;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use gateway_admin::{Event, EventId, Happening, Since, Told};
use tokio::sync::watch;

pub(crate) use feed::{Feed, Publications, Published};

/// So many events are kept for those who come back, and for those who are slow. An event is a few
/// hundred bytes; one with a hundred changes or refusals some thousands.
const KEPT: usize = 1024;

/// Takes events, from anywhere. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct EventBus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Of this process alone, so that the ids of another one are known to be foreign.
    process: u64,
    ring: Mutex<Ring>,
    /// Readers wait for its changes.
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    /// The serial of the last event; 0 before the first.
    last: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    last: u64,
    closed: bool,
}

impl EventBus {
    /// Without events.
    pub(crate) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let process = u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX);
        Self {
            shared: Arc::new(Shared {
                process,
                ring: Mutex::default(),
                state: watch::Sender::default(),
            }),
        }
    }

    /// Something has happened.
    pub(crate) fn tell(&self, what: Happening) {
        let at = SystemTime::now();
        let mut ring = self.shared.ring();
        ring.last += 1;
        let last = ring.last;
        let id = EventId {
            process: self.shared.process,
            serial: last,
        };
        if ring.events.len() == KEPT {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::new(Event { id, at, what }));
        // Within the lock, so that the number never goes back.
        self.shared.state.send_modify(|state| state.last = last);
    }

    /// Nothing more happens: readers come to their end when they have had everything.
    pub(crate) fn close(&self) {
        self.shared.state.send_modify(|state| state.closed = true);
    }

    /// A new reader.
    pub(crate) fn read(&self, since: Since) -> Reader {
        let ring = self.shared.ring();
        let gone = ring.first() - 1;
        let (after, note) = match since {
            Since::Now => (ring.last, None),
            Since::Oldest => (gone, None),
            Since::After(id) if id.process == self.shared.process && id.serial <= ring.last => {
                let missed = gone.saturating_sub(id.serial);
                let note = (missed > 0).then_some(Told::Missed(Some(missed)));
                (id.serial.max(gone), note)
            }
            // Of another process, or made up: nobody knows what came behind it.
            Since::After(_) => (gone, Some(Told::Missed(None))),
        };
        drop(ring);
        Reader {
            shared: Arc::clone(&self.shared),
            state: self.shared.state.subscribe(),
            after,
            note,
            over: false,
        }
    }
}

impl Shared {
    /// A panic while it was held leaves at worst one event out.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// The serial of the first event that is kept, or of the next.
    fn first(&self) -> u64 {
        self.last + 1 - self.events.len() as u64
    }

    fn get(&self, serial: u64) -> Option<&Arc<Event>> {
        let at = serial.checked_sub(self.first())?;
        self.events.get(usize::try_from(at).ok()?)
    }
}

/// Somebody who is told.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    state: watch::Receiver<State>,
    /// The serial of the last event that it was told.
    after: u64,
    /// To be said before anything else.
    note: Option<Told>,
    /// It was too slow.
    over: bool,
}

impl Reader {
    /// Waits for the next. `None` when there is no more.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        if let Some(note) = self.note.take() {
            return Some(note);
        }
        let after = self.after;
        let news = |state: &State| state.last > after || state.closed;
        if self.over || self.state.wait_for(news).await.ok()?.last == after {
            return None;
        }
        let ring = self.shared.ring();
        let Some(event) = ring.get(after + 1) else {
            self.over = true;
            return Some(Told::TooSlow(ring.first() - 1 - after));
        };
        self.after += 1;
        Some(Told::Event(Arc::clone(event)))
    }
}

#[cfg(test)]
mod tests;
