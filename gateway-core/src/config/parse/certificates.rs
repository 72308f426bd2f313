//! Where certificates and roots come from: base64 in the document, or files.
//!
//! Bytes are decoded here and not looked into; whoever loads them says what is wrong inside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{CONFLICTING_PROPERTIES, Checker, MISSING_PROPERTY, Place, each};
use crate::config::{Certificate, CertificateSource, Secret, TrustedRoot};
use crate::name::{CertificateName, TrustedRootName};
use crate::resource::{Collection, HttpProtocol, Reference, SecretText, shown};

/// Base64 as tools write it: with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a certificate is made of, before it is known which kind it is.
enum Source {
    Data(Vec<u8>),
    File(PathBuf),
}

impl Checker<'_, '_> {
    pub(super) fn certificates(&mut self) -> BTreeMap<CertificateName, Certificate> {
        let gateway = self.gateway;
        let listeners = gateway.properties.http_listeners.iter().flatten();
        let served = listeners
            .filter(|listener| listener.properties.protocol == Some(HttpProtocol::Https))
            .filter_map(|listener| listener.properties.ssl_certificate.as_ref());
        let needed = names_of(served);
        let mut certificates = BTreeMap::new();
        let all = gateway.properties.ssl_certificates.as_ref();
        for (place, written) in each(Collection::SslCertificates, all) {
            let data = written.data.as_ref().map(SecretText::expose);
            let uri = written.key_vault_secret_id.as_deref();
            let needed = needed.contains(&place.name.to_ascii_lowercase());
            let Some(source) = self.source(&place, data, uri, needed) else {
                continue;
            };
            let password = written.password.as_ref().map(SecretText::expose);
            let password = Secret::new(password.unwrap_or_default().as_bytes());
            let source = match source {
                Source::Data(data) => CertificateSource::Pfx {
                    data: Secret::new(data),
                    password,
                },
                Source::File(path) => CertificateSource::File { path, password },
            };
            certificates.insert(place.name.into(), Certificate { source });
        }
        certificates
    }

    pub(super) fn trusted_roots(&mut self) -> BTreeMap<TrustedRootName, TrustedRoot> {
        let gateway = self.gateway;
        let settings = gateway.properties.backend_http_settings_collection.iter();
        let served = settings
            .flatten()
            .filter(|settings| settings.properties.protocol == Some(HttpProtocol::Https))
            .flat_map(|settings| {
                settings
                    .properties
                    .trusted_root_certificates
                    .iter()
                    .flatten()
            });
        let needed = names_of(served);
        let mut roots = BTreeMap::new();
        let all = gateway.properties.trusted_root_certificates.as_ref();
        for (place, written) in each(Collection::TrustedRootCertificates, all) {
            let uri = written.key_vault_secret_id.as_deref();
            let needed = needed.contains(&place.name.to_ascii_lowercase());
            let root = match self.source(&place, written.data.as_deref(), uri, needed) {
                None => continue,
                Some(Source::Data(data)) => TrustedRoot::Inline(data.into()),
                Some(Source::File(path)) => TrustedRoot::File(path),
            };
            roots.insert(place.name.into(), root);
        }
        roots
    }

    /// `needed`: something served refers to it, so that it must be usable.
    fn source(
        &mut self,
        place: &Place<'_>,
        data: Option<&str>,
        uri: Option<&str>,
        needed: bool,
    ) -> Option<Source> {
        let data_at = place.property("data");
        let uri_at = place.property("keyVaultSecretId");
        match (data, uri) {
            (Some(_), Some(_)) => {
                self.problems.error(
                    uri_at,
                    CONFLICTING_PROPERTIES,
                    format!("{place} has both `data` and `keyVaultSecretId`"),
                    "keep one of them",
                );
                None
            }
            (Some(data), None) => self.decoded(place, data_at, data).map(Source::Data),
            (None, Some(uri)) => self.file(place, uri_at, uri, needed).map(Source::File),
            (None, None) => {
                let unreadable = self.problems.has_failed_inside(data_at)
                    || self.problems.has_failed_inside(uri_at);
                if !unreadable {
                    self.unusable(
                        data_at,
                        MISSING_PROPERTY,
                        format!("{place} has neither `data` nor `keyVaultSecretId`"),
                        "write base64 in `data`, or a `file:` URI in `keyVaultSecretId`",
                        needed,
                    );
                }
                None
            }
        }
    }

