//! Probes over TLS: judged as live traffic is, and told in words.

use std::sync::Arc;

use gateway_core::config::{BackendHost, BackendProtocol, ProbeHost};
use gateway_core::health::Health;
use gateway_probe::Prober;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::backend::{Backend, HEALTHY, Say};
use crate::setup::{Setup, cells, first_outcome, until};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn root(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    pub(crate) fn server(&self, names: &[&str], expires: i32) -> Arc<ServerConfig> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(expires, 1, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        Arc::new(config)
    }
}

#[tokio::test]
async fn certificates_are_judged_and_the_verdict_is_told() {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    let namesake = Authority::new("Ours");
    let rows = [
        (ours.server(&["www.contoso.com"], 2999), "status 204"),
        (ours.server(&["*.contoso.com"], 2999), "status 204"),
        (
            ours.server(&["www.contoso.com"], 2021),
            "TLS: the certificate expired on 2021-01-31 00:00 UTC",
        ),
        (
            ours.server(&["a.example", "10.0.0.1"], 2999),
            "TLS: the certificate is for a.example, 10.0.0.1, not for www.contoso.com",
        ),
        (
            namesake.server(&["www.contoso.com"], 2999),
            "TLS: the certificate is not signed by the issuer that it names",
        ),
        (
            other.server(&["www.contoso.com"], 2999),
            "TLS: the certificate's issuer is unknown: it does not chain to a trusted root, or the \
             backend does not send its intermediates",
        ),
    ];
    for (server, expected) in rows {
        let backend = Backend::start_tls(HEALTHY, server).await;
        let setup = Setup::new([backend.address]).over_tls([ours.root()]);
        assert_eq!(first_outcome(&setup).await, expected);
    }
}

#[tokio::test]
async fn settings_may_leave_out_the_chain_or_the_name() {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    let rows = [
        (
            other.server(&["www.contoso.com"], 2021),
            false,
            true,
            "status 204",
        ),
        (ours.server(&["a.example"], 2999), true, false, "status 204"),
        (
            other.server(&["a.example"], 2021),
            false,
            true,
            "TLS: the certificate is for a.example, not for www.contoso.com",
        ),
        (
            ours.server(&["a.example"], 2021),
            true,
            false,
            "TLS: the certificate expired on 2021-01-31 00:00 UTC",
        ),
    ];
    for (server, chain, name, expected) in rows {
        let backend = Backend::start_tls(HEALTHY, server).await;
        let mut setup = Setup::new([backend.address]).over_tls([ours.root()]);
        if let BackendProtocol::Https(tls) = &mut setup.settings.protocol {
            tls.verify_chain = chain;
            tls.verify_name = name;
        }
        assert_eq!(first_outcome(&setup).await, expected, "{chain} {name}");
    }
}

#[tokio::test]
async fn a_probe_without_a_name_goes_by_what_live_traffic_goes_by() {
    let ours = Authority::new("Ours");
    let rows = [
        // Each client names the host: no name is known beforehand, the chain alone is judged.
        (BackendHost::FromClient, &["a.example"][..], "status 204"),
        // Live traffic goes by the member's address, and so does the probe.
        (BackendHost::FromTarget, &["127.0.0.1"][..], "status 204"),
        (
            BackendHost::FromTarget,
            &["a.example"][..],
            "TLS: the certificate is for a.example, not for 127.0.0.1",
        ),
    ];
    for (host, names, expected) in rows {
        let backend = Backend::start_tls(HEALTHY, ours.server(names, 2999)).await;
        let mut setup = Setup::new([backend.address]).over_tls([ours.root()]);
        setup.probe.host = ProbeHost::FromHttpSettings;
        setup.settings.host = host;
        assert_eq!(first_outcome(&setup).await, expected, "{names:?}");
    }
}

#[tokio::test]
async fn a_backend_that_speaks_no_tls_is_told() {
    let ours = Authority::new("Ours");
    let backend = Backend::start(Say::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let setup = Setup::new([backend.address])
        .over_tls([ours.root()])
        .within(std::time::Duration::from_millis(300));
    // The plain backend waits for the end of a head that never comes.
    assert_eq!(
        first_outcome(&setup).await,
        "no answer within 0.3 s (while shaking hands for TLS)"
    );
}

#[tokio::test]
async fn every_probe_sees_the_certificate_anew() {
    // A resumed session would not show that it has expired (or was replaced by another).
    let ours = Authority::new("Ours");
    let backend = Backend::start_tls(HEALTHY, ours.server(&["www.contoso.com"], 2999)).await;
    let setup = Setup::new([backend.address]).over_tls([ours.root()]);
    let prober = Prober::start();
    let snapshot = setup.apply(&prober, None);
    until(&prober, cells(&snapshot)[0], |report| {
        report.health == Health::Up
    })
    .await;
    let seen = backend.until(|seen| seen.heads.len() >= 3).await;
    assert_eq!(seen.resumed, 0);
}

#[tokio::test]
async fn a_probe_over_tls_is_never_sent_in_the_clear() {
    let backend = Backend::start(HEALTHY).await;
    let setup = Setup::new([backend.address]).over_tls([]);
    let prober = Prober::start();
    let snapshot = setup.compile(None);
    prober.update(Arc::clone(&snapshot), Arc::default());
    let cell = cells(&snapshot)[0];
    let report = until(&prober, cell, |report| report.last_probe.is_some()).await;
    assert_eq!(report.health, Health::Down);
    prober.stop().await;
    assert_eq!(backend.seen().heads.len(), 0);
}
