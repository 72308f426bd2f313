//! Certificates and keys from PFX and PEM.

use std::sync::Arc;
use std::time::SystemTime;

use gateway_core::config::Certificate;
use rustls::sign::CertifiedKey;

/// A listener's certificate, ready for rustls.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    /// Chain and key.
    pub key: Arc<CertifiedKey>,
    /// When the leaf expires.
    pub not_after: SystemTime,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// To be refined: unreadable file, wrong password, no key, key of another certificate ...
    #[error("{0}")]
    Unusable(String),
}

/// Reads chain and key of `certificate`.
pub fn load(certificate: &Certificate) -> Result<ServerCertificate, CertificateError> {
    let _ = certificate;
    unimplemented!()
}
