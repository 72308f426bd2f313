//! A gateway before backends, with what `webSocket` says on its listener and on its HTTP settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::harness::PATIENCE;
use crate::harness::admin::Admin;
use crate::harness::backend::{TestBackend, Wish};
use crate::harness::certificates::BACKEND_NAME;
use crate::harness::crowd::Order;
use crate::harness::document::{Document, idle_probe, plain_settings, pool, quick_probe};
use crate::harness::gateway::{Gateway, Launch};
use crate::harness::ports::free_port;
use crate::harness::recorder::{Recorder, Reply, Then};
use crate::harness::site::{HANDSHAKE, backend_of, wait_for_health};
use crate::harness::wire::{Answer, Wire};
use crate::scenario::Stage;

/// How a backend by hand grants a handshake.
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";

/// What both legs of a tunnel are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Legs {
    Plain,
    /// TLS of a listener's, and to the backends.
    Tls,
}

/// What a house is to be.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    legs: Legs,
    /// Called `b1`, `b2` ...
    backends: usize,
    /// How many of them are in the pool at first.
    members: usize,
    /// `webSocket` of the listener.
    listener: Value,
    /// `webSocket` of the HTTP settings.
    tunnels: Value,
    /// Other properties of the HTTP settings.
    settings: Value,
    /// `loadDistributionPolicies[].properties` of the rule.
    balance: Option<Value>,
    /// The only backend is a recorder.
    by_hand: bool,
    /// The backends will be taken off the network.
    leaves: bool,
    launch: Launch,
}

impl Plan {
    /// So many backends, all in the pool, and nothing set.
    pub(super) fn of(backends: usize) -> Self {
        Self {
            legs: Legs::Plain,
            backends,
            members: backends,
            listener: json!({}),
            tunnels: json!({}),
            settings: json!({}),
            balance: None,
            by_hand: false,
            leaves: false,
            launch: Launch::default(),
        }
    }

    /// One backend, whose end of every tunnel is in the story's hands.
    pub(super) fn by_hand() -> Self {
        Self {
            by_hand: true,
            ..Self::of(0)
        }
    }

    pub(super) fn over(self, legs: Legs) -> Self {
        Self { legs, ..self }
    }

    pub(super) fn first_members(self, members: usize) -> Self {
        Self { members, ..self }
    }

    pub(super) fn leaving(self) -> Self {
        Self {
            leaves: true,
            ..self
        }
    }

    pub(super) fn listener(self, listener: Value) -> Self {
        Self { listener, ..self }
    }

    pub(super) fn tunnels(self, tunnels: Value) -> Self {
        Self { tunnels, ..self }
    }

    /// `connectionDraining` with this time.
    pub(super) fn draining(mut self, seconds: u64) -> Self {
        self.settings["connectionDraining"] =
            json!({ "enabled": true, "drainTimeoutInSec": seconds });
        self
    }

    pub(super) fn balance(self, properties: Value) -> Self {
        Self {
            balance: Some(properties),
            ..self
        }
    }

    pub(super) fn logged(mut self) -> Self {
        self.launch.access_log = true;
        self
    }
}

/// The gateway, its backends, and what is configured.
pub(super) struct House {
    pub(super) stage: Stage,
    pub(super) gateway: Gateway,
    pub(super) backends: Vec<TestBackend>,
    /// What a house [by hand](Plan::by_hand) has instead.
    recorder: Option<Recorder>,
    /// How clients speak to it, if not in the clear.
    tls: Option<Arc<ClientConfig>>,
    /// The listener `front`.
    pub(super) front: SocketAddr,
    /// The listener `other`, to the same pool.
    pub(super) other: SocketAddr,
}

pub(super) const POOL: &str = "/v1/backendAddressPools/pool";
const SETTINGS: &str = "/v1/backendHttpSettingsCollection/settings";

