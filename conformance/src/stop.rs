//! The signals that end a run before its end. What it has set up is ended in order, and what it
//! found so far is reported.

use std::cell::Cell;
use std::rc::Rc;

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// Ctrl-C, SIGTERM or SIGHUP, as soon as one of them has come.
#[derive(Debug)]
pub(crate) struct Stop {
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    is_here: Cell<bool>,
    came: Notify,
}

impl Stop {
    /// Listens from now on, inside a `LocalSet`.
    pub(crate) fn listen() -> Result<Self> {
        let state = Rc::new(State::default());
        for kind in [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ] {
            tokio::task::spawn_local(listen(signal(kind)?, Rc::clone(&state)));
        }
        Ok(Self { state })
    }

    pub(crate) fn is_here(&self) -> bool {
        self.state.is_here.get()
    }

    /// Returns when it is here.
    pub(crate) async fn wait(&self) {
        while !self.is_here() {
            self.state.came.notified().await;
        }
    }
}

async fn listen(mut signal: Signal, state: Rc<State>) {
    while signal.recv().await.is_some() {
        state.is_here.set(true);
        state.came.notify_waiters();
    }
}
