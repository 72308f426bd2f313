//! Who gets the next WebSocket, and what happens to the open ones when a pool grows.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use super::house::{House, POOL, Plan};
use super::story;
use crate::harness::crowd::{Crowd, How};
use crate::harness::site::backend_of;
use crate::harness::{PATIENCE, until};
use crate::scenario::{Scenario, Told};

/// Clients of the rebalanced pool: a hundred for each of four targets in the end.
const CLIENTS: usize = 400;
const BALANCED: Duration = Duration::from_secs(30);
/// `slowStartInSec`.
const SLOW_START: u64 = 6;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        story(
            "least connections keeps open WebSockets even, and fills a new target first",
            || Plan::of(4).first_members(3).balance(least()),
            least_connections,
        ),
        story(
            "IpHash: a client stays with its target, and moves only when that is gone",
            || Plan::of(3).balance(json!({ "loadDistributionAlgorithm": "IpHash" })),
            ip_hash,
        ),
        story(
            "slow start: a target that comes back grows into its share",
            || Plan::of(2).balance(slow()),
            slow_start,
        ),
        story(
            "a scale-out from two to four targets is rebalanced within 10 %",
            || {
                let rebalance = json!({ "thresholdPercent": 5, "tunnelsPerSecond": 60 });
                Plan::of(4)
                    .first_members(2)
                    .balance(least())
                    .tunnels(json!({ "rebalance": rebalance }))
            },
            scale_out,
        ),
        story(
            "an operator rebalances a pool once",
            || Plan::of(2).first_members(1).balance(least()),
            by_hand,
        ),
    ]
}

fn least() -> Value {
    json!({ "loadDistributionAlgorithm": "LeastConnections" })
}

fn slow() -> Value {
    json!({ "loadDistributionAlgorithm": "RoundRobin", "slowStartInSec": SLOW_START })
}

async fn least_connections(house: House) -> Result<Told> {
    let first = Crowd::start(house.clients(60));
    first.all_open(PATIENCE).await?;
    // Each worker counts what all have open; those that open at one moment may not see each other.
    for (backend, open) in first.by_backend() {
        ensure!((17..=23).contains(&open), "{open} of 60 are at {backend}");
    }
    house.put_pool(&[0, 1, 2, 3]).await?;
    let more = Crowd::start(house.clients(16));
    more.all_open(PATIENCE).await?;
    let at_new = more.at("b4");
    ensure!(at_new >= 14, "the empty target got {at_new} of 16");
    Ok(Told::Whole)
}

async fn ip_hash(house: House) -> Result<Told> {
    let before = where_they_go(&house).await?;
    let again = where_they_go(&house).await?;
    ensure!(before == again, "{before:?}, then {again:?}");
    for backend in ["b1", "b2", "b3"] {
        let clients = before.values().filter(|name| *name == backend).count();
        ensure!(clients > 0, "{backend} has no client: {before:?}");
    }
    house.put_pool(&[0, 2]).await?;
    let without = where_they_go(&house).await?;
    for (client, backend) in &before {
        let now = &without[client];
        ensure!(
            now == backend || backend == "b2",
            "{client} was at {backend}, which stays, and is at {now}"
        );
        ensure!(now != "b2", "{client} is at a target that is gone");
    }
    house.put_pool(&[0, 1, 2]).await?;
    let back = where_they_go(&house).await?;
    ensure!(before == back, "{before:?}, and in the end {back:?}");
    Ok(Told::Whole)
}

/// The backend of each of thirty clients with addresses of their own.
async fn where_they_go(house: &House) -> Result<BTreeMap<Ipv4Addr, String>> {
    let mut found = BTreeMap::new();
    for number in 1..=30 {
        let client = Ipv4Addr::new(127, 0, 7, number);
        let (_, answer) = house.handshake_from(client, "").await?;
        ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
        found.insert(client, backend_of(&answer)?);
    }
    Ok(found)
}

