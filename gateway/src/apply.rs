//! From a checked configuration to one that is ready to be published, and its publication.
//!
//! Preparing changes nothing that a client could notice: it resolves names, loads certificates,
//! compiles, and binds sockets that do not listen yet. Dropping a [`Candidate`] undoes it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use gateway_admin::ApplyError;
use gateway_core::config::{Config, ConfigProblem, ConfigProblems, Parsed, Severity};
use gateway_core::resource::ApplicationGateway;
use gateway_core::snapshot::{CompileOptions, Generation, Resolutions, Revision, compile};
use gateway_net::dns::DnsWatcher;
use gateway_net::files::FileWatcher;
use gateway_net::material::{self, Material, MaterialError};
use gateway_probe::Prober;
use gateway_proxy::{PrepareError, Prepared, Proxy};

use crate::document::chain;
use crate::live::{Live, dns_names};

/// Everything that serves, as the supervisor steers it.
pub(crate) struct DataPlane {
    /// Moves bytes.
    pub(crate) proxy: Arc<Proxy>,
    /// Asks targets how they are.
    pub(crate) prober: Prober,
    /// Resolves targets' names.
    pub(crate) dns: DnsWatcher,
    /// Watches certificates, roots and the configuration file.
    pub(crate) files: FileWatcher,
    /// What the command line adds to the document.
    pub(crate) options: CompileOptions,
}

/// Which configuration is to be published, as what.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The document in its canonical form.
    pub(crate) document: Arc<ApplicationGateway>,
    /// The document, checked.
    pub(crate) config: Arc<Config>,
    /// What the document asks for and is not served.
    pub(crate) warnings: Arc<[ConfigProblem]>,
    /// Its revision.
    pub(crate) revision: Revision,
}

impl Plan {
    /// `parsed`, as `revision`.
    pub(crate) fn new(parsed: Parsed, revision: Revision) -> Self {
        Self {
            document: Arc::new(parsed.document),
            config: Arc::new(parsed.config),
            warnings: parsed.warnings.into(),
            revision,
        }
    }

    /// What is live, once more: for new DNS answers and certificates. `None` before the first
    /// document.
    pub(crate) fn again(live: &Live) -> Option<Self> {
        Some(Self {
            document: Arc::clone(live.document.as_ref()?),
            config: Arc::clone(&live.config),
            warnings: Arc::clone(&live.warnings),
            revision: live.revision,
        })
    }
}

/// Ready to be published.
pub(crate) struct Candidate {
    live: Live,
    prepared: Prepared,
}

impl DataPlane {
    /// What DNS says of the names of `config`. Waits only for names that `live` does not have, or
    /// for all of them where `refresh`: a name that fails holds up no other change.
    pub(crate) async fn resolve(
        &self,
        config: &Config,
        live: &Config,
        refresh: bool,
    ) -> Resolutions {
        let names = dns_names(config);
        if !refresh && names == dns_names(live) {
            return self.dns.answers().borrow().clone();
        }
        self.dns.watch(names, refresh).await
    }

    /// Undoes what resolving the names of `config` changed, when it does not become live.
    pub(crate) async fn forget(&self, config: &Config, live: &Config) {
        let names = dns_names(live);
        if names != dns_names(config) {
            self.dns.watch(names, false).await;
        }
    }

    /// Loads what `config` names; what did not change since `previous` is shared. Blocks.
    pub(crate) fn load(
        &self,
        config: &Config,
        previous: &Material,
    ) -> Result<Arc<Material>, Vec<MaterialError>> {
        Material::load(config, Some(previous)).map(Arc::new)
    }

    /// Compiles `plan` after `live`, and binds what is new in it.
    pub(crate) fn bind(
        &self,
        live: &Live,
        plan: Plan,
        resolutions: Resolutions,
        material: Arc<Material>,
    ) -> Result<Candidate, ApplyError> {
        let generation = Generation(live.generation.0 + 1);
        let snapshot = Arc::new(compile(
            &plan.config,
            &resolutions,
            &self.options,
            live.snapshot.as_deref(),
            generation,
            plan.revision,
        ));
        if let Some(unserved) = snapshot.unserved.first() {
            return Err(ApplyError::Bind {
                address: unserved.bind.to_string(),
                reason: format!(
                    "{unserved}; map them to different ports with --map-port, or to different \
                     addresses with --map-address"
                ),
            });
        }
        let prepared = self
            .proxy
            .prepare(Arc::clone(&snapshot), Arc::clone(&material))
            .map_err(|error| refusal(&error))?;
        Ok(Candidate {
            live: Live {
                revision: plan.revision,
                generation,
                document: Some(plan.document),
                config: plan.config,
                warnings: plan.warnings,
                refused: None,
                resolutions,
                material,
                snapshot: Some(snapshot),
            },
            prepared,
        })
    }

    /// Makes `candidate` live; returns when every worker serves by it.
    pub(crate) async fn publish(&self, candidate: Candidate) -> Live {
        self.proxy.publish(candidate.prepared).await;
        candidate.live
    }

    /// Probes the targets of what is live.
    pub(crate) fn probe(&self, live: &Live) {
        if let Some(snapshot) = &live.snapshot {
            let material = Arc::clone(&live.material);
            self.prober.update(Arc::clone(snapshot), material);
        }
    }

    /// Watches the files that `configs` name, and `more`.
    pub(crate) fn watch_files<'c>(
        &self,
        configs: impl IntoIterator<Item = &'c Arc<Config>>,
        more: Option<&Path>,
    ) {
        let named = configs
            .into_iter()
            .flat_map(|config| material::files(config));
        self.files
            .watch(&named.chain(more.map(Path::to_owned)).collect());
    }
}

fn refusal(error: &PrepareError) -> ApplyError {
    match error {
        PrepareError::Bind { address, source } => ApplyError::Bind {
            address: address.to_string(),
            reason: bind_reason(source),
        },
        PrepareError::Tls { .. } => ApplyError::Invalid(ConfigProblems(vec![ConfigProblem {
            severity: Severity::Error,
            code: "CertificateNotUsable",
            pointer: String::new(),
            span: None,
            position: None,
            message: chain(&error),
            remedy: None,
        }])),
    }
}

/// The system's word, and what can be done.
pub(crate) fn bind_reason(error: &io::Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum")]
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there; stop it, or bind another port \
             with --map-port 80=8080"
            .to_owned(),
        io::ErrorKind::PermissionDenied => "ports below 1024 need the capability \
             CAP_NET_BIND_SERVICE; give it, or bind another port with --map-port 80=8080"
            .to_owned(),
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address; bind \
             another one with --map-address 10.0.1.10=127.0.0.1"
            .to_owned(),
        _ => error.to_string(),
    }
}
