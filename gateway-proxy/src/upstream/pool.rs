//! Idle connections of one worker, by (pool, settings, target): bounded, the last used first.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::connection::{BackendConnection, BackendTls};

/// How long a connection may lie idle. Most servers wait at least as long; one that does not is found
/// out before its connection is used.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// The most idle connections of one worker to one target.
const MAX_IDLE: usize = 256;

/// A worker's idle connections.
pub(crate) struct Pool {
    /// The most of them, whoever they lead to.
    max_idle: usize,
    /// How many there are.
    count: Cell<usize>,
    /// By the id of the target's health cell, which names (pool, settings, target); for the targets
    /// that are live and no other.
    idle: RefCell<HashMap<u64, Vec<Idle>>>,
}

struct Idle {
    connection: BackendConnection,
    since: Instant,
}

impl Pool {
    /// An empty pool that keeps `max_idle` connections, which are descriptors.
    pub(crate) fn new(max_idle: usize) -> Self {
        Self {
            max_idle,
            count: Cell::new(0),
            idle: RefCell::default(),
        }
    }

    /// The connection used last, if there is one that is still open and speaks TLS as `tls` says.
    pub(crate) fn take(
        &self,
        target: u64,
        tls: Option<&BackendTls<'_>>,
    ) -> Option<BackendConnection> {
        let mut idle = self.idle.borrow_mut();
        let list = idle.get_mut(&target)?;
        loop {
            let at = list.iter().rposition(|idle| idle.connection.speaks(tls))?;
            let connection = list.remove(at).connection;
            self.count.update(|count| count - 1);
            if connection.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Whether no idle connection is kept for `target`.
    pub(crate) fn is_empty(&self, target: u64) -> bool {
        self.idle.borrow().get(&target).is_none_or(Vec::is_empty)
    }

    /// Hands a connection to a request; it comes back when its answer has ended.
    pub(crate) fn lease(self: &Rc<Self>, target: u64, connection: BackendConnection) -> Lease {
        Lease {
            pool: Rc::clone(self),
            target,
            connection,
            once: false,
        }
    }

    /// Closes idle connections to targets other than `live`; those that come back later are closed then.
    pub(crate) fn keep_only(&self, live: impl Iterator<Item = u64>) {
        let mut idle = self.idle.borrow_mut();
        let mut kept = HashMap::with_capacity(idle.len());
        for target in live {
            let connections = idle.remove(&target).unwrap_or_default();
            kept.entry(target).or_insert(connections);
        }
        *idle = kept;
        self.recount(&idle);
    }

    fn recount(&self, idle: &HashMap<u64, Vec<Idle>>) {
        self.count.set(idle.values().map(Vec::len).sum());
    }

    /// Closes all that is idle, for whom it may: this machine is out of descriptors or ports.
    pub(crate) fn close_idle(&self) {
        for list in self.idle.borrow_mut().values_mut() {
            list.clear();
        }
        self.count.set(0);
    }

    /// Closes what has been idle for too long or was closed by its backend.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        for list in idle.values_mut() {
            list.retain(|idle| {
                !idle.connection.is_closed() && now.duration_since(idle.since) < IDLE_TIMEOUT
            });
        }
        self.recount(&idle);
    }
}

/// A connection in use. Dropped, it is cut; given back, it may serve again.
pub(crate) struct Lease {
    pool: Rc<Pool>,
    target: u64,
    connection: BackendConnection,
    once: bool,
}

impl Lease {
    /// Lets this exchange be the connection's last.
    pub(crate) fn use_no_more(&mut self) {
        self.once = true;
    }

    /// Returns the connection after a clean end. One that is not idle by now (its request's body has
    /// not gone out, or more bytes came than the answer has) is cut, and one to a target that is gone.
    pub(crate) fn give_back(self) {
        if self.once || !self.connection.is_idle() {
            return;
        }
        let mut idle = self.pool.idle.borrow_mut();
        let Some(list) = idle.get_mut(&self.target) else {
            return;
        };
        let all = &self.pool.count;
        if list.len() >= MAX_IDLE || (all.get() >= self.pool.max_idle && !list.is_empty()) {
            list.remove(0);
        } else if all.get() >= self.pool.max_idle {
            return;
        } else {
            all.update(|count| count + 1);
        }
        list.push(Idle {
            connection: self.connection,
            since: Instant::now(),
        });
    }
}
