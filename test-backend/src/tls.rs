//! The certificate that a TLS backend shows.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem};

/// A certificate chain and its key.
#[derive(Clone)]
pub struct TlsIdentity(pub(crate) Arc<ServerConfig>);

/// Why a PEM text is no identity.
#[derive(Debug)]
pub enum TlsIdentityError {
    /// The text is not PEM, or lacks the key or the certificate.
    Pem(pem::Error),
    /// Chain and key are of no use to TLS.
    Tls(rustls::Error),
}

impl std::fmt::Display for TlsIdentityError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("not a certificate chain and its key in one PEM text")
    }
}

impl std::error::Error for TlsIdentityError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Pem(source) => Some(source),
            Self::Tls(source) => Some(source),
        }
    }
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("TlsIdentity")
    }
}

impl TlsIdentity {
    /// Reads a PEM text that holds the chain, leaf first, and the private key, in any order.
    pub fn from_pem(text: &[u8]) -> Result<Self, TlsIdentityError> {
        let chain = CertificateDer::pem_slice_iter(text)
            .collect::<Result<Vec<_>, _>>()
            .map_err(TlsIdentityError::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(text).map_err(TlsIdentityError::Pem)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsIdentityError::Tls)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsIdentityError::Tls)?;
        Ok(Self(Arc::new(config)))
    }
}
