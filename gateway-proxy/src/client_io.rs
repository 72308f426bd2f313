//! What lies between hyper and a client's socket: it knows when a head or a next request is late,
//! and puts interim answers (1xx) ahead of the final head, which hyper's server cannot write.
//!
//! It knows nothing of requests: [`serve`](crate::serve) tells it when one begins and ends.

mod stream;

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::gathered::poll_write_gathered;
pub(crate) use stream::ClientStream;

/// The most bytes of interim answers that wait for one client; more are dropped.
const MAX_QUEUED_INTERIM: usize = 16 * 1024;

/// What a connection is doing, as its deadlines see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between requests: nothing of the next one is here.
    Waiting,
    /// A head is due: on a fresh connection, or since its first byte.
    Head,
    /// A request is being served, and its answer's head is not there yet.
    Busy,
    /// The head of the answer has gone to hyper: no interim answer may follow.
    Answering,
}

/// The phase of one connection, and since when; shared by its socket, its service and its task.
#[derive(Debug)]
pub(crate) struct Watch {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    served: Cell<bool>,
    /// The client has taken nothing since then, and there is something for it.
    blocked: Cell<Option<Instant>>,
    /// Another client waits for this one's place.
    makes_room: Cell<bool>,
}

impl Watch {
    /// A fresh connection: its first head is due from now on.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Cell::new(Phase::Head),
            since: Cell::new(now),
            served: Cell::new(false),
            blocked: Cell::new(None),
            makes_room: Cell::new(false),
        }
    }

    /// A head is complete.
    pub(crate) fn request_begins(&self) {
        self.phase.set(Phase::Busy);
    }

    /// The head of the answer is there.
    pub(crate) fn answer_begins(&self) {
        self.phase.set(Phase::Answering);
    }

    /// An answer is complete.
    pub(crate) fn request_ends(&self) {
        self.request_ends_at(Instant::now());
    }

    pub(crate) fn request_ends_at(&self, now: Instant) {
        self.phase.set(Phase::Waiting);
        self.since.set(now);
        self.served.set(true);
    }

    /// Since when this connection has had all that it asked for; `None` while it wants something, and
    /// when it is leaving already.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.phase.get() == Phase::Waiting
            && self.blocked.get().is_none()
            && !self.makes_room.get();
        is_idle.then(|| self.since.get())
    }

    /// Has this idle connection leave, unless it asks for something before it notices.
    pub(crate) fn make_room(&self) {
        self.makes_room.set(true);
    }

    /// Whether this connection is idle and has to leave.
    pub(crate) fn makes_room(&self) -> bool {
        self.makes_room.get()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether a request has been answered on this connection.
    pub(crate) fn has_served(&self) -> bool {
        self.served.get()
    }

    /// When the connection is to be cut, unless something happens before.
    pub(crate) fn deadline(&self, head: Duration, keep_alive: Duration) -> Option<Instant> {
        match self.phase.get() {
            // The last of an answer is still on its way.
            Phase::Waiting if self.blocked.get().is_some() => None,
            Phase::Waiting => Some(self.since.get() + keep_alive),
            Phase::Head => Some(self.since.get() + head),
            Phase::Busy | Phase::Answering => None,
        }
    }

    /// Since when the client has taken nothing of what there is for it.
    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        self.blocked.get()
    }

    /// Notes whether a write went through.
    fn wrote<T>(&self, result: Poll<T>) -> Poll<T> {
        if result.is_pending() {
            if self.blocked.get().is_none() {
                self.blocked.set(Some(Instant::now()));
            }
        } else if self.blocked.take().is_some() && self.phase.get() == Phase::Waiting {
            self.since.set(Instant::now());
        }
        result
    }

    fn bytes_arrived(&self) {
        if self.phase.get() == Phase::Waiting {
            self.phase.set(Phase::Head);
            self.since.set(Instant::now());
            self.makes_room.set(false);
        }
    }
}

/// Interim answers on their way to one client. Shared with the upstream connection, whose callback
/// hyper wants to be `Send` and `Sync`.
#[derive(Debug, Default)]
pub(crate) struct Interim {
    waiting: AtomicBool,
    queue: Mutex<InterimQueue>,
}

#[derive(Debug, Default)]
struct InterimQueue {
    bytes: Vec<u8>,
    waker: Option<Waker>,
}

