//! `Expect: 100-continue`: a client's body is not asked for before the backend asks for it
//! (RFC 9110 section 10.1.1).
//!
//! Opening the gate lets hyper's server poll the body, which makes it send the client its 100: that
//! is how the backend's 100 is relayed.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::timer::Timer;

/// A backend that says neither 100 nor anything else is sent the body after this: it may not know
/// `Expect` at all.
const PATIENCE: Duration = Duration::from_secs(1);

/// Holds a body back.
pub(crate) struct Gate {
    opened: Option<oneshot::Receiver<()>>,
    timer: Timer,
    since: Option<Instant>,
}

/// Opens a gate, once.
pub(crate) struct Opener(Mutex<Option<oneshot::Sender<()>>>);

/// A closed gate, and what opens it.
pub(crate) fn gate() -> (Gate, Opener) {
    let (opener, opened) = oneshot::channel();
    let gate = Gate {
        opened: Some(opened),
        timer: Timer::default(),
        since: None,
    };
    (gate, Opener(Mutex::new(Some(opener))))
}

impl Opener {
    /// Opens the gate; `false` when it was opened before.
    pub(crate) fn open(&self) -> bool {
        let opener = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        opener.is_some_and(|opener| opener.send(()).is_ok())
    }
}

impl Gate {
    /// Ready when the body may go. After a final answer it never is: the opener is gone by then, and
    /// the connection ends with the answer.
    pub(crate) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(opened) = &mut self.opened else {
            return Poll::Pending;
        };
        match Pin::new(opened).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) => {
                self.opened = None;
                Poll::Pending
            }
            Poll::Pending => {
                let since = *self.since.get_or_insert_with(Instant::now);
                self.timer.poll_at(cx, Some(since + PATIENCE))
            }
        }
    }
}
