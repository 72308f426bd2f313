//! Everything of TLS that a configuration names, loaded: listeners' certificates and keys, and the
//! client configurations towards backends. Immutable; published together with a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use gateway_core::config::{
    BackendProtocol, CertificateSource, Config, HttpSettings, Secret, TrustedRoot,
};
use gateway_core::name::{CertificateName, HttpSettingsName, TrustedRootName};
use gateway_core::snapshot::{Backend, Target};
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;

use crate::backend_tls::{NameCheck, Sessions, Verification, probe_server_name};
use crate::certificates::{self, CertificateError, ServerCertificate};
use crate::dial::BackendTlsName;

/// Loaded certificates and client configurations.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// Listeners' certificates.
    pub server: BTreeMap<CertificateName, ServerCertificate>,
    /// TLS of live traffic towards backends, for each HTTP settings of protocol Https.
    pub backend: BTreeMap<HttpSettingsName, Arc<ClientConfig>>,
    /// TLS of probes, for each HTTP settings whose probe speaks Https.
    pub probe: BTreeMap<HttpSettingsName, ProbeTls>,
    /// What the above was made from, for the next load to compare with.
    sources: Sources,
}

/// TLS of the probes under one set of HTTP settings. Its sessions are never resumed: only a full
/// handshake shows the certificate, which may have expired since the last.
#[derive(Debug, Clone)]
pub struct ProbeTls {
    /// Judges as live traffic does.
    pub verified: Arc<ClientConfig>,
    /// The same, but for the name: for probes that know none.
    pub nameless: Arc<ClientConfig>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Sources {
    certificates: BTreeMap<CertificateName, (CertificateSource, Secret)>,
    roots: BTreeMap<TrustedRootName, (Arc<[u8]>, Vec<CertificateDer<'static>>)>,
    backend: BTreeMap<HttpSettingsName, Verification>,
    probe: BTreeMap<HttpSettingsName, Verification>,
}

/// A certificate or root that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{collection}/{name} cannot be used")]
pub struct MaterialError {
    /// `sslCertificates`, `trustedRootCertificates` or `backendHttpSettingsCollection`.
    pub collection: &'static str,
    /// The resource.
    pub name: String,
    /// Why.
    #[source]
    pub source: CertificateError,
}

impl Material {
    /// Loads what `config` names; all that cannot be used is reported at once. What `previous`
    /// loaded from equal sources is shared, so that TLS sessions and pools survive (files are read
    /// again, and compared by content). Blocks: files are read, and a PFX costs CPU on purpose.
    pub fn load(config: &Config, previous: Option<&Self>) -> Result<Self, Vec<MaterialError>> {
        let nothing = Self::default();
        let mut loading = Loading {
            config,
            previous: previous.unwrap_or(&nothing),
            loaded: Self::default(),
            errors: Vec::new(),
        };
        loading.load_server_certificates();
        loading.load_roots();
        loading.load_backend_configs();
        if loading.errors.is_empty() {
            Ok(loading.loaded)
        } else {
            Err(loading.errors)
        }
    }

    /// Whether both were loaded from equal sources, so that publishing one after the other would
    /// change nothing.
    pub fn is_same(&self, other: &Self) -> bool {
        self.sources == other.sources
    }

    /// How to speak TLS to `target` in a probe that asks for `probe_name`; `None` when the probe
    /// speaks HTTP in the clear.
    pub fn probe_tls(
        &self,
        backend: &Backend,
        target: &Target,
        probe_name: Option<&str>,
    ) -> Option<BackendTlsName> {
        let tls = self.probe.get(&backend.settings_name)?;
        let (name, check) = probe_server_name(&backend.settings, target, probe_name);
        let config = match check {
            NameCheck::Verified => &tls.verified,
            NameCheck::Unknown => &tls.nameless,
        };
        Some(BackendTlsName {
            config: Arc::clone(config),
            name,
        })
    }
}

/// The files that `config` names, to be watched for change.
pub fn files(config: &Config) -> BTreeSet<PathBuf> {
    let certificates = config.certificates.values();
    let roots = config.trusted_roots.values();
    certificates
        .filter_map(|certificate| match &certificate.source {
            CertificateSource::File { path, .. } => Some(path.clone()),
            CertificateSource::Pfx { .. } => None,
        })
        .chain(roots.filter_map(|root| match root {
            TrustedRoot::File(path) => Some(path.clone()),
            TrustedRoot::Inline(_) => None,
        }))
        .collect()
}

/// One load under way.
struct Loading<'a> {
    config: &'a Config,
    previous: &'a Material,
    loaded: Material,
    errors: Vec<MaterialError>,
}

impl Loading<'_> {
    fn load_server_certificates(&mut self) {
        for (name, certificate) in &self.config.certificates {
            match self.server_certificate(name, &certificate.source) {
                Ok((bytes, loaded)) => {
                    let source = (certificate.source.clone(), bytes);
                    self.loaded
                        .sources
                        .certificates
                        .insert(name.clone(), source);
                    self.loaded.server.insert(name.clone(), loaded);
                }
                Err(error) => self.refuse("sslCertificates", name, error),
            }
        }
    }

