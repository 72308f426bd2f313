//! Drives hyper's part of a connection, and cuts what is late.

use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll, ready};
use std::time::{Duration, Instant};

use gateway_core::config::Limits;

use super::{BreakOff, Context};
use crate::client_io::Phase;
use crate::error::Side;
use crate::timer::Timer;

/// A fresh connection that drains may still bring its first request this long.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// How hyper's part of a connection ended.
pub(super) enum Ended {
    /// As HTTP wants it, or the client left.
    Closed,
    /// With a broken request or a broken answer.
    Broken,
    /// A head did not come in time.
    HeadTimeout,
    /// No next request came in time, or there is to be none.
    Idle,
    /// Another client wants the place, and no next request has come.
    MakesRoom,
    /// Inside an exchange, whose answer may have begun.
    BrokenOff {
        /// Whether something of the answer may have been sent.
        answered: bool,
    },
}

/// Polls hyper, and cuts what is late.
pub(super) struct Driver<'a, D> {
    context: &'a Context,
    limits: &'a Limits,
    timer: Timer,
    drained: Pin<Box<D>>,
    drains_since: Option<Instant>,
    registered: bool,
}

impl<'a, D: Future<Output = ()>> Driver<'a, D> {
    /// Of a connection that drains when `drained` is ready.
    pub(super) fn new(context: &'a Context, limits: &'a Limits, drained: D) -> Self {
        Self {
            context,
            limits,
            timer: Timer::default(),
            drained: Box::pin(drained),
            drains_since: None,
            registered: false,
        }
    }

    /// Ready when hyper has ended, or is not to go on.
    pub(super) fn poll<C>(&mut self, cx: &mut task::Context<'_>, connection: &mut C) -> Poll<Ended>
    where
        C: Future<Output = hyper::Result<()>> + Unpin,
    {
        if !self.registered {
            self.registered = true;
            self.context.interim.wakes(cx.waker());
        }
        if let Poll::Ready(result) = Pin::new(connection).poll(cx) {
            return Poll::Ready(match result {
                Ok(()) => Ended::Closed,
                Err(error) => {
                    // A head that hyper refused by itself never became a request.
                    if error.is_parse() {
                        self.context.worker.metrics().failed(Side::Client);
                    }
                    Ended::Broken
                }
            });
        }
        if self.context.watch.makes_room() {
            return Poll::Ready(Ended::MakesRoom);
        }
        if self.drains_since.is_none() && self.drained.as_mut().poll(cx).is_ready() {
            self.drains_since = Some(Instant::now());
        }
        let watch = &self.context.watch;
        let stalled = watch
            .blocked_since()
            .map(|since| since + self.limits.request_body_timeout);
        let taken_out = self.context.cut_at.get();
        let deadlines = [self.next_request_due(), stalled, taken_out];
        let first = deadlines.into_iter().flatten().min();
        ready!(self.timer.poll_at(cx, first));
        let now = Instant::now();
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|due| due <= now);
        Poll::Ready(if is_due(stalled) {
            self.break_off(BreakOff::Stalled)
        } else if is_due(taken_out) {
            self.break_off(BreakOff::TakenOut)
        } else if watch.phase() == Phase::Head && self.drains_since.is_none() {
            self.context.worker.metrics().failed(Side::Client);
            Ended::HeadTimeout
        } else {
            Ended::Idle
        })
    }

    /// Until when the next request, or the rest of its head, may come; `None` inside an exchange.
    fn next_request_due(&self) -> Option<Instant> {
        let watch = &self.context.watch;
        let due = watch.deadline(
            self.limits.request_head_timeout,
            self.limits.keep_alive_timeout,
        )?;
        let Some(since) = self.drains_since else {
            return Some(due);
        };
        let grace = if watch.has_served() && watch.phase() == Phase::Waiting {
            Duration::ZERO
        } else {
            FIRST_REQUEST_GRACE
        };
        Some(due.min(since + grace))
    }

    fn break_off(&self, why: BreakOff) -> Ended {
        self.context.breaks_off.set(Some(why));
        let answered = why == BreakOff::Stalled || self.context.watch.phase() != Phase::Busy;
        Ended::BrokenOff { answered }
    }
}
