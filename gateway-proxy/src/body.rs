//! The bodies that stream through: ours, so that other versions of HTTP can join without touching
//! the service. Nothing here collects a body.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::exchange::Exchange;
use crate::timer::Timer;
use crate::upstream::Lease;
use crate::upstream::expect::Gate;

/// A request's body on its way to a backend.
pub(crate) enum RequestBody {
    /// The request has none.
    Empty,
    /// It follows from the client.
    Streaming(Box<StreamingBody>),
}

/// A body that comes from a client, watched for silence.
pub(crate) struct StreamingBody {
    incoming: Incoming,
    gate: Option<Gate>,
    upload: Rc<Upload>,
    patience: Duration,
    timer: Timer,
    waiting_since: Option<Instant>,
}

/// What the request knows of its body, which hyper has taken.
pub(crate) struct Upload {
    /// The last time a part of the body went on, or the request's start.
    pub(crate) moved_at: Cell<Instant>,
    /// Set when the client's side of the body failed.
    pub(crate) failure: Cell<Option<BodyFailure>>,
    /// Set when some of the body has been taken from the client.
    pub(crate) begun: Cell<bool>,
    /// Bytes of body that went on.
    pub(crate) bytes: Cell<u64>,
}

/// Why a request's body ended early: the client's doing, each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFailure {
    /// Silence.
    #[error("the request's body did not arrive in time")]
    Timeout,
    /// Bad framing, or an end before it is complete.
    #[error("the request's body is malformed")]
    Broken,
    /// The connection broke inside it.
    #[error("the client went away inside its request's body")]
    Gone,
}

impl Upload {
    pub(crate) fn new(now: Instant) -> Rc<Self> {
        Rc::new(Self {
            moved_at: Cell::new(now),
            failure: Cell::new(None),
            begun: Cell::new(false),
            bytes: Cell::new(0),
        })
    }
}

impl RequestBody {
    /// Wraps a client's body. With a `gate`, nothing is asked of the client before it opens.
    pub(crate) fn streaming(
        incoming: Incoming,
        gate: Option<Gate>,
        upload: Rc<Upload>,
        patience: Duration,
    ) -> Self {
        Self::Streaming(Box::new(StreamingBody {
            incoming,
            gate,
            upload,
            patience,
            timer: Timer::default(),
            waiting_since: None,
        }))
    }
}

impl StreamingBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        if let Some(gate) = &mut self.gate {
            ready!(gate.poll_open(cx));
            self.gate = None;
        }
        self.upload.begun.set(true);
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                self.waiting_since = None;
                self.upload.moved_at.set(Instant::now());
                if let Some(data) = frame.data_ref() {
                    let bytes = self.upload.bytes.get() + data.len() as u64;
                    self.upload.bytes.set(bytes);
                }
                if let Some(trailers) = frame.trailers_mut() {
                    crate::forwarded_headers::keep_plain_trailers(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(self.fail(reason(&error))))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let since = *self.waiting_since.get_or_insert_with(Instant::now);
                ready!(self.timer.poll_at(cx, Some(since + self.patience)));
                Poll::Ready(Some(Err(self.fail(BodyFailure::Timeout))))
            }
        }
    }

    fn fail(&mut self, failure: BodyFailure) -> BodyFailure {
        self.upload.failure.set(Some(failure));
        failure
    }
}

/// A connection that breaks inside a body is a client that left, everything else is bad framing: so is
/// a FIN, since whoever sent it may still read (RFC 9112 section 8).
fn reason(error: &hyper::Error) -> BodyFailure {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(level) = source {
        if let Some(io) = level.downcast_ref::<std::io::Error>() {
            let bad_framing = matches!(
                io.kind(),
                std::io::ErrorKind::InvalidData
                    | std::io::ErrorKind::InvalidInput
                    | std::io::ErrorKind::UnexpectedEof
            );
            return if bad_framing {
                BodyFailure::Broken
            } else {
                BodyFailure::Gone
            };
        }
        source = level.source();
    }
    BodyFailure::Gone
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(body) => body.incoming.size_hint(),
        }
    }
}

/// An answer's body on its way to a client.
pub(crate) enum ResponseBody {
    /// Of the gateway's own making, or none.
    Full(Option<Bytes>),
    /// It follows from a backend.
    Backend(BackendBody),
    /// It stays away, and the head has its length all the same: a 304 says how long the 200 would be
    /// (RFC 9110 section 8.6). hyper keeps that only for a body that claims to be so long, and then
    /// asks for none of it.
    NotModified {
        /// The end of the exchange.
        body: BackendBody,
        /// The length in the head.
        length: u64,
    },
}

/// A backend's body, with what must happen when it ends.
pub(crate) struct BackendBody {
    incoming: Incoming,
    lease: Option<Lease>,
    ended: bool,
    /// It has failed, but what came before that goes out first.
    broken: Option<hyper::Error>,
    exchange: Exchange,
}

impl ResponseBody {
    /// A body at hand.
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }

    /// No body.
    pub(crate) fn empty() -> Self {
        Self::Full(None)
    }

    /// As [`ResponseBody::backend`], of a 304 with this length in its head.
    pub(crate) fn not_modified(
        length: u64,
        incoming: Incoming,
        lease: Lease,
        exchange: Exchange,
    ) -> Self {
        let body = BackendBody::new(incoming, lease, exchange);
        Self::NotModified { body, length }
    }

    /// The rest of a backend's answer. The connection goes back to its pool when this has ended
    /// cleanly, and is cut when it is dropped before.
    pub(crate) fn backend(incoming: Incoming, lease: Lease, exchange: Exchange) -> Self {
        Self::Backend(BackendBody::new(incoming, lease, exchange))
    }
}

impl BackendBody {
    fn new(incoming: Incoming, lease: Lease, exchange: Exchange) -> Self {
        Self {
            incoming,
            lease: Some(lease),
            ended: false,
            broken: None,
            exchange,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            Some(Ok(mut frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.exchange.count_sent(data.len());
                }
                if let Some(trailers) = frame.trailers_mut() {
                    crate::forwarded_headers::keep_plain_trailers(trailers);
                    self.ended = true;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.exchange.truncated();
                // hyper writes when this is pending, and drops what it has buffered when it fails.
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for BackendBody {
    fn drop(&mut self) {
        if self.ended || self.incoming.is_end_stream() {
            self.exchange.complete();
            if let Some(lease) = self.lease.take() {
                lease.give_back();
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Backend(body) | Self::NotModified { body, .. } => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Backend(body) => body.incoming.is_end_stream(),
            Self::NotModified { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Backend(body) => body.incoming.size_hint(),
            Self::NotModified { length, .. } => SizeHint::with_exact(*length),
        }
    }
}
