//! Probes and eviction: a backend that stops answering its probe gets nothing more; one success
//! brings it back (reference section 5, design of the health state machine).

mod illnesses;
mod peers;
mod pools;

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::FutureExt;
use serde_json::json;

use illnesses::{ILLNESSES, Illness};

use crate::harness::backend::TestBackend;
use crate::harness::site::{Site, backend_of, timed};
use crate::harness::{PATIENCE, until};
use crate::scenario::{Plot, Scenario, Stage, Told};

const GROUP: &str = "eviction";

/// interval + (threshold - 1) * max(interval, timeout) + timeout, of the quick probe.
const BOUND: Duration = Duration::from_secs(3);
/// What jitter and a busy machine add.
const SLACK: Duration = Duration::from_millis(1500);

pub(crate) fn scenarios() -> Vec<Scenario> {
    let illnesses = ILLNESSES.iter().map(|illness| {
        story(illness.name, illness.clause, move |stage| {
            falls_ill_and_recovers(stage, illness)
        })
    });
    let others = [
        story("the process is killed", "reference 5", is_killed),
        story("no flap below the threshold", "reference 5", does_not_flap),
        story(
            "one success brings a target back",
            "reference 5",
            one_success,
        ),
        story(
            "all down: 502 at once, with the reason",
            "reference 5",
            pools::all_down,
        ),
        story(
            "an empty pool: 502 at once",
            "reference 5",
            pools::empty_pool,
        ),
        story(
            "minServers members stay in",
            "reference 5 (minServers)",
            pools::min_servers,
        ),
        story(
            "HTTPS: a certificate that expired",
            "reference 5, 8",
            peers::tls_expires,
        ),
        story(
            "DNS: a name that goes away",
            "reference 3",
            peers::name_goes_away,
        ),
    ];
    illnesses.chain(others).collect()
}

fn story<F>(name: &str, clause: &'static str, tell: impl Fn(Stage) -> F + 'static) -> Scenario
where
    F: Future<Output = Result<Told>> + 'static,
{
    Scenario {
        group: GROUP,
        name: name.to_owned(),
        clause,
        plot: Plot::Story(Rc::new(move |stage| tell(stage).boxed_local())),
    }
}

async fn falls_ill_and_recovers(stage: Stage, illness: &'static Illness) -> Result<Told> {
    let site = Site::open(&stage, (illness.probe)(), false).await?;
    let told = async {
        shares_the_load(&site).await?;
        site.backends[0].fault(illness.fault).await?;
        evicted(&site, illness.reason).await?;
        site.backends[0].heal().await?;
        comes_back(&site).await
    };
    told.await.map_err(|error| site.explain(error))?;
    Ok(Told::Whole)
}

/// Both backends get requests.
async fn shares_the_load(site: &Site) -> Result<()> {
    until("both backends answer", PATIENCE, async || {
        let mut seen = [false; 2];
        for _ in 0..8 {
            let name = backend_of(&site.get("/").await?)?;
            seen[usize::from(name == site.backends[1].name)] = true;
        }
        Ok((seen == [true; 2]).then_some(()))
    })
    .await
}

/// The first backend goes down within the bound, for one of `reasons`; from then on it is sent
/// nothing, and no client notices.
async fn evicted(site: &Site, reasons: &[&str]) -> Result<()> {
    let (reason, took) = timed(site.wait_for(0, "Down", BOUND + SLACK)).await?;
    ensure!(
        reasons.iter().any(|expected| reason.contains(expected)),
        "after {took:?} the probe log says {reason:?}, and none of {reasons:?}"
    );
    let before = site.backends[0].requests().await?.len();
    for number in 0..20 {
        let answer = site.get(&format!("/after/{number}")).await?;
        ensure!(
            answer.status == 200,
            "after the eviction: {} {}",
            answer.status,
            answer.text()
        );
        ensure!(backend_of(&answer)? == "b2", "the evicted backend answers");
        let (_, name) = site.websocket(&format!("/ws/after/{number}")).await?;
        ensure!(name == "b2", "the evicted backend gets a handshake");
    }
    let after = site.backends[0].requests().await?;
    ensure!(
        after.len() == before,
        "the evicted backend was sent {:?}",
        &after[before..]
    );
    Ok(())
}

async fn comes_back(site: &Site) -> Result<()> {
    site.wait_for(0, "Up", BOUND + SLACK).await?;
    shares_the_load(site).await
}

/// Not a fault of its own making: the process is gone, and a new one comes at the same address.
async fn is_killed(stage: Stage) -> Result<Told> {
    let mut site = Site::open(&stage, json!({}), false).await?;
    let address = site.backends[0].address;
    site.backends[0].kill().await?;
    let reason = site
        .wait_for(0, "Down", BOUND + SLACK)
        .await
        .map_err(|error| site.explain(error))?;
    ensure!(reason.contains("refused"), "the probe log says {reason:?}");
    for _ in 0..20 {
        let answer = site.get("/").await?;
        ensure!(backend_of(&answer)? == "b2", "the dead backend answers");
    }
    site.backends[0] = TestBackend::start_at(&stage.programs, "b1", address, None).await?;
    comes_back(&site)
        .await
        .map_err(|error| site.explain(error))?;
    Ok(Told::Whole)
}

/// One failure below the threshold of two, over and over: the target stays.
async fn does_not_flap(stage: Stage) -> Result<Told> {
    let probe = json!({ "unhealthyThreshold": 3 });
    let site = Site::open(&stage, probe, false).await?;
    let backend = &site.backends[0];
    for _ in 0..2 {
        backend.fault("/health?status=500").await?;
        let before = backend.probes().await?;
        until("a probe fails", BOUND + SLACK, async || {
            Ok((backend.probes().await? > before).then_some(()))
        })
        .await?;
        backend.heal().await?;
        let failed = backend.probes().await?;
        ensure!(
            failed < before + 3,
            "the machine is too slow for this scenario"
        );
        until("a probe succeeds", BOUND + SLACK, async || {
            Ok((backend.probes().await? > failed).then_some(()))
        })
        .await?;
        let target = site.gateway.admin.target(backend.address.port()).await?;
        ensure!(target.health == "Up", "below the threshold: {target:?}");
    }
    let log = site.gateway.log().lines();
    let down = log
        .iter()
        .find(|line| line.contains("Down") && line.contains("health"));
    ensure!(down.is_none(), "a transition was logged: {down:?}");
    Ok(Told::Whole)
}

/// Down, then exactly one good probe is enough.
async fn one_success(stage: Stage) -> Result<Told> {
    let site = Site::open(&stage, json!({}), false).await?;
    let backend = &site.backends[0];
    backend.fault("/health?status=500").await?;
    site.wait_for(0, "Down", BOUND + SLACK).await?;
    backend.heal().await?;
    let before = backend.probes().await?;
    site.wait_for(0, "Up", BOUND + SLACK).await?;
    let probes = backend.probes().await? - before;
    ensure!(probes <= 2, "it took {probes} good probes");
    Ok(Told::Whole)
}
