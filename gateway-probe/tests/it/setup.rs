//! A configuration around some targets, compiled, and a prober on it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_core::config::{
    BackendProtocol, BackendTls, Config, HttpSettings, Probe, ProbeAsks, ProbeHost, ProbeMatch,
    ProbeProtocol, StatusRange, TrustedRoot,
};
use gateway_core::fixtures;
use gateway_core::health::{ProbeFailure, ProbeOutcome};
use gateway_core::name::TrustedRootName;
use gateway_core::snapshot::{CompileOptions, Generation, Revision, Snapshot, compile};
use gateway_net::material::Material;
use gateway_probe::{LastProbe, Prober, TargetReport};

pub(crate) struct Setup {
    pub(crate) members: Vec<SocketAddr>,
    pub(crate) probe: Probe,
    pub(crate) settings: HttpSettings,
    pub(crate) roots: Vec<(&'static str, Vec<u8>)>,
}

impl Setup {
    /// A probe of `/health` every 100 ms, which may take a second; out after one failure.
    pub(crate) fn new(members: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            members: members.into_iter().collect(),
            probe: Probe {
                protocol: ProbeProtocol::Http,
                asks: asks(""),
                host: ProbeHost::Fixed("www.contoso.com".into()),
                path: "/health?deep=1".into(),
                interval: Duration::from_millis(100),
                timeout: Duration::from_secs(1),
                unhealthy_threshold: NonZeroU8::MIN,
                min_servers: 0,
                port: None,
            },
            settings: HttpSettings {
                probe: Some("probe".into()),
                ..fixtures::http_settings(80)
            },
            roots: Vec::new(),
        }
    }

    /// A probe may take so long.
    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.probe.timeout = timeout;
        self
    }

    /// Probes and traffic over TLS; `roots` are trusted, in DER.
    pub(crate) fn over_tls(mut self, roots: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let names = ["root-0", "root-1"];
        self.roots = names.into_iter().zip(roots).collect();
        self.probe.protocol = ProbeProtocol::Https;
        self.settings.protocol = BackendProtocol::Https(BackendTls {
            trusted_roots: self.roots.iter().map(|(name, _)| (*name).into()).collect(),
            verify_chain: true,
            verify_name: true,
            server_name: None,
        });
        self
    }

    /// Healthy answers have `text` in their bodies.
    pub(crate) fn looks_for(mut self, text: &str) -> Self {
        self.probe.asks = asks(text);
        self
    }

    /// Opens WebSockets, over TLS where traffic is.
    pub(crate) fn by_websocket(mut self, subprotocol: Option<&str>) -> Self {
        self.probe.protocol = ProbeProtocol::AsHttpSettings;
        self.probe.asks = ProbeAsks::WebSocket {
            subprotocol: subprotocol.map(Into::into),
        };
        self
    }

    fn config(&self) -> Config {
        let members = self.members.iter();
        let pool = fixtures::pool(members.map(|member| (member.ip(), Some(member.port()))));
        let roots = self.roots.iter().map(|(name, der)| {
            let root = TrustedRoot::Inline(der.clone().into());
            (TrustedRootName::from(*name), root)
        });
        Config {
            probes: BTreeMap::from([("probe".into(), self.probe.clone())]),
            trusted_roots: roots.collect(),
            ..fixtures::site(
                "listener",
                fixtures::listener(80),
                pool,
                self.settings.clone(),
            )
        }
    }

    pub(crate) fn compile(&self, previous: Option<&Snapshot>) -> Arc<Snapshot> {
        let options = CompileOptions {
            workers: 1,
            ..CompileOptions::default()
        };
        Arc::new(compile(
            &self.config(),
            &BTreeMap::new(),
            &options,
            previous,
            Generation(0),
            Revision(0),
        ))
    }

    pub(crate) fn apply(&self, prober: &Prober, previous: Option<&Snapshot>) -> Arc<Snapshot> {
        let snapshot = self.compile(previous);
        let material = Material::load(&self.config(), None).unwrap();
        prober.update(Arc::clone(&snapshot), Arc::new(material));
        snapshot
    }
}

fn asks(text: &str) -> ProbeAsks {
    ProbeAsks::Get(ProbeMatch {
        statuses: vec![StatusRange {
            first: 200,
            last: 399,
        }],
        body: text.to_owned(),
    })
}

/// The health cells of the snapshot's targets, in the pool's order.
pub(crate) fn cells(snapshot: &Snapshot) -> Vec<u64> {
    let targets = snapshot.backends[0].targets.iter();
    targets.map(|target| target.health.id).collect()
}

/// Waits until the report of `cell` is as `wanted`.
pub(crate) async fn until(
    prober: &Prober,
    cell: u64,
    wanted: impl Fn(&TargetReport) -> bool,
) -> TargetReport {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let report = prober.report().remove(&cell).expect("the target is probed");
        if wanted(&report) {
            return report;
        }
        assert!(Instant::now() < give_up, "still {report:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The first probe of a setup with one member.
pub(crate) async fn first_probe(setup: &Setup) -> LastProbe {
    let prober = Prober::start();
    let snapshot = setup.apply(&prober, None);
    let report = until(&prober, cells(&snapshot)[0], |report| {
        report.last_probe.is_some()
    })
    .await;
    prober.stop().await;
    report.last_probe.unwrap()
}

/// The first probe finds that what it gets is not the protocol.
pub(crate) async fn expect_malformed(setup: &Setup, what: &str) {
    let probe = first_probe(setup).await;
    assert!(
        matches!(
            probe.outcome,
            ProbeOutcome::Failed(ProbeFailure::Malformed { .. })
        ),
        "{what}: {probe:?}"
    );
}

/// The first probe gets no answer in time.
pub(crate) async fn expect_timeout(setup: &Setup) -> LastProbe {
    let probe = first_probe(setup).await;
    assert!(
        matches!(
            probe.outcome,
            ProbeOutcome::Failed(ProbeFailure::Timeout { .. })
        ),
        "{probe:?}"
    );
    probe
}

/// The first probe's outcome, in words.
pub(crate) async fn first_outcome(setup: &Setup) -> String {
    first_probe(setup).await.outcome.to_string()
}
