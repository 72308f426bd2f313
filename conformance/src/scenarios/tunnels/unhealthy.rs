//! What becomes of the WebSockets of a target that turns unhealthy, as `onUnhealthy` says.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use super::house::{House, Plan};
use super::story;
use crate::harness::PATIENCE;
use crate::harness::crowd::Crowd;
use crate::scenario::{Scenario, Told};

const CLIENTS: usize = 40;
const TALK: Duration = Duration::from_millis(200);
/// `drainTimeoutInSec`.
const DRAIN: u64 = 4;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        story(
            "onUnhealthy Keep: its WebSockets go on, and get no company",
            || Plan::of(2).draining(DRAIN),
            keep,
        ),
        story(
            "onUnhealthy Drain: its WebSockets are closed one after another",
            || plan("Drain"),
            drain,
        ),
        story(
            "onUnhealthy Close: its WebSockets are closed at once",
            || plan("Close"),
            close,
        ),
    ]
}

fn plan(what: &str) -> Plan {
    let tunnels = json!({ "onUnhealthy": what, "closeOverInSec": 2, "closeCode": 1012 });
    Plan::of(2).draining(DRAIN).tunnels(tunnels)
}

/// Clients at both backends, of which the first is ill now; it still serves what it has.
async fn fall_ill(house: &House) -> Result<(Crowd, usize)> {
    let clients = Crowd::start(house.clients(CLIENTS).talking(TALK));
    clients.all_open(PATIENCE).await?;
    let doomed = clients.at("b1");
    ensure!((1..CLIENTS).contains(&doomed), "{:?}", clients.by_backend());
    house.backends[0].fault("/health?status=500").await?;
    house.is(0, "Down").await?;
    Ok((clients, doomed))
}

async fn keep(house: House) -> Result<Told> {
    let (clients, _) = fall_ill(&house).await?;
    let more = Crowd::start(house.clients(10));
    more.all_open(PATIENCE).await?;
    ensure!(more.at("b1") == 0, "a handshake went to the ill target");
    // Every one of them has talked on since then, several times.
    let before = clients.look().echoes;
    clients
        .until("all talk on", 2 * PATIENCE, |book| {
            book.echoes > before + 5 * CLIENTS
        })
        .await?;
    ensure!(
        clients.look().endings.is_empty(),
        "{:?}",
        clients.look().ways()
    );
    Ok(Told::Whole)
}

async fn drain(house: House) -> Result<Told> {
    let (clients, doomed) = fall_ill(&house).await?;
    let spread = are_closed(&clients, doomed).await?;
    ensure!(
        spread > Duration::from_secs(1),
        "all were closed within {spread:?}, not over two seconds"
    );
    Ok(Told::Whole)
}

async fn close(house: House) -> Result<Told> {
    let (clients, doomed) = fall_ill(&house).await?;
    let spread = are_closed(&clients, doomed).await?;
    ensure!(
        spread < Duration::from_secs(1),
        "they were closed over {spread:?}, not at once"
    );
    Ok(Told::Whole)
}

/// Those of the ill target are closed with the settings' code, and no others; from the first to the
/// last it took so long.
async fn are_closed(clients: &Crowd, doomed: usize) -> Result<Duration> {
    clients
        .until("the ill target's are closed", 2 * PATIENCE, |book| {
            book.endings.len() >= doomed
        })
        .await?;
    let before = clients.look().echoes;
    clients
        .until("the others talk on", PATIENCE, |book| {
            book.echoes > before + 2 * (CLIENTS - doomed)
        })
        .await?;
    let book = clients.look();
    book.all_closed_with(1012)?;
    ensure!(
        book.endings.len() == doomed && book.endings.iter().all(|end| end.backend == "b1"),
        "others were closed, too: {:?}",
        book.endings
    );
    Ok(book.spread())
}
