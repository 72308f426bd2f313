//! A failed TLS handshake in words that an operator understands.
//!
//! What a backend presents is hostile: it is cut short and its control characters are escaped.

use std::fmt::Write as _;
use std::io;

use rustls::{CertificateError, Error};
use rustls_pki_types::UnixTime;
use x509_parser::time::ASN1Time;

/// Of a certificate's names, so many are told, each cut at [`MAX_NAME_CHARS`].
const MAX_NAMES: usize = 5;
const MAX_NAME_CHARS: usize = 100;

/// Why the handshake that ended with `error` failed: "the certificate expired on 2026-01-31 ..."
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum")]
pub fn tls_reason(error: &io::Error) -> String {
    let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the connection was closed during the handshake".to_owned()
            }
            io::ErrorKind::ConnectionReset => {
                "the connection was reset during the handshake".to_owned()
            }
            _ => format!("the handshake failed: {error}"),
        };
    };
    match tls {
        Error::InvalidCertificate(error) => certificate_reason(error),
        Error::InvalidMessage(_) => "the answer is not TLS (does the port speak HTTP?)".to_owned(),
        Error::AlertReceived(alert) => format!("the backend refused the handshake: {alert:?}"),
        Error::PeerIncompatible(reason) => {
            format!("there is no TLS version or suite in common: {reason:?}")
        }
        Error::NoCertificatesPresented => "the backend shows no certificate".to_owned(),
        other => other.to_string(),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum")]
fn certificate_reason(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate expired on {}", date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the certificate is not valid before {}", date(*not_before))
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "the certificate is for {}, not for {}",
            names(presented),
            expected.to_str()
        ),
        CertificateError::UnknownIssuer => "the certificate's issuer is unknown: it does not \
             chain to a trusted root, or the backend does not send its intermediates"
            .to_owned(),
        CertificateError::BadSignature => {
            "the certificate is not signed by the issuer that it names".to_owned()
        }
        CertificateError::BadEncoding => "the certificate is malformed".to_owned(),
        CertificateError::Revoked => "the certificate is revoked".to_owned(),
        CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not meant for servers".to_owned()
        }
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the certificate is a CA's; name it in trustedRootCertificates to accept it".to_owned()
        }
        other => format!(
            "the certificate is not acceptable: {}",
            shown(&other.to_string())
        ),
    }
}

/// The names that a certificate presents, without webpki's wrapping: `DnsName("a.example")`.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no host at all".to_owned();
    }
    let mut text = String::new();
    for (index, name) in presented.iter().take(MAX_NAMES).enumerate() {
        let bare = name
            .strip_prefix("DnsName(\"")
            .and_then(|name| name.strip_suffix("\")"))
            .or_else(|| name.strip_prefix("IpAddress(")?.strip_suffix(')'))
            .unwrap_or(name);
        let comma = if index == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{}", shown(bare));
    }
    if presented.len() > MAX_NAMES {
        let _ = write!(text, " and {} more", presented.len() - MAX_NAMES);
    }
    text
}

fn shown(text: &str) -> String {
    text.chars()
        .take(MAX_NAME_CHARS)
        .flat_map(char::escape_debug)
        .collect()
}

fn date(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| ASN1Time::from_timestamp(seconds).ok())
        .map_or_else(
            || format!("second {} of the Unix epoch", time.as_secs()),
            |time| {
                let time = time.to_datetime();
                format!(
                    "{}-{:02}-{:02} {:02}:{:02} UTC",
                    time.year(),
                    u8::from(time.month()),
                    time.day(),
                    time.hour(),
                    time.minute()
                )
            },
        )
}
