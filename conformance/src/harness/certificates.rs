//! Certificates for one run: an authority, and what it signs.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The name that the gateway's certificate and every client use.
pub(crate) const GATEWAY_NAME: &str = "gateway.test";
/// The name in the backends' certificates.
pub(crate) const BACKEND_NAME: &str = "backend.test";

/// Files and trust for one run.
#[derive(Debug)]
pub(crate) struct Certificates {
    folder: tempfile::TempDir,
    /// Trusts the authority.
    pub(crate) client: Arc<ClientConfig>,
    /// The gateway's certificate and its renewal, DER.
    pub(crate) leaves: [Vec<u8>; 2],
    /// The authority's certificate, DER in base64, as `trustedRootCertificates` has it.
    pub(crate) root: String,
}

impl Certificates {
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let folder = tempfile::tempdir().context("no place for certificates")?;
        let year = 2000;
        let [first, renewed] = ["gateway.pem", "renewed.pem"].map(|file| folder.path().join(file));
        let leaves = [
            issue(&authority, GATEWAY_NAME, None, &first)?,
            issue(&authority, GATEWAY_NAME, None, &renewed)?,
        ];
        issue(
            &authority,
            BACKEND_NAME,
            None,
            &folder.path().join("backend.pem"),
        )?;
        let expired = folder.path().join("expired.pem");
        issue(&authority, BACKEND_NAME, Some(year), &expired)?;
        let another = folder.path().join("another.pem");
        issue(&authority, "another.test", None, &another)?;

        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let root = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            authority.der().as_ref(),
        );
        Ok(Self {
            folder,
            client: Arc::new(client),
            leaves,
            root,
        })
    }

    /// Leaves the files where they are, for what is left standing; says where.
    pub(crate) fn keep(self: &Rc<Self>) -> String {
        // Nobody drops it any more.
        std::mem::forget(Rc::clone(self));
        let path = self.folder.path().display();
        format!("left standing, too: certificates in {path}  (rm -r {path})")
    }

    /// PEM with chain and key for [`GATEWAY_NAME`].
    pub(crate) fn gateway(&self) -> PathBuf {
        self.folder.path().join("gateway.pem")
    }

    /// Another one for the same name, as after a renewal.
    pub(crate) fn renewed(&self) -> PathBuf {
        self.folder.path().join("renewed.pem")
    }

    /// PEM with chain and key for [`BACKEND_NAME`].
    pub(crate) fn backend(&self) -> PathBuf {
        self.folder.path().join("backend.pem")
    }

    /// What a backend inside this program is with it.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>> {
        let pem = self.backend();
        let chain = CertificateDer::pem_file_iter(&pem)?.collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_file(&pem)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Arc::new(config))
    }

    /// The same, but its time is over.
    pub(crate) fn expired(&self) -> PathBuf {
        self.folder.path().join("expired.pem")
    }

    /// In time, and for another name than [`BACKEND_NAME`].
    pub(crate) fn for_another(&self) -> PathBuf {
        self.folder.path().join("another.pem")
    }
}

fn issue(
    authority: &CertifiedIssuer<'_, KeyPair>,
    name: &str,
    last_year: Option<i32>,
    file: &Path,
) -> Result<Vec<u8>> {
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    if let Some(year) = last_year {
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
    }
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    let text = certificate.pem() + &authority.pem() + &key.serialize_pem();
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(certificate.der().to_vec())
}