impl House {
    /// All members are up.
    pub(super) async fn open(stage: &Stage, plan: Plan) -> Result<Self> {
        let (is_tls, certificates) = (plan.legs == Legs::Tls, &stage.certificates);
        let pem = certificates.backend();
        let start = async |number| {
            let wish = Wish {
                tls: is_tls.then_some(&*pem),
                leaves: plan.leaves,
                ..Wish::default()
            };
            let started = TestBackend::start_as(stage, &format!("b{number}"), wish).await;
            anyhow::Ok(started?.0)
        };
        let backends = try_join_all((1..=plan.backends).map(start)).await?;
        let addresses = backends.iter().map(|backend| backend.address);
        let mut addresses: Vec<SocketAddr> = addresses.take(plan.members).collect();
        let mut recorder = None;
        if plan.by_hand {
            let config = is_tls.then(|| certificates.server()).transpose()?;
            let new = Recorder::start_as(config).await?;
            new.reset(Some(Reply {
                text: SWITCH.to_owned(),
                tail: Vec::new(),
                then: Then::HandOver,
                quiet_first: false,
            }));
            addresses.push(new.address);
            recorder = Some(new);
        }
        let probe = if plan.by_hand { "idle" } else { "quick" };
        let (port, other) = (free_port()?, free_port()?);
        let (mut settings, mut probes) = (plain_settings(probe), [quick_probe(), idle_probe()]);
        settings["webSocket"] = plan.tunnels;
        if is_tls {
            settings["protocol"] = json!("Https");
            settings["hostName"] = json!(BACKEND_NAME);
            settings["trustedRootCertificates"] = json!([{ "id": "trustedRootCertificates/root" }]);
            for probe in &mut probes {
                probe["protocol"] = json!("Https");
            }
        }
        let [quick, idle] = probes;
        for (name, value) in plan.settings.as_object().into_iter().flatten() {
            settings[name] = value.clone();
        }
        let listener = json!({ "webSocket": plan.listener });
        let root = json!({ "data": certificates.root });
        let document = Document::new()
            .with("probes", "quick", quick)
            .with("probes", "idle", idle)
            .with("trustedRootCertificates", "root", root)
            .with("backendHttpSettingsCollection", "settings", settings)
            .pool("pool", &addresses)
            .http_named("other", other, json!({}), "pool", "settings");
        let document = match plan.legs {
            Legs::Plain => document.http_named("front", port, listener, "pool", "settings"),
            Legs::Tls => {
                let pem = certificates.gateway();
                document.https_named("front", port, listener, &pem, "pool", "settings")
            }
        };
        let document = match plan.balance {
            None => document,
            Some(properties) => document.balanced("front", properties),
        };
        let gateway = Gateway::with_state_as(&stage.programs, document, plan.launch).await?;
        let house = Self {
            stage: stage.clone(),
            gateway,
            backends,
            recorder,
            tls: is_tls.then(|| Arc::clone(&certificates.client)),
            front: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            other: SocketAddr::from((Ipv4Addr::LOCALHOST, other)),
        };
        for index in 0..plan.members {
            house.is(index, "Up").await?;
        }
        Ok(house)
    }

    pub(super) fn admin(&self) -> Admin {
        self.gateway.admin
    }

    /// Where the backend by hand listens.
    pub(super) fn by_hand(&self) -> Result<SocketAddr> {
        let recorder = self.recorder.as_ref().context("no backend by hand")?;
        Ok(recorder.address)
    }

    /// Waits until a backend has this health.
    pub(super) async fn is(&self, index: usize, health: &str) -> Result<()> {
        let port = self.backends[index].address.port();
        wait_for_health(&self.gateway, port, health, PATIENCE).await?;
        Ok(())
    }

    /// PUTs the pool with these of the backends.
    pub(super) async fn put_pool(&self, members: &[usize]) -> Result<()> {
        let members = members.iter().map(|&index| self.backends[index].address);
        let members: Vec<SocketAddr> = members.collect();
        let body = json!({ "name": "pool", "properties": pool(&members) });
        self.admin().put(POOL, &body).await?;
        Ok(())
    }

    /// PUTs `webSocket` of the HTTP settings.
    pub(super) async fn put_tunnels(&self, tunnels: Value) -> Result<()> {
        let mut settings = self.admin().get(SETTINGS).await?;
        settings["properties"]["webSocket"] = tunnels;
        self.admin().put(SETTINGS, &settings).await?;
        Ok(())
    }

    /// A POST, with its answer, whatever it is.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.admin().request("POST", path, "", Some(body)).await
    }

    /// How the API names a backend as a target of the pool.
    pub(super) fn target(&self, index: usize) -> String {
        format!("{POOL}/targets/{}", self.backends[index].address)
    }

    /// An open WebSocket, and the name of its backend.
    pub(super) async fn websocket(&self, path: &str) -> Result<(Wire, String)> {
        let (wire, answer) = self.handshake_at(Ipv4Addr::LOCALHOST, path, "").await?;
        ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
        Ok((wire, backend_of(&answer)?))
    }

    /// Both ends of a new tunnel: the client's, and the backend's by hand.
    pub(super) async fn tunnel(&self) -> Result<(Wire, Wire)> {
        let (client, answer) = self.handshake("").await?;
        ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
        let recorder = self.recorder.as_ref().context("no backend by hand")?;
        Ok((client, recorder.handed_over().await?))
    }

    /// The answer to a handshake with more fields.
    pub(super) async fn handshake(&self, fields: &str) -> Result<(Wire, Answer)> {
        self.handshake_from(Ipv4Addr::LOCALHOST, fields).await
    }

    /// The same, from an address of ours.
    pub(super) async fn handshake_from(
        &self,
        source: Ipv4Addr,
        fields: &str,
    ) -> Result<(Wire, Answer)> {
        self.handshake_at(source, "/echo", fields).await
    }

    async fn handshake_at(
        &self,
        source: Ipv4Addr,
        path: &str,
        fields: &str,
    ) -> Result<(Wire, Answer)> {
        let mut wire = Wire::from(IpAddr::V4(source), self.front, self.tls.clone()).await?;
        let head = format!("GET {path} HTTP/1.1\r\n{fields}{HANDSHAKE}");
        wire.send(head.as_bytes()).await?;
        let answer = wire.answer(false).await?;
        Ok((wire, answer.context("no answer to the handshake")?))
    }

    /// A request on a connection of its own.
    pub(super) async fn get(&self, path: &str) -> Result<Answer> {
        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut wire = Wire::from(source, self.front, self.tls.clone()).await?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\n\r\n");
        wire.send(head.as_bytes()).await?;
        let answer = wire.answer(false).await?;
        answer.with_context(|| format!("no answer to GET {path}"))
    }

    /// Clients by the number.
    pub(super) fn clients(&self, count: usize) -> Order {
        Order::quiet(self.front, count).over(self.tls.clone())
    }
}
