//! Signals, and the phases of the process's life.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is published yet.
    Starting,
    /// Requests are served.
    Serving,
    /// No new work; what is open finishes.
    Draining,
}

/// What an operator asks for by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// SIGTERM or SIGINT: drain and end; the second time, end at once.
    End,
    /// SIGHUP: read everything anew.
    Reload,
}

/// The signals that we listen to, from the moment this exists.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes the signals over from the system's defaults.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::End,
            _ = self.interrupt.recv() => Request::End,
            _ = self.hang_up.recv() => Request::Reload,
        }
    }

    /// Returns at the next SIGTERM or SIGINT.
    pub(crate) async fn end(&mut self) {
        while self.next().await != Request::End {}
    }
}
