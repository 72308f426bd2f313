//! What most stories need: two backends that are probed often, behind one gateway.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::backend::{TestBackend, Wish};
use super::document::{Document, plain_settings, quick_probe};
use super::gateway::Gateway;
use super::ports::free_port;
use super::process::Log;
use super::scene::Scene;
use super::wire::{Answer, Wire};
use super::{PATIENCE, until};
use crate::scenario::Stage;

/// A gateway before two backends, in a pool named `pool`.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    pub(crate) backends: [TestBackend; 2],
    pub(crate) address: SocketAddr,
    pub(crate) document: Document,
}

/// The handshake that every tunnel here begins with.
pub(crate) const HANDSHAKE: &str = "Host: gateway.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

impl Site {
    /// Both backends are up. `probe` overrides properties of the quick probe.
    pub(crate) async fn open(stage: &Stage, probe: Value, stateful: bool) -> Result<Self> {
        let start = |name| TestBackend::start(stage, name);
        let (one, two) = tokio::try_join!(start("b1"), start("b2"))?;
        Self::before(stage, [one, two], probe, stateful).await
    }

    /// The same; the first backend will be killed, stopped, or taken off the network.
    pub(crate) async fn that_is_left(stage: &Stage, probe: Value) -> Result<Self> {
        let leaves = Wish {
            leaves: true,
            ..Wish::default()
        };
        let leaves = TestBackend::start_as(stage, "b1", leaves);
        let ((one, _), two) = tokio::try_join!(leaves, TestBackend::start(stage, "b2"))?;
        Self::before(stage, [one, two], probe, false).await
    }

    async fn before(
        stage: &Stage,
        backends: [TestBackend; 2],
        probe: Value,
        stateful: bool,
    ) -> Result<Self> {
        let port = free_port()?;
        let mut asked = quick_probe();
        for (name, value) in probe.as_object().into_iter().flatten() {
            asked[name] = value.clone();
        }
        let members = backends.each_ref().map(|backend| backend.address);
        let document = Document::new().serve(port, &members, ("quick", asked), settings());
        let gateway = if stateful {
            Gateway::with_state(&stage.programs, document.clone()).await?
        } else {
            Gateway::with_file(&stage.programs, document.clone()).await?
        };
        let site = Self {
            gateway,
            backends,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            document,
        };
        for index in 0..2 {
            site.wait_for(index, "Up", PATIENCE).await?;
        }
        Ok(site)
    }

    /// Waits until a backend has this health; gives the reason in its probe log.
    pub(crate) async fn wait_for(
        &self,
        index: usize,
        health: &str,
        limit: Duration,
    ) -> Result<String> {
        let port = self.backends[index].address.port();
        wait_for_health(&self.gateway, port, health, limit).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer> {
        get(self.address, path).await
    }

    /// A WebSocket at `path`; the name of the backend that answers.
    pub(crate) async fn websocket(&self, path: &str) -> Result<(Wire, String)> {
        let (wire, answer) = self.handshake(path).await?;
        ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
        Ok((wire, backend_of(&answer)?))
    }

    /// The answer to a handshake, whatever it is.
    pub(crate) async fn handshake(&self, path: &str) -> Result<(Wire, Answer)> {
        handshake(self.address, path).await
    }

    /// What went wrong, with what the gateway said last.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        explain(self.gateway.log(), error)
    }
}

/// An error, with what the gateway said last; where there is a scene, that tells it.
pub(crate) fn explain(log: &Log, error: anyhow::Error) -> anyhow::Error {
    match Scene::current() {
        Some(_) => error,
        None => error.context(format!("gateway log\n{}", log.tail(30))),
    }
}

fn settings() -> Value {
    let mut settings = plain_settings("quick");
    settings["connectionDraining"] = json!({ "enabled": true, "drainTimeoutInSec": 3 });
    settings
}

pub(crate) async fn wait_for_health(
    gateway: &Gateway,
    port: u16,
    health: &str,
    limit: Duration,
) -> Result<String> {
    let mut last = String::new();
    let found = until("the target's health", limit, async || {
        let target = gateway.admin.target(port).await?;
        last = format!("{}: {}", target.health, target.reason);
        Ok((target.health == health).then_some(target.reason))
    })
    .await;
    found.with_context(|| format!("port {port} is to be {health}, and is {last}"))
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n");
    let mut wire = Wire::plain(address).await?;
    wire.send(head.as_bytes()).await?;
    let answer = wire.answer(false).await?;
    answer.with_context(|| format!("no answer to GET {path}"))
}

/// A handshake on a connection of its own, and its answer.
pub(crate) async fn handshake(address: SocketAddr, path: &str) -> Result<(Wire, Answer)> {
    let mut wire = Wire::plain(address).await?;
    let head = format!("GET {path} HTTP/1.1\r\n{HANDSHAKE}");
    wire.send(head.as_bytes()).await?;
    let answer = wire.answer(false).await?;
    Ok((wire, answer.context("no answer to the handshake")?))
}

/// Which backend answered.
pub(crate) fn backend_of(answer: &Answer) -> Result<String> {
    match answer.values("x-backend").as_slice() {
        [name] => Ok((*name).to_owned()),
        other => anyhow::bail!("{} names {other:?} as its backend", answer.status),
    }
}

/// How long `wait` took.
pub(crate) async fn timed<T>(wait: impl Future<Output = Result<T>>) -> Result<(T, Duration)> {
    let started = Instant::now();
    let value = wait.await?;
    Ok((value, started.elapsed()))
}
