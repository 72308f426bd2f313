//! One connection to a backend target, with hyper's client on it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use gateway_net::dial::{self, BackendStream, BackendTlsName};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::body::RequestBody;
use crate::error::ProxyError;
use crate::gathered::poll_write_gathered;

/// The longest head of an answer, and the most that is buffered of a request's body. Of an answer's
/// fields, there are 100 at most: hyper's own bound, the only one that it keeps without allocating.
const MAX_BUFFER: usize = 64 * 1024;

/// A failed attempt; has the request if it never left.
pub(crate) type TrySendError = hyper::client::conn::TrySendError<Request<RequestBody>>;

/// How TLS is to be spoken to one target. Borrowed: the configuration's count is shared by all workers,
/// and counted only when a connection is opened.
pub(crate) struct BackendTls<'a> {
    pub(crate) config: &'a Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl BackendTls<'_> {
    /// For a connection to keep.
    pub(crate) fn to_name(&self) -> BackendTlsName {
        BackendTlsName {
            config: Arc::clone(self.config),
            name: self.name.clone(),
        }
    }
}

/// A connection. Dropping it cuts it, whatever is in flight.
pub(crate) struct BackendConnection {
    sender: SendRequest<RequestBody>,
    task: AbortHandle,
    tls: Option<BackendTlsName>,
    heard: Arc<AtomicBool>,
}

impl BackendConnection {
    /// Connects. The caller bounds the time.
    pub(crate) async fn open(
        target: SocketAddr,
        tls: Option<BackendTlsName>,
    ) -> Result<Self, ProxyError> {
        let stream = dial::connect(target, tls.as_ref())
            .await
            .map_err(|source| ProxyError::Connect { target, source })?;
        let heard = Arc::new(AtomicBool::new(false));
        let io = BackendIo {
            stream,
            heard: Arc::clone(&heard),
        };
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_BUFFER)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|_| ProxyError::BackendClosed)?;
        // Its errors reach whoever waits for an answer; there is nobody else to tell.
        let task = tokio::task::spawn_local(async move {
            let _ = connection.with_upgrades().await;
        });
        Ok(Self {
            sender,
            task: task.abort_handle(),
            tls,
            heard,
        })
    }

    /// Sends a request and gives its answer's head.
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError>> + use<> {
        self.heard.store(false, Ordering::Relaxed);
        self.sender.try_send_request(request)
    }

    /// Whether a byte has come since the last request was sent.
    pub(crate) fn has_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Whether the last exchange has ended, both ways, and nothing has come since.
    pub(crate) fn is_idle(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether it can never be used again.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it speaks TLS as `tls` says.
    pub(crate) fn speaks(&self, tls: Option<&BackendTls<'_>>) -> bool {
        match (&self.tls, tls) {
            (None, None) => true,
            (Some(ours), Some(wanted)) => {
                Arc::ptr_eq(&ours.config, wanted.config) && ours.name == wanted.name
            }
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Drop for BackendConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The socket as hyper sees it: remembers whether anything was heard.
pub(crate) struct BackendIo {
    stream: BackendStream,
    heard: Arc<AtomicBool>,
}

impl BackendIo {
    /// Gives the socket back.
    pub(crate) fn into_stream(self) -> BackendStream {
        self.stream
    }
}

impl AsyncRead for BackendIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BackendIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_write_gathered(&mut self.stream, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
