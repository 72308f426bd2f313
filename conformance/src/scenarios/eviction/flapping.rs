//! Backends that are well now and ill now: how often their health turns.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::SOON;
use super::load::{Kind, Load};
use super::pair::{Leg, Pair, wait_for};
use super::verdict::no_failures;
use crate::harness::backend::TestBackend;
use crate::harness::until;
use crate::scenario::{Stage, Told};

const ILL: &str = "/health?status=500";

/// How often the target has gone down, and come up from it, by the gateway's log.
fn transitions(pair: &Pair) -> (usize, usize) {
    let address = pair.backends[0].address.to_string();
    let log = pair.gateway.log().lines();
    let turns = |to: &str| {
        let turns = log.iter().filter(|line| {
            line.contains("health changed") && line.contains(&address) && line.contains(to)
        });
        turns.count()
    };
    (turns("to=Down"), turns("from=Down"))
}

async fn another_probe(backend: &TestBackend) -> Result<()> {
    let before = backend.probes().await?;
    until("it is probed", SOON, async || {
        Ok((backend.probes().await? > before).then_some(()))
    })
    .await
}

/// Failures, but fewer in a row than the threshold, over and over: the target stays.
pub(super) async fn below_the_threshold(stage: Stage) -> Result<Told> {
    const THRESHOLD: usize = 6;
    let probe = json!({ "unhealthyThreshold": THRESHOLD });
    let pair = Pair::open(&stage, Leg::Plain, &probe).await?;
    let backend = &pair.backends[0];
    let (up_since, _) = wait_for(&pair.gateway, backend.address, "Up", SOON).await?;
    let load = Load::start(pair.front, Kind::Requests);
    for _ in 0..3 {
        backend.fault(ILL).await?;
        let before = backend.probes().await?;
        another_probe(backend).await?;
        backend.heal().await?;
        let failed = backend.probes().await? - before;
        ensure!(
            failed < THRESHOLD,
            "the machine is too slow for this scenario"
        );
        another_probe(backend).await?;
    }
    let (since, _) = wait_for(&pair.gateway, backend.address, "Up", SOON).await?;
    ensure!(since == up_since, "its health has turned since");
    let operations = load.stop().await;
    no_failures(&operations)?;
    Ok(Told::Measured(format!(
        "0 transitions, 0 of {} requests failed",
        operations.len()
    )))
}

/// Really down, and really up again, three times: each is told once, and costs nobody anything.
pub(super) async fn above_the_threshold(stage: Stage) -> Result<Told> {
    const TIMES: usize = 3;
    let pair = Pair::open(&stage, Leg::Plain, &json!({})).await?;
    let backend = &pair.backends[0];
    let load = Load::start(pair.front, Kind::Requests);
    for time in 1..=TIMES {
        backend.fault(ILL).await?;
        wait_for(&pair.gateway, backend.address, "Down", SOON).await?;
        backend.heal().await?;
        wait_for(&pair.gateway, backend.address, "Up", SOON).await?;
        until("each turn is told, once", SOON, async || {
            Ok((transitions(&pair) == (time, time)).then_some(()))
        })
        .await?;
    }
    let operations = load.stop().await;
    no_failures(&operations)?;
    Ok(Told::Measured(format!(
        "{} transitions, 0 of {} requests failed",
        2 * TIMES,
        operations.len()
    )))
}

/// Well or ill by chance at every moment: it can go down only after as many probes as the threshold
/// is, and come up after one more.
pub(super) async fn at_random(stage: Stage) -> Result<Told> {
    const FOR: Duration = Duration::from_secs(8);
    let mut random = stage.random("eviction/flapping");
    let pair = Pair::open(&stage, Leg::Plain, &json!({})).await?;
    let backend = &pair.backends[0];
    let load = Load::start(pair.front, Kind::Requests);
    let probed = backend.probes().await?;
    let began = Instant::now();
    while began.elapsed() < FOR {
        match random.u8(0..3) {
            0 => backend.heal().await?,
            _ => backend.fault(ILL).await?,
        }
        // Some probes see it, and some do not: they come every second.
        tokio::time::sleep(Duration::from_millis(random.u64(100..900))).await;
    }
    let probes = backend.probes().await? - probed;
    let (down, up) = transitions(&pair);
    // Down, up: two failures and a success.
    let most = probes / 3 + 1;
    ensure!(
        down <= most && up <= down,
        "{down} times down and {up} times up in {probes} probes"
    );
    load.served(&["b2"], 1, load.next(), SOON).await?;
    let operations = load.stop().await;
    no_failures(&operations)?;
    Ok(Told::Measured(format!(
        "{} transitions in {probes} probes, 0 of {} requests failed",
        down + up,
        operations.len()
    )))
}

/// Down, then exactly one good probe is enough.
pub(super) async fn one_success(stage: Stage) -> Result<Told> {
    let pair = Pair::open(&stage, Leg::Plain, &json!({})).await?;
    let backend = &pair.backends[0];
    backend.fault(ILL).await?;
    wait_for(&pair.gateway, backend.address, "Down", SOON).await?;
    backend.heal().await?;
    let before = backend.probes().await?;
    wait_for(&pair.gateway, backend.address, "Up", SOON).await?;
    let probes = backend.probes().await? - before;
    ensure!(probes <= 2, "it took {probes} good probes");
    Ok(Told::Measured(format!("back after {probes} good probe(s)")))
}
