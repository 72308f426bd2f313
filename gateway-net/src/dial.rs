//! One TCP (and TLS) connection to a backend target. Time limits are the caller's.

mod reason;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

pub use reason::tls_reason;
pub use stream::BackendStream;

/// A silent peer is asked after 30 s, then thrice in 10 s steps: dead after 60 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// How TLS to one backend is spoken: rustls' configuration, and the name for SNI and verification.
#[derive(Debug, Clone)]
pub struct BackendTlsName {
    /// Shared by all connections under the same HTTP settings.
    pub config: Arc<ClientConfig>,
    /// The server's name; an address is verified, and not sent as SNI.
    pub name: ServerName<'static>,
}

impl PartialEq for BackendTlsName {
    /// The same configuration, not one that looks the same: sessions belong to it.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for BackendTlsName {}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody listens there.
    #[error("{address} refused the connection")]
    Refused {
        /// Who.
        address: SocketAddr,
    },
    /// This machine has no descriptor, port or memory left. Says nothing of the target.
    #[error("connecting to {address}: this machine is out of descriptors, ports or memory")]
    Exhausted {
        /// Who could not be asked.
        address: SocketAddr,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// Unreachable, reset ...
    #[error("connecting to {address}")]
    Connect {
        /// Who.
        address: SocketAddr,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The TLS handshake failed: expired, another name, unknown root ...
    #[error("TLS with {address}: {reason}")]
    Tls {
        /// Who.
        address: SocketAddr,
        /// In words that an operator understands.
        reason: String,
    },
}

/// Connects with `TCP_NODELAY` and TCP keep-alive (dead peers are found within 60 s), and shakes
/// hands where `tls` is given.
pub async fn connect(
    address: SocketAddr,
    tls: Option<&BackendTlsName>,
) -> Result<BackendStream, DialError> {
    let tcp = connect_tcp(address).await?;
    match tls {
        None => Ok(BackendStream::Plain(tcp)),
        Some(tls) => handshake(address, tcp, tls).await,
    }
}

/// The first half of [`connect`], for those who report the two apart.
pub async fn connect_tcp(address: SocketAddr) -> Result<TcpStream, DialError> {
    let connecting = async {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES);
        SockRef::from(&socket).set_tcp_keepalive(&keepalive)?;
        socket.connect(address).await
    };
    connecting.await.map_err(|source| {
        if source.kind() == io::ErrorKind::ConnectionRefused {
            DialError::Refused { address }
        } else if is_exhaustion(&source) {
            DialError::Exhausted { address, source }
        } else {
            DialError::Connect { address, source }
        }
    })
}

fn is_exhaustion(error: &io::Error) -> bool {
    const LOCAL: [Errno; 5] = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::ADDRNOTAVAIL,
    ];
    Errno::from_io_error(error).is_some_and(|errno| LOCAL.contains(&errno))
}

/// The second half of [`connect`]: TLS over `tcp`, which leads to `address`.
pub async fn handshake(
    address: SocketAddr,
    tcp: TcpStream,
    tls: &BackendTlsName,
) -> Result<BackendStream, DialError> {
    TlsConnector::from(Arc::clone(&tls.config))
        .connect(tls.name.clone(), tcp)
        .await
        .map(|stream| BackendStream::Tls(Box::new(stream)))
        .map_err(|error| DialError::Tls {
            address,
            reason: tls_reason(&error),
        })
}

#[cfg(test)]
mod tests;
