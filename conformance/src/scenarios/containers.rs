//! What wants real hosts: backends that die as hosts do, networks that lose packets, and the servers
//! of other people. Each backend is a container with an address of its own.

mod impaired;
mod servers;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::harness::PATIENCE;
use crate::harness::backend::TestBackend;
use crate::harness::frames::{CLOSE, masked, unmasked};
use crate::harness::site::{Site, backend_of, timed};
use crate::harness::wire::Wire;
use crate::scenario::{Scenario, Stage, Told};

const GROUP: &str = "containers";

/// interval + (threshold - 1) * max(interval, timeout) + timeout, of the quick probe.
const BOUND: Duration = Duration::from_secs(3);
/// What jitter and a busy machine add.
const SLACK: Duration = Duration::from_millis(1500);

pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut all = deaths();
    all.extend(impaired::scenarios());
    all.extend(servers::scenarios());
    all
}

fn deaths() -> Vec<Scenario> {
    vec![
        story(
            "a host that is off the network goes out, and comes back",
            "reference 5",
            is_partitioned,
        ),
        story(
            "a host that stands still goes out, and comes back",
            "reference 5",
            is_paused,
        ),
        story(
            "a host that is killed goes out, and comes back",
            "reference 5",
            is_killed,
        ),
        story(
            "a backend that is stopped closes its WebSockets, and comes back",
            "RFC 6455 7.4.1 (1001)",
            is_stopped,
        ),
    ]
}

/// A story of two hosts, `b1` and `b2`.
fn story<F>(name: &str, clause: &'static str, tell: impl Fn(Site) -> F + Copy + 'static) -> Scenario
where
    F: Future<Output = Result<()>> + 'static,
{
    scenario(name, clause, move |stage| async move {
        let site = Site::that_is_left(&stage, json!({})).await?;
        tell(site).await?;
        Ok(Told::Whole)
    })
}

fn scenario<F>(name: &str, clause: &'static str, tell: impl Fn(Stage) -> F + 'static) -> Scenario
where
    F: Future<Output = Result<Told>> + 'static,
{
    Scenario::story(GROUP, name, clause, tell)
}

async fn is_partitioned(site: Site) -> Result<()> {
    site.backends[0].partition().await?;
    goes_out(&site, &["no answer within", "timed out", "unreachable"]).await?;
    site.backends[0].rejoin().await?;
    comes_back(&site).await
}

async fn is_paused(site: Site) -> Result<()> {
    site.backends[0].pause().await?;
    goes_out(&site, &["no answer within", "timed out"]).await?;
    site.backends[0].resume().await?;
    comes_back(&site).await
}

async fn is_killed(mut site: Site) -> Result<()> {
    site.backends[0].kill().await?;
    // A container without a process has no network: nobody is there to refuse.
    goes_out(
        &site,
        &["no answer within", "refused", "unreachable", "timed out"],
    )
    .await?;
    site.backends[0].restart().await?;
    comes_back(&site).await
}

async fn is_stopped(mut site: Site) -> Result<()> {
    let mut wire = tunnel_to_first(&site).await?;
    tokio::try_join!(site.backends[0].stop(), is_closed(&mut wire, 1001))?;
    goes_out(
        &site,
        &["no answer within", "refused", "unreachable", "timed out"],
    )
    .await?;
    site.backends[0].restart().await?;
    comes_back(&site).await
}

/// An open WebSocket whose other end is the first backend, which echoes.
async fn tunnel_to_first(site: &Site) -> Result<Wire> {
    loop {
        let (wire, name) = site.websocket("/echo").await?;
        if name == site.backends[0].name {
            return Ok(wire);
        }
    }
}

/// The other end closes with `code`, and the connection ends as it should: by the server, then by us
/// (RFC 6455 section 7.1.1).
async fn is_closed(wire: &mut Wire, code: u16) -> Result<()> {
    let code = code.to_be_bytes();
    let close = unmasked(CLOSE, &code);
    let came = wire.exactly(close.len(), PATIENCE).await?;
    ensure!(came == close, "not that Close: {came:?}");
    wire.send(&masked(CLOSE, &code)).await?;
    wire.ends(PATIENCE).await?;
    wire.finish().await
}

/// The first backend is out within the bound, for one of `reasons`; then every request and every
/// handshake finds the other.
async fn goes_out(site: &Site, reasons: &[&str]) -> Result<()> {
    let (reason, took) = timed(site.wait_for(0, "Down", BOUND + SLACK)).await?;
    ensure!(
        reasons.iter().any(|expected| reason.contains(expected)),
        "after {took:?} the probe log says {reason:?}, and none of {reasons:?}"
    );
    for _ in 0..10 {
        let answer = site.get("/").await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        ensure!(
            backend_of(&answer)? == other(site).name,
            "a dead host answers"
        );
        let (_, name) = site.websocket("/echo").await?;
        ensure!(name == other(site).name, "a dead host gets a handshake");
    }
    Ok(())
}

fn other(site: &Site) -> &TestBackend {
    &site.backends[1]
}

/// The first backend is up again, and gets requests.
async fn comes_back(site: &Site) -> Result<()> {
    site.wait_for(0, "Up", BOUND + SLACK).await?;
    let answers = async || backend_of(&site.get("/").await?);
    ensure!(
        [answers().await?, answers().await?, answers().await?].contains(&site.backends[0].name),
        "the host that is back gets no request"
    );
    Ok(())
}
