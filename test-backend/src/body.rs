//! The bodies of answers: short ones, streams without end, and what the client sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Interval;

/// Short bodies go without an allocation of their own.
pub(crate) type AnswerBody = Either<Full<Bytes>, BoxBody<Bytes, hyper::Error>>;

pub(crate) fn text(text: impl Into<Bytes>) -> AnswerBody {
    Either::Left(Full::new(text.into()))
}

pub(crate) fn echo(request: Incoming) -> AnswerBody {
    Either::Right(request.boxed())
}

/// `length` bytes; byte `i` of them is `i % 251`.
pub(crate) fn pattern(length: u64) -> AnswerBody {
    stream(Pattern { left: length })
}

/// A chunked body with the trailer field `x-trailer: NAME`.
pub(crate) fn with_trailers(name: &str) -> AnswerBody {
    let value = HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("backend"));
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-trailer"), value)]);
    let data = Bytes::from_static(b"a body, and a trailer after it\n");
    let frames = [Frame::data(data), Frame::trailers(trailers)];
    stream(StreamBody::new(futures_util::stream::iter(frames.map(Ok))))
}

/// `count` server-sent events, one every `period`.
pub(crate) fn events(name: &str, count: u64, period: Duration) -> AnswerBody {
    stream(Events {
        name: name.to_owned(),
        sent: 0,
        count,
        timer: tokio::time::interval(period.max(Duration::from_millis(1))),
    })
}

fn stream(body: impl Body<Data = Bytes, Error = Infallible> + Send + Sync + 'static) -> AnswerBody {
    Either::Right(body.map_err(|never| match never {}).boxed())
}

const PERIOD: usize = 251;

/// A whole number of periods, so that every chunk but the last is the same.
static CHUNK: [u8; PERIOD * 256] = {
    let mut chunk = [0; PERIOD * 256];
    let mut at = 0;
    while at < chunk.len() {
        chunk[at] = (at % PERIOD) as u8;
        at += 1;
    }
    chunk
};

struct Pattern {
    left: u64,
}

impl Body for Pattern {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = usize::try_from(self.left).map_or(CHUNK.len(), |left| left.min(CHUNK.len()));
        self.left -= length as u64;
        let data = Bytes::from_static(&CHUNK[..length]);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

struct Events {
    name: String,
    sent: u64,
    count: u64,
    timer: Interval,
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent == self.count {
            return Poll::Ready(None);
        }
        std::task::ready!(self.timer.poll_tick(context));
        self.sent += 1;
        let event = format!("id: {}\ndata: {}\n\n", self.sent, self.name);
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}
