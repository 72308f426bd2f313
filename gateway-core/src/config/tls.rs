//! Certificates as the document gives them: bytes or places, not yet read.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that never appear in logs, errors or answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Keeps `bytes` from being shown.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the one who must use them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A listener's certificate with its key (`sslCertificates`).
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// Where chain and key come from.
    pub source: CertificateSource,
}

/// Where a chain, and for listeners a key, comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum CertificateSource {
    /// `data`: PFX bytes, decoded from base64, with their password.
    Pfx {
        /// The PFX container.
        data: Secret,
        /// Empty when none was given.
        password: Secret,
    },
    /// `keyVaultSecretId: "file:..."`: a PEM file (chain and key) or a PFX; watched for change.
    File {
        /// The absolute path.
        path: PathBuf,
        /// For a PFX file; empty when none was given.
        password: Secret,
    },
}

/// Roots that a backend's certificate must chain to (`trustedRootCertificates`).
#[derive(Debug, Clone, PartialEq)]
pub enum TrustedRoot {
    /// `data`: one or more certificates, DER or PEM, decoded from base64.
    Inline(Arc<[u8]>),
    /// `keyVaultSecretId: "file:..."`: a PEM or DER file; watched for change.
    File(PathBuf),
}
