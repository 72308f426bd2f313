//! Requests under way at backends: those whose listener or target goes are cut when their drain time
//! is up, as tunnels are.
//!
//! The connections' tasks do the cutting; nothing here has a timer.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gateway_core::snapshot::{ListenerId, Snapshot, TargetId};
use slab::Slab;

use crate::client_connection::Context;

/// The requests of one worker that are at a backend.
#[derive(Default)]
pub(crate) struct InFlight(RefCell<Slab<Flight>>);

/// One request, and what it hangs on.
pub(crate) struct Flight {
    pub(crate) context: Rc<Context>,
    pub(crate) listener: ListenerId,
    pub(crate) target: TargetId,
    /// What it has left when either goes.
    pub(crate) drain_timeout: Duration,
}

impl Flight {
    /// Gives the request its last deadline, if `snapshot` has its listener or its target no more.
    pub(crate) fn judge(&self, snapshot: &Snapshot, now: Instant) {
        if !snapshot.has_listener(self.listener) || !snapshot.has_target(self.target) {
            self.context.cut_at(now + self.drain_timeout);
        }
    }
}

impl InFlight {
    /// A request goes to a backend; the key takes it out again.
    pub(crate) fn insert(&self, flight: Flight) -> usize {
        self.0.borrow_mut().insert(flight)
    }

    /// The request has ended, or goes elsewhere.
    pub(crate) fn remove(&self, key: usize) {
        // Dropped when the table is free again.
        let _gone = self.0.borrow_mut().try_remove(key);
    }

    /// Judges every request by a new snapshot.
    pub(crate) fn refresh(&self, snapshot: &Snapshot) {
        let now = Instant::now();
        for (_, flight) in &*self.0.borrow() {
            flight.judge(snapshot, now);
        }
    }
}
