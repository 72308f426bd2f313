//! Judges a backend's certificate as HTTP settings say: chain and expiry, and the name.
//!
//! rustls' own verifier is not enough: settings may leave out the chain or the name, a self-signed
//! certificate may itself be the trusted root, and a certificate without subject alternative names
//! is judged by its common name (reference section 8). What is never left out is the proof that the
//! peer holds the certificate's key.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;

/// See the module.
#[derive(Debug)]
pub(super) struct BackendVerifier {
    /// `None`: neither chain nor expiry matter.
    pub(super) roots: Option<Arc<RootCertStore>>,
    /// The roots named by the document, to be recognised when a backend shows one as its own.
    pub(super) trusted: Vec<CertificateDer<'static>>,
    /// Whether the certificate must bear the name.
    pub(super) name: bool,
    /// How signatures are verified.
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for BackendVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        if let Some(roots) = &self.roots {
            if self.is_trusted_itself(end_entity) {
                verify_validity(end_entity, now)?;
            } else {
                verify_server_cert_signed_by_trust_anchor(
                    &parsed,
                    roots,
                    intermediates,
                    now,
                    self.algorithms.all,
                )?;
            }
        }
        if self.name {
            verify_name(&parsed, end_entity, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl BackendVerifier {
    /// `openssl req -x509` marks what it makes as a CA, which webpki does not take for a server's
    /// certificate; an operator who names exactly this certificate as a root means it.
    fn is_trusted_itself(&self, end_entity: &CertificateDer<'_>) -> bool {
        self.trusted
            .iter()
            .any(|root| root.as_ref() == end_entity.as_ref())
    }
}

fn verify_validity(der: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let validity = x509(der)?.validity().clone();
    let seconds = |time: i64| {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            u64::try_from(time).unwrap_or(0),
        ))
    };
    let not_before = seconds(validity.not_before.timestamp());
    let not_after = seconds(validity.not_after.timestamp());
    if now < not_before {
        Err(CertificateError::NotValidYetContext {
            time: now,
            not_before,
        })
    } else if now > not_after {
        Err(CertificateError::ExpiredContext {
            time: now,
            not_after,
        })
    } else {
        Ok(())
    }
}

/// By the subject alternative names; by the common name where there are none at all.
fn verify_name(
    parsed: &ParsedCertificate<'_>,
    der: &CertificateDer<'_>,
    name: &ServerName<'_>,
) -> Result<(), Error> {
    let mismatch = match verify_server_name(parsed, name) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    if common_name_matches(&x509(der)?, name) {
        Ok(())
    } else {
        Err(mismatch)
    }
}

/// Without wildcards: a certificate so old that it has no alternative names is taken literally.
fn common_name_matches(certificate: &X509Certificate<'_>, name: &ServerName<'_>) -> bool {
    // An unreadable extension is no absent one.
    let has_alternatives = !matches!(certificate.subject_alternative_name(), Ok(None));
    let mut common_names = certificate.subject().iter_common_name();
    !has_alternatives
        && common_names.any(|common_name| {
            common_name
                .as_str()
                .is_ok_and(|text| text.eq_ignore_ascii_case(&name.to_str()))
        })
}

fn x509<'d>(der: &'d CertificateDer<'_>) -> Result<X509Certificate<'d>, CertificateError> {
    match parse_x509_certificate(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(_) => Err(CertificateError::BadEncoding),
    }
}
