//! Backends whose pages are well while their upgrades fail: the probe of `protocol` `WebSocket` takes
//! them out, which a probe of `/health` would not, and lets them back in.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{BOUND, SLACK, story};
use crate::harness::backend::{TestBackend, Wish};
use crate::harness::certificates::GATEWAY_NAME;
use crate::harness::document::{Document, plain_settings, quick_probe};
use crate::harness::gateway::Gateway;
use crate::harness::ports::free_port;
use crate::harness::site::{backend_of, explain, get, handshake, timed, wait_for_health};
use crate::harness::wire::Wire;
use crate::harness::{PATIENCE, until};
use crate::scenario::{Scenario, Stage, Told};

/// A WebSocket that greets its client, in the subprotocol `chat`.
const PROBED: &str = "/socket";

/// What the backend makes of every handshake, over what, and what the probe log says of it.
struct Failing {
    upgrade: &'static str,
    tls: bool,
    reason: &'static str,
}

const FAILING: &[Failing] = &[
    Failing {
        upgrade: "refused",
        tls: false,
        reason: "status 401, expected 101",
    },
    Failing {
        upgrade: "wrong-accept",
        tls: false,
        reason: "Sec-WebSocket-Accept is not for this key",
    },
    Failing {
        upgrade: "no-upgrade",
        tls: false,
        reason: "does not upgrade to websocket",
    },
    Failing {
        upgrade: "hang",
        tls: false,
        reason: "no answer within 1 s (while waiting for the answer to the handshake)",
    },
    Failing {
        upgrade: "refused",
        tls: true,
        reason: "status 401, expected 101",
    },
    Failing {
        upgrade: "reset",
        tls: true,
        reason: "the connection was closed before the answer was complete: reset",
    },
    Failing {
        upgrade: "wrong-protocol",
        tls: true,
        reason: "a subprotocol that was not offered",
    },
];

pub(super) fn scenarios() -> impl Iterator<Item = Scenario> {
    FAILING.iter().map(|failing| {
        let over = if failing.tls { "TLS" } else { "TCP" };
        let name = format!(
            "/health is 200, upgrades fail over {over}: {}",
            failing.upgrade
        );
        story(&name, "RFC 6455 4.1, 5.5.2; reference 5", move |stage| {
            upgrades_fail(stage, failing)
        })
    })
}

async fn upgrades_fail(stage: Stage, failing: &'static Failing) -> Result<Told> {
    let scene = Scene::open(stage, failing.tls).await?;
    let told = async {
        scene.both_open_sockets().await?;
        let ill = &scene.backends[0];
        ill.fault(&format!("?upgrade={}", failing.upgrade)).await?;
        let (reason, took) = timed(scene.is("Down")).await?;
        ensure!(
            reason.contains(failing.reason),
            "after {took:?} the probe log says {reason:?}"
        );
        scene.pages_are_well().await?;
        scene.is_left_alone().await?;
        scene.pages_are_well().await?;
        ill.heal().await?;
        scene.is("Up").await?;
        scene.both_open_sockets().await
    };
    told.await
        .map_err(|error| explain(scene.gateway.log(), error))?;
    Ok(Told::Whole)
}

/// A gateway before two backends, plain or TLS, that are probed by WebSocket.
struct Scene {
    stage: Stage,
    gateway: Gateway,
    backends: [TestBackend; 2],
    front: SocketAddr,
    tls: bool,
}

impl Scene {
    /// Both backends are up.
    async fn open(stage: Stage, tls: bool) -> Result<Self> {
        let pem = stage.certificates.gateway();
        let pem = tls.then_some(pem.as_path());
        let start = |name| {
            let wish = Wish {
                tls: pem,
                ..Wish::default()
            };
            TestBackend::start_as(&stage, name, wish)
        };
        let ((one, _), (two, _)) = tokio::try_join!(start("b1"), start("b2"))?;
        let backends = [one, two];
        let mut probe = quick_probe();
        probe["protocol"] = json!("WebSocket");
        probe["host"] = json!(GATEWAY_NAME);
        probe["path"] = json!(PROBED);
        probe["webSocket"] = json!({ "subprotocol": "chat" });
        let mut settings = plain_settings("quick");
        if tls {
            settings["protocol"] = json!("Https");
            settings["hostName"] = json!(GATEWAY_NAME);
            settings["trustedRootCertificates"] = json!([{ "id": "trustedRootCertificates/root" }]);
        }
        let port = free_port()?;
        let members = backends.each_ref().map(|backend| backend.address);
        let document = Document::new()
            .with(
                "trustedRootCertificates",
                "root",
                json!({ "data": stage.certificates.root }),
            )
            .serve(port, &members, ("quick", probe), settings);
        let gateway = Gateway::with_file(&stage.programs, document).await?;
        for member in members {
            wait_for_health(&gateway, member.port(), "Up", PATIENCE).await?;
        }
        Ok(Self {
            stage,
            gateway,
            backends,
            front: SocketAddr::from(([127, 0, 0, 1], port)),
            tls,
        })
    }

    /// Waits for the first backend's health; gives the probe log.
    async fn is(&self, health: &str) -> Result<String> {
        let port = self.backends[0].address.port();
        wait_for_health(&self.gateway, port, health, BOUND + SLACK).await
    }

    async fn both_open_sockets(&self) -> Result<()> {
        until("both backends open WebSockets", PATIENCE, async || {
            let mut seen = [false; 2];
            for _ in 0..8 {
                let (_, answer) = handshake(self.front, "/chat").await?;
                ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
                seen[usize::from(backend_of(&answer)? == "b2")] = true;
            }
            Ok((seen == [true; 2]).then_some(()))
        })
        .await
    }

    /// What a probe of `/health` would go by.
    async fn pages_are_well(&self) -> Result<()> {
        let address = self.backends[0].address;
        let mut wire = if self.tls {
            Wire::tls(address, self.stage.certificates.client.clone()).await?
        } else {
            Wire::plain(address).await?
        };
        wire.send(b"GET /health HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n")
            .await?;
        let answer = wire
            .answer(false)
            .await?
            .context("no answer from /health")?;
        ensure!(answer.status == 200, "/health answers {}", answer.status);
        Ok(())
    }

    /// The first backend gets no request and no handshake, and no client notices.
    async fn is_left_alone(&self) -> Result<()> {
        let before = self.asked().await?.len();
        for _ in 0..20 {
            let (_, answer) = handshake(self.front, "/chat").await?;
            ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
            ensure!(backend_of(&answer)? == "b2", "the ill backend answers");
            let answer = get(self.front, "/page").await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
            ensure!(backend_of(&answer)? == "b2", "the ill backend answers");
        }
        let after = self.asked().await?;
        ensure!(after.len() == before, "it was sent {:?}", &after[before..]);
        Ok(())
    }

    /// What the first backend was asked for, but for its probes.
    async fn asked(&self) -> Result<Vec<String>> {
        let mut targets = self.backends[0].requests().await?;
        targets.retain(|target| target != PROBED);
        Ok(targets)
    }
}
