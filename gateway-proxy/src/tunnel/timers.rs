//! The timers of a worker's tunnels: one wheel, and one task that turns it.
//!
//! Deadlines mostly move on before they come: a message puts off the next Ping, the idle timeout and
//! more. So a timer is not moved with its deadline. It rings at the deadline it was set for, and whoever
//! it rings for looks what is due by then and sets it anew. A message costs no timer operation, and a
//! tunnel without deadlines has no entry.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::task::{spawn_local, yield_now};
use tokio_util::time::{DelayQueue, delay_queue};

use super::state::TunnelState;

/// The longest that a timer is set for, far below what the wheel can hold. It rings too early then, and
/// is set anew.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How many tunnels are woken before the worker looks at its sockets again.
const RINGS_A_TURN: usize = 64;

/// The wheel of one worker.
pub(super) struct Timers {
    wheel: RefCell<DelayQueue<Alarm>>,
    turning: Cell<bool>,
    #[cfg(test)]
    operations: Cell<usize>,
}

/// Whom to wake.
struct Alarm {
    tunnel: Rc<TunnelState>,
    waker: Waker,
}

/// A tunnel's place in the wheel.
#[derive(Debug, Default)]
pub(super) struct Timer {
    set: Cell<Option<(delay_queue::Key, Instant)>>,
    rang: Cell<bool>,
}

impl Timer {
    /// Whether it has rung since this was last asked.
    pub(super) fn has_rung(&self) -> bool {
        self.rang.take()
    }
}

/// The time as timers see it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Timers {
    pub(super) fn new() -> Self {
        Self {
            wheel: RefCell::default(),
            turning: Cell::new(false),
            #[cfg(test)]
            operations: Cell::new(0),
        }
    }

    /// Sees to it that `tunnel` is woken by `waker` at `at`, or before. Costs nothing while it is.
    pub(super) fn arm(self: &Rc<Self>, tunnel: &Rc<TunnelState>, waker: &Waker, at: Instant) {
        let timer = &tunnel.timer;
        let set = timer.set.get();
        if set.is_some_and(|(_, set_for)| set_for <= at) {
            return;
        }
        #[cfg(test)]
        self.operations.set(self.operations.get() + 1);
        let at = at.min(now() + LONGEST);
        let mut wheel = self.wheel.borrow_mut();
        let key = match set {
            Some((key, _)) => {
                wheel.reset_at(&key, at.into());
                key
            }
            None => {
                let (tunnel, waker) = (Rc::clone(tunnel), waker.clone());
                wheel.insert_at(Alarm { tunnel, waker }, at.into())
            }
        };
        timer.set.set(Some((key, at)));
        if !self.turning.replace(true) {
            // The wheel is the task's owner: it ends when the wheel is empty.
            drop(spawn_local(Rc::clone(self).turn()));
        }
    }

    /// `tunnel` is not to be woken any more.
    pub(super) fn disarm(&self, tunnel: &TunnelState) {
        if let Some((key, _)) = tunnel.timer.set.take() {
            self.wheel.borrow_mut().remove(&key);
        }
    }

    /// How many tunnels have a timer that is set.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.wheel.borrow().len()
    }

    /// How often one was set.
    #[cfg(test)]
    pub(super) fn operations(&self) -> usize {
        self.operations.get()
    }

    /// Rings until no timer is set.
    async fn turn(self: Rc<Self>) {
        let mut rings = 0;
        while let Some(expired) = poll_fn(|cx| self.wheel.borrow_mut().poll_expired(cx)).await {
            let Alarm { tunnel, waker } = expired.into_inner();
            tunnel.timer.set.set(None);
            tunnel.timer.rang.set(true);
            waker.wake();
            rings += 1;
            if rings % RINGS_A_TURN == 0 {
                yield_now().await;
            }
        }
        self.turning.set(false);
    }
}
