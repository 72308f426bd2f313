//! What is live: one value, replaced as a whole by the supervisor and read by everybody else.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway_admin::Published;
use gateway_core::config::{Config, ConfigProblem, TargetHost};
use gateway_core::resource::ApplicationGateway;
use gateway_core::snapshot::{Generation, Resolutions, Revision, Snapshot};
use gateway_net::material::Material;

/// The live configuration in all its forms. The default is that of a process without a document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    /// Counts what users changed; 0 before the first document.
    pub(crate) revision: Revision,
    /// Counts every publication.
    pub(crate) generation: Generation,
    /// The document in its canonical form, with its secrets.
    pub(crate) document: Option<Arc<ApplicationGateway>>,
    /// The document, checked.
    pub(crate) config: Arc<Config>,
    /// What the document asks for and is not served.
    pub(crate) warnings: Arc<[ConfigProblem]>,
    /// Why the newest version of the file or of its certificates is not what is live.
    pub(crate) refused: Option<ConfigProblem>,
    /// What DNS says of the document's names.
    pub(crate) resolutions: Resolutions,
    /// Certificates and TLS configurations.
    pub(crate) material: Arc<Material>,
    /// The compiled form; `None` before the first document.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
}

impl Live {
    /// `Err` says why nothing is served.
    pub(crate) fn ready(&self) -> Result<(), String> {
        match (&self.snapshot, &self.refused) {
            (Some(_), _) => Ok(()),
            (None, Some(refused)) => Err(refused.message.clone()),
            (None, None) => Err("no configuration yet; PUT one to /v1/config".to_owned()),
        }
    }

    /// As the API tells it.
    pub(crate) fn published(&self) -> Published {
        let warnings = match &self.refused {
            None => Arc::clone(&self.warnings),
            Some(refused) => self.warnings.iter().chain([refused]).cloned().collect(),
        };
        Published {
            revision: self.revision.0,
            generation: self.generation.0,
            document: self.document.clone(),
            warnings,
        }
    }
}

/// The names that `config` wants DNS to resolve.
pub(crate) fn dns_names(config: &Config) -> BTreeSet<Arc<str>> {
    let targets = config.pools.values().flat_map(|pool| &pool.targets);
    targets
        .filter_map(|target| match &target.host {
            TargetHost::Fqdn(name) => Some(Arc::clone(name)),
            TargetHost::Ip(_) => None,
        })
        .collect()
}
