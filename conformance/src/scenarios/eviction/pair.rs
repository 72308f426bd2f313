//! A gateway before two backends, `b1` and `b2`: `b1` is the one that dies.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::SOON;
use super::names::Resolver;
use crate::harness::admin::TargetHealth;
use crate::harness::backend::{TestBackend, Wish};
use crate::harness::certificates::{BACKEND_NAME, Certificates};
use crate::harness::document::{Document, plain_settings, quick_probe};
use crate::harness::gateway::Gateway;
use crate::harness::ports::free_port;
use crate::harness::site::explain;
use crate::harness::until;

use crate::scenario::Stage;

/// The probe's.
const TIMEOUT: Duration = Duration::from_secs(2);
/// interval + (threshold - 1) * max(interval, timeout) + timeout, and a tenth of the interval for the
/// jitter of each of the two probes.
pub(super) const OUT: Duration = Duration::from_millis(1000 + 2000 + 2000 + 2 * 100);
/// interval + timeout, where a probe was under way that failed, and jitter.
pub(super) const BACK: Duration = Duration::from_millis(1000 + 2000 + 100);
/// How long an answer may take. A request that was sent to a dead backend fails after it.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// How long tunnels of a target that is gone may take to close.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// What is spoken to the backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leg {
    Plain,
    Tls,
}

impl Leg {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "TLS",
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::Plain => "Http",
            Self::Tls => "Https",
        }
    }
}

/// A gateway, its backends, and the address for clients.
pub(super) struct Pair {
    pub(super) gateway: Gateway,
    pub(super) backends: [TestBackend; 2],
    pub(super) front: SocketAddr,
    /// Where the pool's member is a name that both backends have.
    pub(super) resolver: Option<Resolver>,
}

impl Pair {
    /// Both backends are up. `probe` overrides properties of the quick probe.
    pub(super) async fn open(stage: &Stage, leg: Leg, probe: &Value) -> Result<Self> {
        Self::open_with(stage, leg, probe, false).await
    }

    /// The same; `b1` will be killed, or taken off the network, if it `leaves`.
    pub(super) async fn open_with(
        stage: &Stage,
        leg: Leg,
        probe: &Value,
        leaves: bool,
    ) -> Result<Self> {
        let file = stage.certificates.backend();
        let start = |name, leaves| {
            let wish = Wish {
                tls: (leg == Leg::Tls).then_some(file.as_path()),
                leaves,
                ..Wish::default()
            };
            TestBackend::start_as(stage, name, wish)
        };
        let ((one, _), (two, _)) = tokio::try_join!(start("b1", leaves), start("b2", false))?;
        let backends = [one, two];
        let port = free_port()?;
        let members = backends.each_ref().map(|backend| backend.address);
        let document = document(leg, &stage.certificates, probe)
            .pool("pool", &members)
            .http(port, "pool", "settings");
        let gateway = Gateway::with_file(&stage.programs, document).await?;
        let front = SocketAddr::from(([127, 0, 0, 1], port));
        Self::up(gateway, backends, front, None).await
    }

    /// The same, but the pool's member is a name that has both addresses.
    pub(super) async fn named(stage: &Stage, leg: Leg, probe: &Value) -> Result<Self> {
        let resolver = Resolver::start().await?;
        let backends: [TestBackend; 2] = resolver.backends(stage, leg).await?;
        resolver.answer(&backends.each_ref());
        let port = backends[0].address.port();
        let (gateway, front) = resolver.gateway(stage, leg, probe, port).await?;
        Self::up(gateway, backends, front, Some(resolver)).await
    }

    async fn up(
        gateway: Gateway,
        backends: [TestBackend; 2],
        front: SocketAddr,
        resolver: Option<Resolver>,
    ) -> Result<Self> {
        let pair = Self {
            gateway,
            backends,
            front,
            resolver,
        };
        for backend in &pair.backends {
            wait_for(&pair.gateway, backend.address, "Up", SOON).await?;
        }
        Ok(pair)
    }

    /// What went wrong, with what the gateway said last.
    pub(super) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        explain(self.gateway.log(), error)
    }
}

/// Probe and HTTP settings for backends behind `leg`; no pool, no listener.
pub(super) fn document(leg: Leg, certificates: &Certificates, overrides: &Value) -> Document {
    let mut probe = quick_probe();
    probe["protocol"] = json!(leg.protocol());
    probe["timeout"] = json!(TIMEOUT.as_secs());
    for (name, value) in overrides.as_object().into_iter().flatten() {
        probe[name] = value.clone();
    }
    let mut settings = plain_settings("quick");
    settings["protocol"] = json!(leg.protocol());
    settings["requestTimeout"] = json!(REQUEST_TIMEOUT.as_secs());
    settings["connectionDraining"] =
        json!({ "enabled": true, "drainTimeoutInSec": DRAIN_TIMEOUT.as_secs() });
    let mut document = Document::new();
    if leg == Leg::Tls {
        settings["hostName"] = json!(BACKEND_NAME);
        settings["trustedRootCertificates"] = json!([{ "id": "trustedRootCertificates/root" }]);
        let root = json!({ "data": certificates.root });
        document = document.with("trustedRootCertificates", "root", root);
    }
    document.with("probes", "quick", probe).with(
        "backendHttpSettingsCollection",
        "settings",
        settings,
    )
}

/// The target at `address`, if there is one.
pub(super) async fn target(gateway: &Gateway, address: SocketAddr) -> Result<Option<TargetHealth>> {
    let targets = gateway.admin.targets().await?;
    let endpoint = address.to_string();
    Ok(targets
        .into_iter()
        .find(|target| target.endpoint == endpoint))
}

/// Waits until the target has this health; gives since when by the gateway's own clock, which is
/// this machine's, and the reason.
pub(super) async fn wait_for(
    gateway: &Gateway,
    address: SocketAddr,
    health: &str,
    limit: Duration,
) -> Result<(SystemTime, String)> {
    let mut last = None;
    let turned = until("its health turns", limit, async || {
        last = target(gateway, address).await?;
        let there = last.as_ref().filter(|target| target.health == health);
        Ok(there.and_then(|target| Some((target.since?, target.reason.clone()))))
    })
    .await;
    turned.with_context(|| format!("{address} is to be {health}, and is {last:?}"))
}
