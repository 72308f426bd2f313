//! One cell of the matrix: a death, over one leg, under one kind of work, from health to health.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};

use super::deaths::{Blow, Budget, Death, Fate, Work, Wrong};
use super::load::{Kind, Load, numbers, writes};
use super::names::{Resolver, TTL, wait_until_known};
use super::pair::{BACK, Leg, OUT, Pair, wait_for};
use super::tunnels::{self, Tunnels};
use super::verdict::{Course, failures, fated};
use super::{SLACK, SOON};
use crate::harness::backend::TestBackend;
use crate::harness::until;
use crate::scenario::{Stage, Told};

/// So many operations must have gone well after the eviction, and to each backend before and after
/// it all.
const ENOUGH: usize = 5;

/// The backend dies under work, is evicted, and comes back.
pub(super) async fn die_and_recover(
    stage: Stage,
    death: &'static Death,
    leg: Leg,
    work: Work,
) -> Result<Told> {
    let probe = (death.probe)();
    let mut pair = match death.blow {
        Blow::Unname => Pair::named(&stage, leg, &probe).await?,
        Blow::Kill | Blow::Partition => Pair::open_with(&stage, leg, &probe, true).await?,
        Blow::Pause | Blow::Fault(_) | Blow::Certificate(_) => {
            Pair::open(&stage, leg, &probe).await?
        }
    };
    let figures = match work {
        Work::Requests => under_load(&stage, &mut pair, death, Kind::Requests).await,
        Work::Handshakes => under_load(&stage, &mut pair, death, Kind::Handshakes).await,
        Work::Tunnels => under_tunnels(&stage, &mut pair, death).await,
    };
    let figures = figures.map_err(|error| pair.explain(error))?;
    Ok(Told::Measured(figures))
}

async fn under_load(stage: &Stage, pair: &mut Pair, death: &Death, kind: Kind) -> Result<String> {
    let load = Load::start(pair.front, kind);
    load.served(&["b1", "b2"], ENOUGH, 0, SOON).await?;
    let eviction = evict(stage, pair, death).await?;
    let struck = eviction.struck;
    let out = load.next();
    let (back_after, healed) = recover(pair, death, &load, out).await?;
    let operations = load.stop().await;
    let budget = match kind {
        Kind::Requests => &death.requests,
        Kind::Handshakes => &death.handshakes,
    };
    let failed = failures(&operations, &Course { struck, out }, budget)?;
    nothing_sent(&pair.backends[0], out..healed).await?;
    if kind == Kind::Requests {
        nothing_sent_twice(&pair.backends).await?;
    }
    Ok(format!(
        "{failed} of {} failed, out after {:.1} s of {:.1}, back after {:.1} s, 0 sent to it meanwhile",
        operations.len(),
        eviction.took.as_secs_f64(),
        eviction.bound.as_secs_f64(),
        back_after.as_secs_f64(),
    ))
}

async fn under_tunnels(stage: &Stage, pair: &mut Pair, death: &Death) -> Result<String> {
    let tunnels = Tunnels::open(pair.front).await?;
    for name in ["b1", "b2"] {
        ensure!(tunnels.of(name).len() > 1, "{:?}", tunnels.look());
        tunnels.echo_on(name, SOON).await?;
    }
    let eviction = evict(stage, pair, death).await?;
    let struck = eviction.struck;
    // New tunnels show where new work goes.
    let load = Load::start(pair.front, Kind::Handshakes);
    load.served(&["b2"], ENOUGH, 0, SOON).await?;
    if death.tunnels == Fate::Drain {
        tunnels.have_ended("b1", SOON).await?;
    }
    fated(
        &tunnels.of("b1"),
        &tunnels.of("b2"),
        death.tunnels,
        struck.0,
    )?;
    let (back_after, healed) = recover(pair, death, &load, 0).await?;
    match death.tunnels {
        Fate::GoOn => tunnels.echo_on("b1", SOON).await?,
        // After a silence TCP tries again at intervals as long as the silence was.
        Fate::Wait => tunnels.echo_on("b1", 2 * SOON).await?,
        Fate::End | Fate::Drain => {}
    }
    tunnels.echo_on("b2", SOON).await?;
    fated(&tunnels.of("b2"), &[], Fate::GoOn, struck.0)?;
    let operations = load.stop().await;
    failures(&operations, &Course { struck, out: 0 }, &Budget::Nothing)?;
    nothing_sent(&pair.backends[0], 0..healed).await?;
    let ended = tunnels
        .look()
        .iter()
        .filter(|tunnel| tunnel.ended.is_some())
        .count();
    Ok(format!(
        "{ended} of {} ended, out after {:.1} s of {:.1}, back after {:.1} s, 0 opened to it meanwhile",
        tunnels::COUNT,
        eviction.took.as_secs_f64(),
        eviction.bound.as_secs_f64(),
        back_after.as_secs_f64(),
    ))
}

/// How an eviction went.
struct Eviction {
    /// Before the blow, and when it had fallen.
    struck: (Instant, Instant),
    took: Duration,
    bound: Duration,
}

