//! One TCP (and TLS) connection to a backend target. Time limits are the caller's.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection to a backend.
#[derive(Debug)]
pub enum BackendStream {
    /// In the clear.
    Plain(TcpStream),
    /// Over TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// How TLS to one backend is spoken: rustls' configuration, and the name for SNI and verification.
#[derive(Debug, Clone)]
pub struct BackendTlsName {
    /// Shared by all connections under the same HTTP settings.
    pub config: Arc<ClientConfig>,
    /// The server's name.
    pub name: ServerName<'static>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody listens there.
    #[error("{address} refused the connection")]
    Refused {
        /// Who.
        address: SocketAddr,
    },
    /// Unreachable, out of descriptors ...
    #[error("connecting to {address}")]
    Connect {
        /// Who.
        address: SocketAddr,
        /// The system's word.
        #[source]
        source: std::io::Error,
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
    let _ = (address, tls);
    unimplemented!()
}
