//! Chain and key from one PEM text, in any order (RFC 7468).

use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::{CertificateError, Found};

/// Whether `bytes` have a PEM section; text may stand before it (`openssl x509 -text`).
pub(super) fn looks_like_pem(bytes: &[u8]) -> bool {
    contains(bytes, b"-----BEGIN ")
}

/// Certificates and keys of `text`. Sections of other kinds are passed over.
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum")]
pub(super) fn chain_and_key(text: &[u8]) -> Result<Found, CertificateError> {
    // Both forms of encryption: PKCS #8's own section, and OpenSSL's old header (RFC 1421).
    if contains(text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || contains(text, b"Proc-Type: 4,ENCRYPTED")
    {
        return Err(CertificateError::EncryptedKey);
    }
    let mut found = Found {
        certificates: Vec::new(),
        keys: Vec::new(),
    };
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) = section.map_err(malformed)?;
        match kind {
            SectionKind::Certificate => found.certificates.push(der.into()),
            SectionKind::PrivateKey => found.keys.push(PrivatePkcs8KeyDer::from(der).into()),
            SectionKind::RsaPrivateKey => found.keys.push(PrivatePkcs1KeyDer::from(der).into()),
            SectionKind::EcPrivateKey => found.keys.push(PrivateSec1KeyDer::from(der).into()),
            _ => {}
        }
    }
    Ok(found)
}

/// The certificates of `text` alone.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(malformed)
}

// The crate's errors quote lines of the text: not shown, since they may be a key's.
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum")]
fn malformed(error: rustls_pki_types::pem::Error) -> CertificateError {
    use rustls_pki_types::pem::Error;
    let reason = match error {
        Error::MissingSectionEnd { .. } => "a section has no END line",
        Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        Error::Base64Decode(_) => "a section is not base64",
        _ => "a section cannot be read",
    };
    CertificateError::Format {
        expected: "PEM",
        reason: reason.to_owned(),
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
