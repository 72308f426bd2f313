//! Puts a chain in order: the key's own certificate first, each followed by its issuer
//! (RFC 8446 section 4.4.2).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;

use super::{CertificateError, Found, ServerCertificate};

/// The chain for the one key of `found`. Certificates that do not belong to it are left out.
pub(super) fn assemble(found: Found) -> Result<ServerCertificate, CertificateError> {
    let Found {
        certificates,
        mut keys,
    } = found;
    if certificates.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let key = match keys.len() {
        0 => return Err(CertificateError::NoKey),
        1 => keys.remove(0),
        several => return Err(CertificateError::SeveralKeys(several)),
    };
    let key = default_provider()
        .key_provider
        .load_private_key(key)
        .map_err(|error| CertificateError::UnusableKey(error.to_string()))?;
    let parsed = certificates
        .iter()
        .enumerate()
        .map(|(index, der)| x509(index, der))
        .collect::<Result<Vec<_>, _>>()?;
    let leaf = leaf(&certificates, &parsed, key.as_ref())?;
    let chain = order(&parsed, leaf)
        .into_iter()
        .map(|index| certificates[index].clone())
        .collect();
    Ok(ServerCertificate {
        not_after: expiry(&parsed[leaf]),
        key: Arc::new(CertifiedKey::new(chain, key)),
    })
}

/// Parses the certificate at `index` of its source, which must be one certificate and nothing else.
pub(super) fn x509<'d>(
    index: usize,
    der: &'d CertificateDer<'_>,
) -> Result<X509Certificate<'d>, CertificateError> {
    let bad = |reason: String| CertificateError::BadCertificate {
        position: index + 1,
        reason,
    };
    match parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(bad("bytes follow it".to_owned())),
        Err(_) => Err(bad("it is not an X.509 certificate".to_owned())),
    }
}

/// The certificate of `key`; of several (a renewed one beside the old) the one that lasts longest.
fn leaf(
    certificates: &[CertificateDer<'_>],
    parsed: &[X509Certificate<'_>],
    key: &dyn SigningKey,
) -> Result<usize, CertificateError> {
    let public_key = key.public_key().ok_or_else(|| {
        CertificateError::UnusableKey("its public key cannot be computed".to_owned())
    })?;
    let belongs = |index: &usize| {
        ParsedCertificate::try_from(&certificates[*index])
            .is_ok_and(|certificate| certificate.subject_public_key_info() == public_key)
    };
    (0..certificates.len())
        .filter(belongs)
        .max_by_key(|index| parsed[*index].validity().not_after.timestamp())
        .ok_or(CertificateError::KeyMismatch)
}

/// The indexes from `leaf` up, issuer by issuer, as far as they are there.
fn order(parsed: &[X509Certificate<'_>], leaf: usize) -> Vec<usize> {
    let mut chain = vec![leaf];
    let mut last = &parsed[leaf];
    loop {
        let issuer = last.issuer().as_raw();
        let next = (0..parsed.len())
            .find(|index| !chain.contains(index) && parsed[*index].subject().as_raw() == issuer);
        match next {
            // A self-signed certificate ends the chain, whatever else bears its name.
            Some(next) if last.subject().as_raw() != issuer => chain.push(next),
            _ => return chain,
        }
        last = &parsed[chain[chain.len() - 1]];
    }
}

fn expiry(certificate: &X509Certificate<'_>) -> SystemTime {
    let seconds = certificate.validity().not_after.timestamp();
    // Before 1970 is as good as 1970: long expired.
    let since_epoch = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    SystemTime::UNIX_EPOCH + since_epoch
}
