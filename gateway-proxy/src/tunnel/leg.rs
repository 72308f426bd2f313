//! One side of a tunnel: a TCP connection, in the clear or under TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use gateway_net::dial::BackendStream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A connection that a tunnel reads from and writes to.
#[derive(Debug)]
pub(crate) enum Leg {
    /// TCP in the clear, either side.
    Plain(TcpStream),
    /// A client under TLS that ends here.
    ClientTls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// A backend under TLS that starts here.
    BackendTls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// One that was dropped before the tunnel ended.
    Gone,
}

impl From<TcpStream> for Leg {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl From<Box<tokio_rustls::server::TlsStream<TcpStream>>> for Leg {
    fn from(stream: Box<tokio_rustls::server::TlsStream<TcpStream>>) -> Self {
        Self::ClientTls(stream)
    }
}

impl From<BackendStream> for Leg {
    fn from(stream: BackendStream) -> Self {
        match stream {
            BackendStream::Plain(stream) => Self::Plain(stream),
            BackendStream::Tls(stream) => Self::BackendTls(stream),
        }
    }
}

impl Leg {
    /// Lets the connection break when the peer has not confirmed for so long what was sent, or keeps
    /// its window shut (`TCP_USER_TIMEOUT`). Without this the kernel tries for a quarter of an hour,
    /// and keep-alive finds peers that are gone while nothing is under way.
    pub(super) fn limit_silence(&self, timeout: Duration) {
        // Systems without the option do without; a socket that is gone will tell.
        #[cfg(target_os = "linux")]
        if let Some(tcp) = self.tcp() {
            let _ = socket2::SockRef::from(tcp).set_tcp_user_timeout(Some(timeout));
        }
        #[cfg(not(target_os = "linux"))]
        let _ = timeout;
    }

    /// Whether a write may stay behind in the leg until it is flushed.
    pub(super) fn holds_writes(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Gone => false,
            Self::ClientTls(_) | Self::BackendTls(_) => true,
        }
    }

    /// The socket beneath.
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::ClientTls(stream) => Some(stream.get_ref().0),
            Self::BackendTls(stream) => Some(stream.get_ref().0),
            Self::Gone => None,
        }
    }

    /// Reads; an empty read is the peer's FIN (under TLS, its `close_notify`).
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::ClientTls(stream) => Pin::new(stream).poll_read(cx, into),
            Self::BackendTls(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::ClientTls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::BackendTls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) | Self::Gone => Poll::Ready(Ok(())),
            Self::ClientTls(stream) => Pin::new(stream).poll_flush(cx),
            Self::BackendTls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Sends FIN (under TLS, `close_notify` before it).
    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::ClientTls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::BackendTls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Waits until the kernel has sent all that was written, so that a reset does not overtake it.
    pub(super) fn poll_sent(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(tcp) = self.tcp() else {
            return Poll::Ready(());
        };
        // With this mark, a socket counts as writable only when nothing is left to be sent. Where
        // the option fails, the socket is gone; systems without it let a reset overtake.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(tcp).set_tcp_notsent_lowat(1);
        while tcp.poll_write_ready(cx).is_ready() {
            // tokio remembers that the socket was writable: it is asked anew.
            let asked = tcp.try_io(Interest::WRITABLE, || match is_writable(tcp)? {
                true => Ok(()),
                false => Err(io::ErrorKind::WouldBlock.into()),
            });
            match asked {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Makes the coming close a reset, which drops what the kernel has not sent yet.
    pub(super) fn reset_on_close(&self) {
        // Fails only for a socket that is gone already.
        let _ = self.tcp().map(TcpStream::set_zero_linger);
    }

    /// Resets the connection now.
    pub(super) fn reset(&mut self) {
        self.reset_on_close();
        *self = Self::Gone;
    }
}

/// Asks the kernel, which then also tells when this changes.
fn is_writable(tcp: &TcpStream) -> io::Result<bool> {
    let mut sockets = [PollFd::new(tcp, PollFlags::OUT)];
    poll(&mut sockets, Some(&Timespec::default()))?;
    Ok(!sockets[0].revents().is_empty())
}
