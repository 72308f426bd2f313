//! Chain and key from a PFX (PKCS #12, RFC 7292): AES as OpenSSL 3 and Windows write it today, and
//! 3DES and RC2 as older tools and Key Vault do.

use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error;
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::{CertificateError, Found, MAX_PFX_BYTES, check_size};

const EXPECTED: &str = "a PFX (PKCS #12), nor PEM";

/// Certificates and keys of `data`, in the order of its bags.
pub(super) fn chain_and_key(data: &[u8], password: &[u8]) -> Result<Found, CertificateError> {
    check_size(data, MAX_PFX_BYTES)?;
    let password = std::str::from_utf8(password).map_err(|_| CertificateError::WrongPassword)?;
    let archive = Pkcs12Archive::from_pkcs12(data, password).map_err(why)?;
    Ok(Found {
        certificates: archive
            .certs
            .iter()
            .map(|bag| bag.cert.as_der().to_vec().into())
            .collect(),
        keys: archive
            .keys
            .iter()
            .map(|bag| PrivatePkcs8KeyDer::from(bag.key.as_der().to_vec()).into())
            .collect(),
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum")]
fn why(error: Error) -> CertificateError {
    match error {
        // A PFX without a MAC fails in its padding instead, or as nonsense after it.
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => {
            CertificateError::WrongPassword
        }
        Error::DerError(_) => CertificateError::Format {
            expected: EXPECTED,
            reason: "it is not DER".to_owned(),
        },
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => {
            CertificateError::Format {
                expected: "a PFX that can be opened",
                reason: "it is encrypted in a way that is not supported; write it anew with \
                         AES-256 (openssl pkcs12 -export)"
                    .to_owned(),
            }
        }
        other => CertificateError::Format {
            expected: EXPECTED,
            reason: other.to_string(),
        },
    }
}
