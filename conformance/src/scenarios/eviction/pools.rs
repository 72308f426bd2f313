//! Pools without a healthy target.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{BOUND, SLACK};
use crate::harness::document::{Document, plain_settings, quick_probe};
use crate::harness::gateway::Gateway;
use crate::harness::ports::free_port;
use crate::harness::site::{Site, get, timed};
use crate::harness::until;
use crate::harness::wire::Answer;
use crate::scenario::{Stage, Told};

pub(super) async fn all_down(stage: Stage) -> Result<Told> {
    let site = Site::open(&stage, json!({}), false).await?;
    for (index, backend) in site.backends.iter().enumerate() {
        backend.fault("/health?status=503").await?;
        site.wait_for(index, "Down", BOUND + SLACK).await?;
    }
    is_502_at_once(&site)
        .await
        .map_err(|error| site.explain(error))?;
    for backend in &site.backends {
        let seen = backend.requests().await?;
        ensure!(seen.is_empty(), "{} was sent {seen:?}", backend.name);
        backend.heal().await?;
    }
    site.wait_for(0, "Up", BOUND + SLACK).await?;
    ensure!(
        site.get("/").await?.status == 200,
        "nothing works after the recovery"
    );
    Ok(Told::Whole)
}

/// Whoever waited for a backend would take a second at least. On a busy machine one answer may be held
/// up, but not each.
const AT_ONCE: Duration = Duration::from_millis(500);
const TRIES: usize = 5;

async fn is_502_at_once(site: &Site) -> Result<()> {
    let mut quickest = [Duration::MAX; 2];
    for _ in 0..TRIES {
        let (answer, took) = timed(site.get("/")).await?;
        says_all_are_down(&answer)?;
        quickest[0] = quickest[0].min(took);
        let ((_, answer), took) = timed(site.handshake("/chat")).await?;
        says_all_are_down(&answer)?;
        quickest[1] = quickest[1].min(took);
    }
    ensure!(
        quickest.iter().all(|took| *took < AT_ONCE),
        "the 502s of a request and of a handshake took {quickest:?}"
    );
    Ok(())
}

fn says_all_are_down(answer: &Answer) -> Result<()> {
    let text = answer.text();
    ensure!(answer.status == 502, "{} {text}", answer.status);
    ensure!(
        !answer.values("retry-after").is_empty(),
        "the 502 has no Retry-After"
    );
    ensure!(
        text.contains("all members of the pool are down"),
        "the 502 gives no reason: {text}"
    );
    Ok(())
}

pub(super) async fn empty_pool(stage: Stage) -> Result<Told> {
    let port = free_port()?;
    let document =
        Document::new().serve(port, &[], ("quick", quick_probe()), plain_settings("quick"));
    let _gateway = Gateway::with_file(&stage.programs, document).await?;
    let front = SocketAddr::from(([127, 0, 0, 1], port));
    let mut quickest = Duration::MAX;
    for _ in 0..TRIES {
        let (answer, took) = timed(get(front, "/")).await?;
        ensure!(answer.status == 502, "{} {}", answer.status, answer.text());
        quickest = quickest.min(took);
    }
    ensure!(quickest < AT_ONCE, "the 502 took {quickest:?}");
    Ok(Told::Whole)
}

/// Both ill, one of two must stay: requests go on.
pub(super) async fn min_servers(stage: Stage) -> Result<Told> {
    let site = Site::open(&stage, json!({ "minServers": 1 }), false).await?;
    for backend in &site.backends {
        backend.fault("/health?status=500").await?;
    }
    let probes = site.backends[1].probes().await?;
    // Three more probes of each are more than the threshold.
    until("both are ill", 2 * (BOUND + SLACK), async || {
        Ok((site.backends[1].probes().await? > probes + 3).then_some(()))
    })
    .await?;
    let answer = site.get("/").await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    Ok(Told::Whole)
}