/// The other target must have its whole share by then: it begins with the first handshake. How the
/// one that is back begins can only be seen soon after; a machine that is too busy for that has some
/// more attempts.
async fn slow_start(house: House) -> Result<Told> {
    const ATTEMPTS: usize = 3;
    let whole = Duration::from_secs(SLOW_START);
    let served = Instant::now();
    share_of_second(&house).await?;
    let mut soonest = Duration::MAX;
    for _ in 0..ATTEMPTS {
        house.backends[1].fault("/health?status=500").await?;
        house.is(1, "Down").await?;
        // Nothing shows that the other one has begun to get its whole share: it takes this long.
        tokio::time::sleep((whole + PATIENCE / 5).saturating_sub(served.elapsed())).await;
        house.backends[1].heal().await?;
        let healed = Instant::now();
        house.is(1, "Up").await?;
        let first = share_of_second(&house).await?;
        let after = healed.elapsed();
        soonest = soonest.min(after);
        // A probe comes every second.
        if after > whole / 2 {
            continue;
        }
        ensure!(
            first < 0.35,
            "it had {first:.2} of the handshakes of the first {after:?}"
        );
        let full = until("it has its share", BALANCED, async || {
            let share = share_of_second(&house).await?;
            Ok((share > 0.45).then_some(healed.elapsed()))
        })
        .await?;
        return Ok(Told::Measured(format!(
            "{:.0} % in the first {:.1} s, its share after {:.1} s",
            first * 100.0,
            after.as_secs_f64(),
            full.as_secs_f64()
        )));
    }
    bail!("the soonest look at it was after {soonest:?}")
}

/// Which part of many handshakes the second backend gets now.
async fn share_of_second(house: &House) -> Result<f64> {
    let clients = Crowd::start(house.clients(60));
    clients.all_open(PATIENCE).await?;
    Ok(clients.at("b2") as f64 / 60.0)
}

async fn scale_out(house: House) -> Result<Told> {
    let seed = house.stage.random("scale-out").u64(..);
    let clients = Crowd::start(house.clients(CLIENTS).coming_back(seed));
    clients.all_open(2 * PATIENCE).await?;
    let started = Instant::now();
    house.put_pool(&[0, 1, 2, 3]).await?;
    let mean = CLIENTS / 4;
    clients
        .until("the four targets are within 10 %", BALANCED, |book| {
            let near = |name: &&str| book.open_at(name).abs_diff(mean) * 10 <= mean;
            book.open() == CLIENTS && ["b1", "b2", "b3", "b4"].iter().all(near)
        })
        .await
        .map_err(|error| error.context(format!("{:?}", clients.by_backend())))?;
    let took = started.elapsed();
    let book = clients.look();
    book.all_closed_with(1012)?;
    ensure!(
        book.endings.len() <= CLIENTS * 5 / 8,
        "{} of {CLIENTS} were moved, where a half is enough",
        book.endings.len()
    );
    let moved = book.endings.len();
    let rate = moved as f64 / took.as_secs_f64();
    ensure!(rate < 75.0, "{moved} were moved in {took:?}");
    Ok(Told::Measured(format!(
        "{moved} of {CLIENTS} moved in {:.1} s: {:?}",
        took.as_secs_f64(),
        clients.by_backend()
    )))
}

/// Nothing is set: it happens because somebody asks for it.
async fn by_hand(house: House) -> Result<Told> {
    let clients = Crowd::start(house.clients(40).coming_back(7));
    clients.all_open(PATIENCE).await?;
    house.put_pool(&[0, 1]).await?;
    house.is(1, "Up").await?;
    ensure!(clients.at("b1") == 40, "{:?}", clients.by_backend());
    let answer = house.post(&format!("{POOL}/rebalance"), &json!({})).await?;
    answer.succeeds()?;
    clients
        .until("half of them are at the new target", BALANCED, |book| {
            book.open() == 40 && (18..=22).contains(&book.open_at("b2"))
        })
        .await?;
    let book = clients.look();
    book.all_closed_with(1012)?;
    ensure!(
        !book.ways().keys().any(|how| matches!(how, How::Lost(_))),
        "{:?}",
        book.ways()
    );
    Ok(Told::Whole)
}
