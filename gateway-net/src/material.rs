//! Everything of TLS that a configuration names, loaded: listeners' certificates and keys, and the
//! client configurations towards backends. Immutable; published together with a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use gateway_core::config::Config;
use gateway_core::name::{CertificateName, HttpSettingsName};
use rustls::ClientConfig;

use crate::certificates::{CertificateError, ServerCertificate};

/// Loaded certificates and client configurations.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// Listeners' certificates.
    pub server: BTreeMap<CertificateName, ServerCertificate>,
    /// TLS towards backends, for each HTTP settings of protocol Https.
    pub backend: BTreeMap<HttpSettingsName, Arc<ClientConfig>>,
}

/// A certificate or root that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{collection}/{name} cannot be used")]
pub struct MaterialError {
    /// `sslCertificates` or `trustedRootCertificates`.
    pub collection: &'static str,
    /// The resource.
    pub name: String,
    /// Why.
    #[source]
    pub source: CertificateError,
}

impl Material {
    /// Loads what `config` names; all that cannot be used is reported at once. What `previous`
    /// loaded from equal sources is shared, so that TLS sessions and pools survive (files are read again).
    pub fn load(config: &Config, previous: Option<&Self>) -> Result<Self, Vec<MaterialError>> {
        let _ = (config, previous);
        unimplemented!()
    }
}

/// The files that `config` names, to be watched for change.
pub fn files(config: &Config) -> BTreeSet<PathBuf> {
    let _ = config;
    unimplemented!()
}