impl Interim {
    /// Who must be woken when an interim answer arrives: the client connection's task.
    pub(crate) fn wakes(&self, waker: &Waker) {
        self.lock().waker = Some(waker.clone());
    }

    /// Queues one interim answer (RFC 9110 section 15.2) for the client.
    pub(crate) fn push(&self, status: StatusCode, headers: &HeaderMap) {
        let mut queue = self.lock();
        if queue.bytes.len() > MAX_QUEUED_INTERIM {
            return;
        }
        write_interim_head(&mut queue.bytes, status, headers);
        self.waiting.store(true, Ordering::Release);
        if let Some(waker) = &queue.waker {
            waker.wake_by_ref();
        }
    }

    /// Has the connection's task look around.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.lock().waker {
            waker.wake_by_ref();
        }
    }

    /// Forgets what was not written in time.
    pub(crate) fn clear(&self) {
        if self.waiting.swap(false, Ordering::Acquire) {
            self.lock().bytes.clear();
        }
    }

    fn take(&self, into: &mut Vec<u8>) {
        if self.waiting.swap(false, Ordering::Acquire) {
            into.append(&mut self.lock().bytes);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, InterimQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes a head; framing and hop-by-hop fields mean nothing in an interim answer.
fn write_interim_head(into: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    into.extend_from_slice(b"HTTP/1.1 ");
    into.extend_from_slice(status.as_str().as_bytes());
    into.push(b' ');
    into.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    into.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        if crate::forwarded_headers::is_hop_by_hop(name) || name == http::header::CONTENT_LENGTH {
            continue;
        }
        into.extend_from_slice(name.as_str().as_bytes());
        into.extend_from_slice(b": ");
        into.extend_from_slice(value.as_bytes());
        into.extend_from_slice(b"\r\n");
    }
    into.extend_from_slice(b"\r\n");
}

/// The socket as hyper sees it.
pub(crate) struct ClientIo {
    stream: ClientStream,
    watch: Rc<Watch>,
    interim: Arc<Interim>,
    /// Interim bytes that are partly written: nothing may come between.
    writing: Vec<u8>,
    /// hyper has nothing buffered: what it writes next is a head.
    quiet: bool,
    /// The client has sent its FIN.
    ended: bool,
}

impl ClientIo {
    pub(crate) fn new(stream: ClientStream, watch: Rc<Watch>, interim: Arc<Interim>) -> Self {
        Self {
            stream,
            watch,
            interim,
            writing: Vec::new(),
            quiet: true,
            ended: false,
        }
    }

    /// Whether the next byte written would be the first of an answer.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet && self.writing.is_empty()
    }

    /// Whether the client has sent its FIN.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Gives the socket back.
    pub(crate) fn into_stream(self) -> ClientStream {
        self.stream
    }

    /// Writes interim answers, if this is a place where they may go.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.quiet {
            self.interim.take(&mut self.writing);
        }
        while !self.writing.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.writing);
            let written = ready!(self.watch.wrote(written))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.writing.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.watch.bytes_arrived();
        } else {
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        self.quiet = false;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(cx))?;
        self.quiet = false;
        let written = poll_write_gathered(&mut self.stream, cx, bufs);
        self.watch.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper calls this only when all that it had buffered is written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.quiet = true;
        if self.watch.phase() != Phase::Busy {
            // The final head is out: what did not come before it is too late.
            self.interim.clear();
        }
        ready!(self.poll_interim(cx))?;
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch.wrote(flushed)
    }

    /// Leaves the socket open: the connection's task closes it, in its own way.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_idle_when_its_answer_has_gone_out() {
        let (head, keep_alive) = (Duration::from_secs(2), Duration::from_secs(1));
        let watch = Watch::new(Instant::now());
        watch.request_begins();
        watch.answer_begins();
        assert!(watch.wrote(Poll::<()>::Pending).is_pending());
        watch.request_ends();
        assert_eq!(watch.deadline(head, keep_alive), None);
        assert!(watch.blocked_since().is_some());

        let out = Instant::now();
        assert!(watch.wrote(Poll::Ready(())).is_ready());
        assert!(watch.deadline(head, keep_alive) >= Some(out + keep_alive));
        assert_eq!(watch.blocked_since(), None);
    }
}