    fn server_certificate(
        &self,
        name: &CertificateName,
        source: &CertificateSource,
    ) -> Result<(Secret, ServerCertificate), CertificateError> {
        let bytes = certificates::read(source)?;
        let before = self.previous.sources.certificates.get(name);
        let unchanged = before
            .is_some_and(|(old_source, old_bytes)| old_source == source && *old_bytes == bytes);
        let loaded = match self.previous.server.get(name) {
            Some(loaded) if unchanged => loaded.clone(),
            _ => certificates::parse(source, &bytes)?,
        };
        Ok((bytes, loaded))
    }

    fn load_roots(&mut self) {
        for (name, root) in &self.config.trusted_roots {
            let before = self.previous.sources.roots.get(name);
            let read = certificates::read_root(root).and_then(|bytes| match before {
                Some((old_bytes, certificates)) if *old_bytes == bytes => {
                    Ok((bytes, certificates.clone()))
                }
                _ => certificates::parse_roots(&bytes).map(|certificates| (bytes, certificates)),
            });
            match read {
                Ok(root) => {
                    self.loaded.sources.roots.insert(name.clone(), root);
                }
                Err(error) => self.refuse("trustedRootCertificates", name, error),
            }
        }
    }

    fn load_backend_configs(&mut self) {
        for (name, settings) in &self.config.http_settings {
            let Some(verification) = self.verification(settings) else {
                // One of its roots has been reported already.
                continue;
            };
            let loaded = self
                .load_live(name, settings, &verification)
                .and_then(|()| self.load_probe(name, settings, &verification));
            if let Err(error) = loaded {
                self.refuse("backendHttpSettingsCollection", name, error);
            }
        }
    }

    /// How certificates are judged under `settings`; a probe that speaks TLS where live traffic
    /// does not judges by the platform's roots.
    fn verification(&self, settings: &HttpSettings) -> Option<Verification> {
        let BackendProtocol::Https(tls) = &settings.protocol else {
            return Some(Verification {
                roots: Vec::new(),
                chain: true,
                name: true,
            });
        };
        let mut roots = Vec::new();
        for name in &tls.trusted_roots {
            let (_, certificates) = self.loaded.sources.roots.get(name)?;
            roots.extend_from_slice(certificates);
        }
        Some(Verification {
            roots,
            chain: tls.verify_chain,
            name: tls.verify_name,
        })
    }

    fn load_live(
        &mut self,
        name: &HttpSettingsName,
        settings: &HttpSettings,
        verification: &Verification,
    ) -> Result<(), CertificateError> {
        if matches!(settings.protocol, BackendProtocol::Http) {
            return Ok(());
        }
        let unchanged = self.previous.sources.backend.get(name) == Some(verification);
        let config = match self.previous.backend.get(name) {
            Some(config) if unchanged => Arc::clone(config),
            _ => {
                warn_of_less_than_all(name, verification);
                verification.client_config(Sessions::Resumed)?
            }
        };
        self.loaded.backend.insert(name.clone(), config);
        let source = verification.clone();
        self.loaded.sources.backend.insert(name.clone(), source);
        Ok(())
    }

    fn load_probe(
        &mut self,
        name: &HttpSettingsName,
        settings: &HttpSettings,
        verification: &Verification,
    ) -> Result<(), CertificateError> {
        if !self.probe_speaks_tls(settings) {
            return Ok(());
        }
        let unchanged = self.previous.sources.probe.get(name) == Some(verification);
        let tls = match self.previous.probe.get(name) {
            Some(tls) if unchanged => tls.clone(),
            _ => ProbeTls {
                verified: verification.client_config(Sessions::AlwaysNew)?,
                nameless: Verification {
                    name: false,
                    ..verification.clone()
                }
                .client_config(Sessions::AlwaysNew)?,
            },
        };
        self.loaded.probe.insert(name.clone(), tls);
        let source = verification.clone();
        self.loaded.sources.probe.insert(name.clone(), source);
        Ok(())
    }

    fn probe_speaks_tls(&self, settings: &HttpSettings) -> bool {
        let custom = settings
            .probe
            .as_ref()
            .and_then(|name| self.config.probes.get(name));
        match custom {
            Some(probe) => probe.speaks_tls(settings),
            None => matches!(settings.protocol, BackendProtocol::Https(_)),
        }
    }

    fn refuse(&mut self, collection: &'static str, name: impl Display, source: CertificateError) {
        self.errors.push(MaterialError {
            collection,
            name: name.to_string(),
            source,
        });
    }
}

fn warn_of_less_than_all(settings: &HttpSettingsName, verification: &Verification) {
    if !verification.chain || !verification.name {
        tracing::warn!(
            %settings,
            chain_and_expiry = verification.chain,
            name = verification.name,
            "backend certificates are not fully verified: whoever sits in between can read and \
             change what is sent"
        );
    }
}

#[cfg(test)]
mod tests;
