//! TLS towards clients: which certificate a server name gets, and the handshake.
//!
//! One rustls configuration per endpoint; session tickets are one process's, so that a client
//! resumes at whatever worker takes its next connection, and after a change of configuration too.
//! Not here: loading certificates, and how long a handshake may take (the caller's head timeout).

use std::io;
use std::sync::Arc;

use gateway_core::config::HostNames;
use gateway_core::name::CertificateName;
use gateway_core::snapshot::EndpointProtocol;
use gateway_net::material::Material;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{
    Acceptor, ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert,
};
use rustls::sign::CertifiedKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

mod refusal;

/// The content type of a handshake record (RFC 8446 section 5.1): the first byte of every client
/// that speaks TLS.
const HANDSHAKE_RECORD: u8 = 22;

/// What all endpoints share for as long as the process lives: ciphers and ticket keys.
#[derive(Debug, Clone)]
pub(crate) struct TlsShared {
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
}

/// How one HTTPS endpoint shakes hands.
#[derive(Debug, Clone)]
pub(crate) struct EndpointTls {
    config: Arc<ServerConfig>,
    certificates: Arc<CertificatesByName>,
}

/// Why an endpoint's TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The snapshot names a certificate that was not loaded with it.
    #[error("certificate {0} is not loaded")]
    MissingCertificate(CertificateName),
    /// rustls refuses the configuration, or has no random numbers.
    #[error("setting up TLS")]
    Rustls(#[from] rustls::Error),
}

/// Why a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsAcceptError {
    /// The client went before it sent a byte: no fault, a port check perhaps.
    #[error("the client closed the connection before it sent anything")]
    Silent,
    /// Plain HTTP on a TLS port; it has had its 400.
    #[error("the client speaks plain HTTP on a TLS port")]
    PlainHttp,
    /// Neither TLS nor HTTP.
    #[error("the client does not speak TLS")]
    NotTls,
    /// No certificate for the name that the client asked for; it has had its alert.
    #[error("no certificate for {}", .0.as_deref().unwrap_or("a client that names no server"))]
    UnknownName(Option<Box<str>>),
    /// The handshake failed, in rustls' words, or the connection did.
    #[error("TLS handshake")]
    Handshake(#[source] io::Error),
}

/// An endpoint's certificates, the winner first.
#[derive(Debug)]
struct CertificatesByName {
    by_name: Vec<(HostNames, Arc<CertifiedKey>)>,
    fallback: Option<Arc<CertifiedKey>>,
}

impl CertificatesByName {
    fn choose(&self, server_name: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        server_name
            .and_then(|name| self.by_name.iter().find(|(hosts, _)| hosts.matches(name)))
            .map(|(_, key)| key)
            .or(self.fallback.as_ref())
    }
}

impl ResolvesServerCert for CertificatesByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name()).cloned()
    }
}

impl TlsShared {
    /// Makes ticket keys, which rustls changes every six hours.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn new() -> Result<Self, TlsSetupError> {
        Ok(Self {
            provider: Arc::new(aws_lc_rs::default_provider()),
            tickets: aws_lc_rs::Ticketer::new()?,
        })
    }

    /// Sets up an endpoint; `None` for a plain one.
    ///
    /// # Errors
    /// When a certificate that the endpoint names is not in `material`.
    pub(crate) fn endpoint(
        &self,
        protocol: &EndpointProtocol,
        material: &Material,
    ) -> Result<Option<EndpointTls>, TlsSetupError> {
        let EndpointProtocol::Https {
            certificates,
            fallback,
        } = protocol
        else {
            return Ok(None);
        };
        let key = |name: &CertificateName| {
            let loaded = material.server.get(name);
            loaded
                .map(|certificate| Arc::clone(&certificate.key))
                .ok_or_else(|| TlsSetupError::MissingCertificate(name.clone()))
        };
        let certificates = Arc::new(CertificatesByName {
            by_name: certificates
                .iter()
                .map(|(hosts, name)| Ok((hosts.clone(), key(name)?)))
                .collect::<Result<_, TlsSetupError>>()?,
            fallback: fallback.as_ref().map(key).transpose()?,
        });
        Ok(Some(EndpointTls {
            config: self.config(&certificates)?,
            certificates,
        }))
    }

    fn config(
        &self,
        certificates: &Arc<CertificatesByName>,
    ) -> Result<Arc<ServerConfig>, TlsSetupError> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<CertificatesByName>::clone(certificates));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = Arc::clone(&self.tickets);
        // Sessions live in tickets alone: a store would be a lock that all workers take.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

impl EndpointTls {
    /// Shakes hands. A client that speaks plain HTTP gets a 400 that says so, one that asks for an
    /// unknown server an alert; both see it before the connection ends.
    ///
    /// # Errors
    /// When there is no TLS connection in the end; nothing is left to be done with the socket. Has
    /// no time limit of its own.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<Box<TlsStream<TcpStream>>, TlsAcceptError> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(0) => return Err(TlsAcceptError::Silent),
            Ok(_) if first[0] == HANDSHAKE_RECORD => {}
            Ok(_) if first[0].is_ascii_alphabetic() => {
                refusal::answer_plain_http(stream).await;
                return Err(TlsAcceptError::PlainHttp);
            }
            Ok(_) => return Err(TlsAcceptError::NotTls),
            Err(error) => return Err(TlsAcceptError::Handshake(error)),
        }
        // The name is judged before rustls does: it would send `access_denied`.
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream)
            .await
            .map_err(TlsAcceptError::Handshake)?;
        let name = start.client_hello().server_name().map(Box::from);
        if self.certificates.choose(name.as_deref()).is_none() {
            let alert = refusal::name_alert(name.is_some());
            refusal::send_and_linger(start.io, &alert).await;
            return Err(TlsAcceptError::UnknownName(name));
        }
        let mut stream = start
            .into_stream(Arc::clone(&self.config))
            .await
            .map_err(TlsAcceptError::Handshake)?;
        stream.flush().await.map_err(TlsAcceptError::Handshake)?;
        Ok(Box::new(stream))
    }
}

#[cfg(test)]
pub(crate) mod tests;
