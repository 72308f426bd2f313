//! How TLS towards backends is spoken: client configurations, and the judgement of a backend's
//! certificate. Which name is verified, the caller says with each connection.

mod server_name;
mod verifier;

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;

use crate::certificates::{CertificateError, platform_roots};
pub use server_name::live_server_name;
pub(crate) use server_name::{NameCheck, probe_server_name};
use verifier::BackendVerifier;

/// How a backend's certificate is judged. Equal ones give equal configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verification {
    /// Roots to chain to; the platform's when empty.
    pub(crate) roots: Vec<CertificateDer<'static>>,
    /// Chain and expiry are verified.
    pub(crate) chain: bool,
    /// The certificate must bear the server's name.
    pub(crate) name: bool,
}

/// Whether a TLS session may be taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// Live traffic: a resumed handshake is cheaper.
    Resumed,
    /// Probes: only a full handshake shows the certificate, which may have expired since.
    AlwaysNew,
}

impl Verification {
    /// TLS 1.2 and 1.3, without a client certificate, HTTP/1.1 by ALPN.
    pub(crate) fn client_config(
        &self,
        sessions: Sessions,
    ) -> Result<Arc<ClientConfig>, CertificateError> {
        let provider = Arc::new(default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let verifier = BackendVerifier {
            roots: self.anchors()?,
            trusted: self.roots.clone(),
            name: self.name,
            algorithms,
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if sessions == Sessions::AlwaysNew {
            config.resumption = Resumption::disabled();
        }
        Ok(Arc::new(config))
    }

    fn anchors(&self) -> Result<Option<Arc<RootCertStore>>, CertificateError> {
        if !self.chain {
            return Ok(None);
        }
        if self.roots.is_empty() {
            return platform_roots().map(Some);
        }
        let mut store = RootCertStore::empty();
        for (index, root) in self.roots.iter().enumerate() {
            store
                .add(root.clone())
                .map_err(|error| CertificateError::BadCertificate {
                    position: index + 1,
                    reason: error.to_string(),
                })?;
        }
        Ok(Some(Arc::new(store)))
    }
}

#[cfg(test)]
mod tests;
