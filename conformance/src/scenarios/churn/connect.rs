//! Connections to the gateway, plain or TLS, of one type.

use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::certificates::GATEWAY_NAME;
use crate::harness::wire::Stream;

/// An open connection, and the certificate that the server showed (DER).
pub(super) struct Connection {
    pub(super) io: Box<dyn Stream>,
    pub(super) leaf: Option<Vec<u8>>,
}

/// Connects to a port of 127.0.0.1; with TLS where `tls` is given.
pub(super) async fn connect(port: u16, tls: Option<&Arc<ClientConfig>>) -> Result<Connection> {
    let tcp = TcpStream::connect(("127.0.0.1", port))
        .await
        .context("connecting")?;
    tcp.set_nodelay(true)?;
    let Some(config) = tls else {
        return Ok(Connection {
            io: Box::new(tcp),
            leaf: None,
        });
    };
    let name = ServerName::try_from(GATEWAY_NAME)?;
    let connector = TlsConnector::from(Arc::clone(config));
    let stream = connector
        .connect(name, tcp)
        .await
        .context("the TLS handshake")?;
    let shown = stream.get_ref().1.peer_certificates();
    let leaf = shown
        .and_then(|chain| chain.first())
        .map(|leaf| leaf.to_vec());
    Ok(Connection {
        io: Box::new(stream),
        leaf,
    })
}