    fn unusable(
        &mut self,
        pointer: impl ToString,
        code: &'static str,
        message: String,
        remedy: &str,
        needed: bool,
    ) {
        if needed {
            self.problems.error(pointer, code, message, remedy);
        } else {
            self.problems.warning(pointer, code, message, remedy);
        }
    }

    fn decoded(
        &mut self,
        place: &Place<'_>,
        pointer: impl ToString,
        data: &str,
    ) -> Option<Vec<u8>> {
        let compact: String = data.split_ascii_whitespace().collect();
        let fault = match BASE64.decode(&compact) {
            Ok(bytes) if bytes.is_empty() => "is empty".to_owned(),
            Ok(bytes) => return Some(bytes),
            Err(error) => format!("is not base64: {}", base64_fault(&error)),
        };
        self.problems.error(
            pointer,
            "InvalidCertificateData",
            format!("`data` of {place} {fault}"),
            "write the file's bytes in base64, as `base64 -w0 FILE` prints them",
        );
        None
    }

    fn file(
        &mut self,
        place: &Place<'_>,
        pointer: impl ToString,
        uri: &str,
        needed: bool,
    ) -> Option<PathBuf> {
        let is_file = uri
            .get(..5)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
        if !is_file {
            self.unusable(
                pointer,
                "KeyVaultNotServed",
                format!("{place} is at `{}`; only files are read here", shown(uri)),
                "export the certificate and write `file:///path/to/it.pem` (or .pfx)",
                needed,
            );
            return None;
        }
        match file_path(&uri[5..], self.folder) {
            Ok(path) => Some(path),
            Err(fault) => {
                self.invalid(
                    pointer,
                    format!("`{}` of {place} cannot be used: {fault}", shown(uri)),
                    "write `file:///path/to/it.pem`, with `%20` for a blank and so on",
                );
                None
            }
        }
    }
}

/// The names, in lower case, of what is referred to.
fn names_of<'r>(references: impl Iterator<Item = &'r Reference>) -> BTreeSet<String> {
    references
        .map(|reference| reference.name().to_ascii_lowercase())
        .collect()
}

/// Names the place and never the byte, which may be a key's.
fn base64_fault(error: &base64::DecodeError) -> String {
    if let base64::DecodeError::InvalidByte(at, _) = error {
        return format!("a foreign character at {at}");
    }
    "its end is missing or wrong".to_owned()
}

/// What follows `file:` (RFC 8089), as an absolute path.
fn file_path(rest: &str, folder: Option<&Path>) -> Result<PathBuf, &'static str> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(authority) => {
            let host = &authority[..authority.find('/').unwrap_or(authority.len())];
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err("it names another host");
            }
            &authority[host.len()..]
        }
    };
    if path.contains(['?', '#']) {
        return Err("it has a query or a fragment");
    }
    let path = decode_percent(path).ok_or("its percent-encoding is broken")?;
    if path.is_empty() || path.contains('\0') {
        return Err("it names no file");
    }
    if path.starts_with('/') {
        return Ok(path.into());
    }
    folder
        .map(|folder| folder.join(path))
        .ok_or("it is relative, and there is no file that it could be relative to")
}

fn decode_percent(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_uris() {
        let folder = Some(Path::new("/etc/gateway"));
        let rows = [
            ("///etc/a.pem", None, Ok("/etc/a.pem")),
            ("/etc/a.pem", None, Ok("/etc/a.pem")),
            ("//localhost/etc/a.pem", None, Ok("/etc/a.pem")),
            ("///a%20b.pem", None, Ok("/a b.pem")),
            ("a.pem", folder, Ok("/etc/gateway/a.pem")),
            ("../a.pem", folder, Ok("/etc/gateway/../a.pem")),
            (
                "a.pem",
                None,
                Err("it is relative, and there is no file that it could be relative to"),
            ),
            ("//other/etc/a.pem", None, Err("it names another host")),
            ("///a%2.pem", None, Err("its percent-encoding is broken")),
            ("///a%+1.pem", None, Err("its percent-encoding is broken")),
            ("///a?b", None, Err("it has a query or a fragment")),
            ("", folder, Err("it names no file")),
        ];
        for (rest, folder, expected) in rows {
            let expected = expected.map(PathBuf::from);
            assert_eq!(file_path(rest, folder), expected, "file:{rest}");
        }
    }
}
