//! Roots that backends are verified against: the platform's, and those that a document names.

use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

use super::{CertificateError, pem};

/// PEM or DER, one or more, each fit to be a trust anchor.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let certificates = if pem::looks_like_pem(bytes) {
        pem::certificates(bytes)?
    } else {
        der(bytes)?
    };
    if certificates.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        store
            .add(certificate.clone())
            .map_err(|error| CertificateError::BadCertificate {
                position: index + 1,
                reason: error.to_string(),
            })?;
    }
    Ok(certificates)
}

/// DER certificates, one after another.
fn der(mut bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let mut certificates = Vec::new();
    while !bytes.is_empty() {
        let (rest, _) = parse_x509_certificate(bytes).map_err(|_| CertificateError::Format {
            expected: "a certificate in DER or PEM",
            reason: "it is not an X.509 certificate".to_owned(),
        })?;
        let (certificate, _) = bytes.split_at(bytes.len() - rest.len());
        certificates.push(certificate.to_vec().into());
        bytes = rest;
    }
    Ok(certificates)
}

/// The roots that this machine trusts, read once when they are first needed. A failure is not kept:
/// the next call looks again.
pub(crate) fn platform_roots() -> Result<Arc<RootCertStore>, CertificateError> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (_, ignored) = store.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "roots of this machine that cannot be used");
    }
    if store.is_empty() {
        let reason = found
            .errors
            .first()
            .map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(CertificateError::NoPlatformRoots(reason));
    }
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(store))))
}
