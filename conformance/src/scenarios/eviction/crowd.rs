//! A pool of 200 targets, of which 100 die together: two hosts with a hundred ports each.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::deaths::Budget;
use super::load::{Kind, Load};
use super::pair::{Leg, document};
use super::verdict::{Course, failures};
use super::{SLACK, SOON};
use crate::harness::admin::TargetHealth;
use crate::harness::backend::{TestBackend, Wish};
use crate::harness::gateway::Gateway;
use crate::harness::ports::free_port;
use crate::harness::site::explain;
use crate::harness::until;
use crate::scenario::{Stage, Told};

/// Of each host.
const HALF: usize = 100;
/// Interval and timeout: two hundred probes a second would measure this machine.
const INTERVAL: Duration = Duration::from_secs(2);
/// interval + (threshold - 1) * max(interval, timeout) + timeout.
const BOUND: Duration = Duration::from_secs(6);
/// A tenth of the interval, for each of the two probes.
const JITTER: Duration = Duration::from_millis(400);

pub(super) async fn half_dies(stage: Stage) -> Result<Told> {
    let start = |name| {
        let more = HALF as u16 - 1;
        let wish = Wish {
            more,
            leaves: name == "b1",
            ..Wish::default()
        };
        TestBackend::start_as(&stage, name, wish)
    };
    let ((mut dying, first), (_living, second)) = tokio::try_join!(start("b1"), start("b2"))?;
    let doomed: HashSet<String> = first.iter().map(ToString::to_string).collect();
    let members = [first, second].concat();
    let seconds = INTERVAL.as_secs();
    let probe = json!({ "interval": seconds, "timeout": seconds });
    let port = free_port()?;
    let document = document(Leg::Plain, &stage.certificates, &probe)
        .pool("pool", &members)
        .http(port, "pool", "settings");
    let gateway = Gateway::with_file(&stage.programs, document).await?;
    let front = SocketAddr::from(([127, 0, 0, 1], port));
    let told = async {
        all_are(&gateway, "Up", |_| true, SOON).await?;
        let spread = probes_are_spread(&gateway).await?;
        let load = Load::start(front, Kind::Requests);
        // The turn is among those that will die, all in a row: the worst that there is.
        load.served(&["b1"], 20, 0, SOON).await?;

        let (before, wall) = (Instant::now(), SystemTime::now());
        dying.kill().await?;
        let struck = (before, Instant::now());
        let is_doomed = |target: &TargetHealth| doomed.contains(&target.endpoint);
        let down = all_are(&gateway, "Down", is_doomed, SOON).await?;
        let out = load.next();
        let last = down.iter().filter_map(|target| target.since).max();
        let last = last.context("no time")?.duration_since(wall)?;
        ensure!(
            last <= BOUND + JITTER + SLACK,
            "the last was out after {last:?}"
        );
        probed_again(&gateway, &doomed).await?;
        let operations = load.stop().await;
        let failed = failures(
            &operations,
            &Course { struck, out },
            &Budget::UnderWay(&["502"]),
        )?;
        living_were_left(&gateway, &doomed, wall).await?;
        Ok(format!(
            "{failed} of {} failed, the last of {HALF} out after {:.1} s of {:.1}, {HALF} never; \
             at most {spread} of {} probes due within 20 ms",
            operations.len(),
            last.as_secs_f64(),
            (BOUND + JITTER).as_secs_f64(),
            members.len(),
        ))
    };
    let figures = told.await.map_err(|error| explain(gateway.log(), error))?;
    Ok(Told::Measured(figures))
}

/// Waits until all targets that are `meant` have this health.
async fn all_are(
    gateway: &Gateway,
    health: &str,
    meant: impl Fn(&TargetHealth) -> bool,
    limit: Duration,
) -> Result<Vec<TargetHealth>> {
    until(&format!("all are {health}"), limit, async || {
        let mut targets = gateway.admin.targets().await?;
        targets.retain(|target| meant(target));
        let all = targets.iter().all(|target| target.health == health);
        Ok((all && !targets.is_empty()).then_some(targets))
    })
    .await
}

/// How many of the next probes are due within the busiest 20 ms: a crowd that is probed at one
/// moment would be all of them.
async fn probes_are_spread(gateway: &Gateway) -> Result<usize> {
    const WINDOW: Duration = Duration::from_millis(20);
    let targets = gateway.admin.targets().await?;
    let mut due: Vec<SystemTime> = targets
        .iter()
        .filter_map(|target| target.next_probe_at)
        .collect();
    due.sort_unstable();
    let within = |from: &SystemTime| {
        let later = due.iter().filter(|at| *at >= from);
        later.take_while(|at| **at < *from + WINDOW).count()
    };
    let busiest = due.iter().map(within).max().unwrap_or_default();
    ensure!(due.len() == 2 * HALF, "{} probes are due", due.len());
    // A tenth of the interval has ten such windows.
    ensure!(
        busiest <= due.len() / 4,
        "{busiest} probes are due within {WINDOW:?}"
    );
    Ok(busiest)
}

/// Waits until each of the living has been probed once more.
async fn probed_again(gateway: &Gateway, doomed: &HashSet<String>) -> Result<()> {
    let due = async || {
        let mut targets = gateway.admin.targets().await?;
        targets.retain(|target| !doomed.contains(&target.endpoint));
        let due = targets.iter().map(|target| target.next_probe_at);
        anyhow::Ok(due.collect::<Vec<_>>())
    };
    let before = due().await?;
    until("all are probed again", SOON, async || {
        let all = due()
            .await?
            .iter()
            .zip(&before)
            .all(|(now, before)| now > before);
        Ok(all.then_some(()))
    })
    .await
}

/// No target of the other half has been down since the blow.
async fn living_were_left(
    gateway: &Gateway,
    doomed: &HashSet<String>,
    struck: SystemTime,
) -> Result<()> {
    let mut targets = gateway.admin.targets().await?;
    targets.retain(|target| !doomed.contains(&target.endpoint));
    let left = |target: &&TargetHealth| {
        target.health == "Up" && target.since.is_some_and(|since| since < struck)
    };
    let wrongly = targets.iter().find(|target| !left(target));
    ensure!(wrongly.is_none(), "{wrongly:?}");
    ensure!(targets.len() == HALF, "{} targets are left", targets.len());
    Ok(())
}