/// Strikes, and waits for the eviction.
async fn evict(stage: &Stage, pair: &mut Pair, death: &Death) -> Result<Eviction> {
    let before = Instant::now();
    strike(stage, pair, death.blow).await?;
    // Where it takes an order to Docker, nobody knows when in between the blow has fallen.
    let (struck, wall) = ((before, Instant::now()), SystemTime::now());
    let address = pair.backends[0].address;
    if death.blow == Blow::Unname {
        wait_until_known(&pair.gateway, address, false, SOON).await?;
        let took = struck.1.elapsed();
        ensure!(
            took <= TTL + SLACK,
            "known for {took:?}, and its TTL is {TTL:?}"
        );
        return Ok(Eviction {
            struck,
            took,
            bound: TTL,
        });
    }
    let bound = OUT;
    let (since, reason) = wait_for(&pair.gateway, address, "Down", SOON).await?;
    // By the gateway's own account, so that a test that is held up accuses nobody.
    let took = since.duration_since(wall).unwrap_or_default();
    ensure!(
        took <= bound + SLACK,
        "out after {took:?}, and the bound is {bound:?}"
    );
    ensure!(
        death
            .reason
            .iter()
            .any(|expected| reason.contains(expected)),
        "after {took:?} the probe log says {reason:?}, and none of {:?}",
        death.reason
    );
    Ok(Eviction {
        struck,
        took,
        bound,
    })
}

/// Shows that the dead are left alone, heals, and waits for traffic: how long that took, and the
/// number of the first operation that may meet the healed backend.
async fn recover(
    pair: &mut Pair,
    death: &Death,
    load: &Load,
    out: usize,
) -> Result<(Duration, usize)> {
    // What began before is under way to the dead perhaps, and may be passed on.
    load.ended(out, SOON).await?;
    let passed_on = retries(pair).await?;
    load.served(&["b2"], ENOUGH, load.next(), SOON).await?;
    let more = retries(pair).await? - passed_on;
    ensure!(
        more == 0.0,
        "the dead backend was tried {more} times after its eviction"
    );
    let healed = load.next();
    // One that is still on its way would meet the healed backend, and rightly.
    load.ended(healed, SOON).await?;
    heal(pair, death.blow).await?;
    let (asked, wall) = (Instant::now(), SystemTime::now());
    let address = pair.backends[0].address;
    let (since, _) = wait_for(&pair.gateway, address, "Up", SOON).await?;
    // By the gateway's account again; where the backend answered while it was being healed, at once.
    let took = since.duration_since(wall).unwrap_or_default();
    ensure!(
        took <= BACK + SLACK,
        "up after {took:?}, and the bound is {BACK:?}"
    );
    let back = until("traffic comes back", SOON, async || {
        Ok(load.first_served("b1", healed))
    });
    let back = back.await?;
    load.served(&["b1", "b2"], ENOUGH, healed, SOON).await?;
    Ok((back.saturating_duration_since(asked), healed))
}

async fn strike(stage: &Stage, pair: &mut Pair, blow: Blow) -> Result<()> {
    let [backend, other] = &mut pair.backends;
    match blow {
        Blow::Kill => backend.kill().await,
        Blow::Pause => backend.pause().await,
        Blow::Partition => backend.partition().await,
        Blow::Fault(order) => backend.fault(order).await,
        Blow::Certificate(wrong) => {
            let file = match wrong {
                Wrong::Expired => stage.certificates.expired(),
                Wrong::OtherName => stage.certificates.for_another(),
            };
            backend
                .show_certificate(&std::fs::read_to_string(file)?)
                .await
        }
        Blow::Unname => answer(&pair.resolver, &[other]),
    }
}

async fn heal(pair: &mut Pair, blow: Blow) -> Result<()> {
    let [backend, other] = &mut pair.backends;
    match blow {
        Blow::Kill => backend.restart().await,
        Blow::Pause => backend.resume().await,
        Blow::Partition => backend.rejoin().await,
        Blow::Fault(_) | Blow::Certificate(_) => backend.heal().await,
        Blow::Unname => answer(&pair.resolver, &[backend, other]),
    }
}

fn answer(resolver: &Option<Resolver>, backends: &[&TestBackend]) -> Result<()> {
    let resolver = resolver.as_ref().context("the backends have no name")?;
    resolver.answer(backends);
    Ok(())
}

/// How often a request went to a second backend because the first one did not take it.
async fn retries(pair: &Pair) -> Result<f64> {
    pair.gateway
        .admin
        .metric("gateway_request_retries_total")
        .await
}

/// The backend saw none of these operations, neither when they were sent nor later.
async fn nothing_sent(backend: &TestBackend, these: std::ops::Range<usize>) -> Result<()> {
    let seen = numbers(&backend.requests().await?);
    let sent: Vec<usize> = seen
        .into_iter()
        .filter(|number| these.contains(number))
        .collect();
    ensure!(
        sent.is_empty(),
        "operations {these:?} began while it was out, and it was sent {sent:?}"
    );
    Ok(())
}

/// No request that may not be repeated came twice, whichever backend it came to.
async fn nothing_sent_twice(backends: &[TestBackend]) -> Result<()> {
    let mut seen = Vec::new();
    for backend in backends {
        seen.extend(backend.requests().await?);
    }
    seen.retain(|target| writes(target));
    let all = numbers(&seen);
    let mut once = all.clone();
    once.sort_unstable();
    once.dedup();
    ensure!(once.len() == all.len(), "POSTs came twice: {seen:?}");
    Ok(())
}
