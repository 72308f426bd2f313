//! Certificates and keys from PFX and PEM. Reads and checks; knows nothing of listeners.

mod chain;
mod pem;
mod pfx;
mod roots;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use gateway_core::config::{Certificate, CertificateSource, Secret, TrustedRoot};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) use roots::platform_roots;

/// The most that a certificate's source may hold, in bytes. Application Gateway's own limit is
/// 16 KB; bundles of trusted roots are larger.
pub const MAX_SOURCE_BYTES: usize = 1024 * 1024;

/// The most that a PFX may hold, in bytes: its key derivation costs time for every bag in it.
pub const MAX_PFX_BYTES: usize = 64 * 1024;

/// A listener's certificate, ready for rustls.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    /// Chain, leaf first, and key.
    pub key: Arc<CertifiedKey>,
    /// When the leaf expires. An expired certificate loads: whether it is shown is not decided here.
    pub not_after: SystemTime,
}

/// Why a certificate cannot be used. No message quotes the source, which may be a key.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file is missing, unreadable, or no file.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// Larger than any certificate is.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// [`MAX_SOURCE_BYTES`] or [`MAX_PFX_BYTES`].
        limit: usize,
    },
    /// No bytes at all.
    #[error("it is empty")]
    Empty,
    /// The PFX does not open with this password.
    #[error("the password does not open the PFX")]
    WrongPassword,
    /// Neither PEM nor PFX; for roots neither PEM nor DER.
    #[error("it is not {expected}: {reason}")]
    Format {
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing to show to clients, or nothing to trust.
    #[error("it holds no certificate")]
    NoCertificate,
    /// A certificate alone.
    #[error("it holds no private key")]
    NoKey,
    /// Several keys, of which only one could be used.
    #[error("it holds {0} private keys; exactly one is needed")]
    SeveralKeys(usize),
    /// A key in PEM that needs a password.
    #[error("the private key is encrypted; a PEM file needs it in the clear (or use a PFX)")]
    EncryptedKey,
    /// A key of a kind that TLS here does not speak, or damaged.
    #[error("the private key cannot be used: {0}")]
    UnusableKey(String),
    /// No certificate belongs to the key.
    #[error("the private key belongs to none of the certificates")]
    KeyMismatch,
    /// A certificate that is damaged, or cannot be a root.
    #[error("certificate {position} cannot be used: {reason}")]
    BadCertificate {
        /// Which one in the source, from 1.
        position: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Backends are to be verified against the platform's roots, and it has none.
    #[error(
        "this machine has no trusted root certificates ({0}); install them (Debian: \
         ca-certificates), or name trustedRootCertificates"
    )]
    NoPlatformRoots(String),
}

/// Reads chain and key of `certificate`. Blocks: a file is read, and a PFX costs CPU on purpose.
pub fn load(certificate: &Certificate) -> Result<ServerCertificate, CertificateError> {
    parse(&certificate.source, &read(&certificate.source)?)
}

/// Chain and key as they were found, in no certain order.
struct Found {
    certificates: Vec<CertificateDer<'static>>,
    keys: Vec<PrivateKeyDer<'static>>,
}

/// The bytes of `source`, as they are now.
pub(crate) fn read(source: &CertificateSource) -> Result<Secret, CertificateError> {
    match source {
        CertificateSource::Pfx { data, .. } => Ok(data.clone()),
        CertificateSource::File { path, .. } => Ok(Secret::new(read_file(path)?)),
    }
}

/// Chain and key out of `bytes`, which [`read`] gave for `source`.
pub(crate) fn parse(
    source: &CertificateSource,
    bytes: &Secret,
) -> Result<ServerCertificate, CertificateError> {
    let (CertificateSource::Pfx { password, .. } | CertificateSource::File { password, .. }) =
        source;
    let bytes = bytes.expose();
    check_size(bytes, MAX_SOURCE_BYTES)?;
    let found = if pem::looks_like_pem(bytes) {
        pem::chain_and_key(bytes)?
    } else {
        pfx::chain_and_key(bytes, password.expose())?
    };
    chain::assemble(found)
}

/// The bytes of `root`, as they are now.
pub(crate) fn read_root(root: &TrustedRoot) -> Result<Arc<[u8]>, CertificateError> {
    match root {
        TrustedRoot::Inline(data) => Ok(Arc::clone(data)),
        TrustedRoot::File(path) => Ok(read_file(path)?.into()),
    }
}

/// The certificates in `bytes`, DER or PEM, one or more; each can be a trust anchor.
pub(crate) fn parse_roots(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    check_size(bytes, MAX_SOURCE_BYTES)?;
    roots::parse(bytes)
}

fn check_size(bytes: &[u8], limit: usize) -> Result<(), CertificateError> {
    if bytes.is_empty() {
        return Err(CertificateError::Empty);
    }
    if bytes.len() > limit {
        return Err(CertificateError::TooLarge { limit });
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let failed = |source| CertificateError::Read {
        path: path.to_owned(),
        source,
    };
    // Opening a FIFO would wait for its writer for ever.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| {
            // One more than the limit, so that too large is told from just large enough.
            file.take(MAX_SOURCE_BYTES as u64 + 1)
                .read_to_end(&mut bytes)
        })
        .map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
