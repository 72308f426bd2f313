//! Draining: every client sees a Close frame with a code and a reason, and none sees 1006.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::house::{House, Plan};
use super::{over_both, story};
use crate::harness::crowd::{Crowd, Order, affordable};
use crate::harness::frames::{End, text};
use crate::harness::site;
use crate::harness::wire::Wire;
use crate::harness::{PATIENCE, python, until};
use crate::scenario::{Scenario, Told};

/// A small crowd, that talks.
const CLIENTS: usize = 100;
const TALK: Duration = Duration::from_millis(300);
/// `drainTimeoutInSec` of the small stories, and what a busy machine adds.
const DRAIN: u64 = 4;
const DRAINED: Duration = Duration::from_secs(DRAIN + 6);

/// `closeOverInSec` of the large one.
const OVER: u64 = 10;
/// An interpreter, and perhaps a container, on a busy machine.
const START: Duration = Duration::from_secs(20);

pub(super) fn scenarios() -> Vec<Scenario> {
    let once = vec![
        story(
            "Python's websockets sees 1001, and its own loop opens elsewhere",
            || Plan::of(2).first_members(1).draining(DRAIN),
            python_comes_back,
        ),
        story(
            "a removed listener's clients are closed with 1001, all others talk on",
            || Plan::of(1).draining(DRAIN),
            removed_listener,
        ),
        story(
            "a drain that is cancelled leaves the rest where they are, until it is resumed",
            || {
                Plan::of(2)
                    .draining(30)
                    .tunnels(json!({ "closeOverInSec": 8 }))
            },
            cancelled,
        ),
        story(
            "two thousand tunnels are drained over ten seconds, evenly, without a 1006",
            || {
                Plan::of(2)
                    .draining(30)
                    .tunnels(json!({ "closeOverInSec": OVER }))
            },
            two_thousand,
        ),
    ];
    let twice = [
        over_both(
            "a removed target's clients are closed with 1001, all others talk on",
            || Plan::of(2).draining(DRAIN),
            removed_target,
        ),
        over_both(
            "a frame that is on its way arrives whole, and the Close comes behind it",
            || Plan::by_hand().draining(DRAIN),
            inside_a_frame,
        ),
        over_both(
            "peers that answer no Close are cut at the deadline, in order",
            || Plan::by_hand().draining(2),
            cut,
        ),
        over_both(
            "an operator drains a target with 1012, sees how far it is, and resumes it",
            || {
                Plan::of(2)
                    .draining(DRAIN)
                    .tunnels(json!({ "closeCode": 1012 }))
            },
            by_an_operator,
        ),
        over_both(
            "SIGTERM closes every client with 1001",
            || Plan::of(2),
            sigterm,
        ),
    ];
    [once, twice.concat()].concat()
}

async fn removed_target(house: House) -> Result<Told> {
    let clients = Crowd::start(house.clients(CLIENTS).talking(TALK));
    clients.all_open(PATIENCE).await?;
    let (leaving, staying) = (clients.at("b1"), clients.at("b2"));
    ensure!(leaving > 0 && staying > 0, "{:?}", clients.by_backend());
    house.put_pool(&[1]).await?;
    clients
        .until("the removed target's clients are gone", DRAINED, |book| {
            book.endings.len() == leaving
        })
        .await?;
    let echoes = clients.look().echoes;
    clients
        .until("those of the other target talk on", PATIENCE, |book| {
            book.echoes > echoes + staying
        })
        .await?;
    let book = clients.look();
    book.all_closed_with(1001)?;
    ensure!(
        book.endings.iter().all(|ending| ending.backend == "b1"),
        "clients of the target that stays were closed"
    );
    Ok(Told::Whole)
}

async fn removed_listener(house: House) -> Result<Told> {
    let leaving = Crowd::start(Order::quiet(house.other, CLIENTS).talking(TALK));
    let staying = Crowd::start(house.clients(CLIENTS).talking(TALK));
    leaving.all_open(PATIENCE).await?;
    staying.all_open(PATIENCE).await?;
    // The rule alone drains nothing: what hangs on it is the listener's.
    for path in ["/v1/requestRoutingRules/other", "/v1/httpListeners/other"] {
        let answer = house.admin().request("DELETE", path, "", None).await?;
        ensure!(
            matches!(answer.status, 200 | 204),
            "DELETE {path}: {} {}",
            answer.status,
            answer.text()
        );
    }
    leaving.none_open(DRAINED).await?;
    leaving.look().all_closed_with(1001)?;
    let echoes = staying.look().echoes;
    staying
        .until("the other listener's talk on", PATIENCE, |book| {
            book.echoes > echoes + CLIENTS
        })
        .await?;
    ensure!(
        staying.look().endings.is_empty(),
        "clients of the other listener were closed"
    );
    Ok(Told::Whole)
}

async fn by_an_operator(house: House) -> Result<Told> {
    let clients = Crowd::start(house.clients(CLIENTS).talking(TALK));
    clients.all_open(PATIENCE).await?;
    let leaving = clients.at("b1");
    let path = format!("{}/drain", house.target(0));
    house.post(&path, &json!({})).await?.succeeds()?;
    let drain = the_drain(&house).await?;
    ensure!(
        drain["kind"] == "TargetDrained" && drain["total"] == leaving,
        "{leaving} tunnels drain, and it says {drain}"
    );
    for number in 0..6 {
        let (_, backend) = house.websocket("/echo").await?;
        ensure!(
            backend == "b2",
            "handshake {number} went to a target that drains"
        );
        let answer = house.get("/").await?;
        ensure!(
            site::backend_of(&answer)? == "b2",
            "request {number} went to a target that drains"
        );
    }
    until("the drain is over", DRAINED, async || {
        let drain = the_drain(&house).await?;
        Ok((drain["state"] == "Finished").then_some(()))
    })
    .await?;
    let drain = the_drain(&house).await?;
    ensure!(
        drain["closed"] == leaving && drain["cut"] == 0 && drain["left"] == 0,
        "in the end it says {drain}"
    );
    clients
        .until("all of them have gone", PATIENCE, |book| {
            book.endings.len() == leaving && book.open_at("b1") == 0
        })
        .await?;
    clients.look().all_closed_with(1012)?;

    let path = format!("{}/resume", house.target(0));
    house.post(&path, &json!({})).await?.succeeds()?;
    until("it gets WebSockets again", PATIENCE, async || {
        Ok((house.websocket("/echo").await?.1 == "b1").then_some(()))
    })
    .await?;
    Ok(Told::Whole)
}

async fn cancelled(house: House) -> Result<Told> {
    let clients = Crowd::start(house.clients(CLIENTS).talking(TALK));
    clients.all_open(PATIENCE).await?;
    let leaving = clients.at("b1");
    let path = format!("{}/drain", house.target(0));
    house.post(&path, &json!({})).await?.succeeds()?;
    clients
        .until("some of them have gone", 2 * PATIENCE, |book| {
            book.endings.len() >= 5
        })
        .await?;
    let drain = the_drain(&house).await?;
    let path = format!("/v1/drains/{}", drain["id"].as_str().context("no id")?);
    house
        .admin()
        .request("DELETE", &path, "", None)
        .await?
        .succeeds()?;
    let drain = the_drain(&house).await?;
    let told = drain["told"].as_u64().context("how many were told")? as usize;
    ensure!(
        drain["state"] == "Cancelled" && told < leaving && drain["kept"] == leaving - told,
        "of {leaving} it says {drain}"
    );
    // That nobody else goes can only be seen by waiting: six a second would have gone.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let book = clients.look();
    ensure!(
        book.endings.len() == told,
        "{told} were told, and {} have gone",
        book.endings.len()
    );
    let echoes = book.echoes;
    clients
        .until("those that stay talk on", PATIENCE, |book| {
            book.echoes > echoes + CLIENTS - told
        })
        .await?;
    house
        .post(&format!("{path}/resume"), &json!({}))
        .await?
        .succeeds()?;
    clients
        .until("the rest has gone", 4 * PATIENCE, |book| {
            book.endings.len() == leaving
        })
        .await?;
    clients.look().all_closed_with(1001)?;
    Ok(Told::Whole)
}

async fn two_thousand(house: House) -> Result<Told> {
    let count = affordable(2_000)?;
    let clients = Crowd::start(house.clients(count).talking(Duration::from_secs(2)));
    clients.all_open(START).await?;
    // Both targets go, and with them all tunnels.
    let started = Instant::now();
    house.put_pool(&[]).await?;
    clients.none_open(Duration::from_secs(OVER + 10)).await?;
    let book = clients.look();
    ensure!(
        book.endings.len() == count,
        "{} of {count} have ended",
        book.endings.len()
    );
    book.all_closed_with(1001)?;
    let mut each = [0; OVER as usize];
    for ending in &book.endings {
        let second = ending.at.duration_since(started).as_secs() as usize;
        each[second.min(each.len() - 1)] += 1;
    }
    let share = count / each.len();
    ensure!(
        each.iter()
            .all(|&ended| ended > share / 2 && ended < share * 2),
        "not evenly: {each:?} in each second"
    );
    Ok(Told::Measured(format!(
        "{count} closed: {each:?} in each second"
    )))
}

/// The only drain that there is.
async fn the_drain(house: &House) -> Result<Value> {
    let mut drains = house.admin().get("/v1/drains").await?;
    let drains = drains["value"].as_array_mut().context("no list")?;
    ensure!(drains.len() == 1, "{} drains: {drains:?}", drains.len());
    Ok(drains.remove(0))
}

async fn inside_a_frame(house: House) -> Result<Told> {
    let (mut client, mut backend) = house.tunnel().await?;
    let message = text("x".repeat(5000));
    let bytes = message.written_by(End::Client);
    let (first, second) = bytes.split_at(2000);
    client.send(first).await?;
    let head = backend.exactly(1000, PATIENCE).await?;
    ensure!(
        head[0] == bytes[0],
        "it does not begin as it should: {head:?}"
    );
    house.put_pool(&[]).await?;
    is_told(&mut client, 1001).await?;
    // The backend's Close waits for the end of the frame.
    client.send(second).await?;
    backend.exactly(bytes.len() - 1000, PATIENCE).await?;
    is_told(&mut backend, 1001).await?;
    Ok(Told::Whole)
}

async fn cut(house: House) -> Result<Told> {
    let (mut client, mut backend) = house.tunnel().await?;
    house.put_pool(&[]).await?;
    let told = Instant::now();
    is_told(&mut client, 1001).await?;
    is_told(&mut backend, 1001).await?;
    client.is_finished(DRAINED).await?;
    backend.is_finished(DRAINED).await?;
    let after = told.elapsed();
    ensure!(
        after > Duration::from_millis(1500),
        "they were cut after {after:?}, not at the deadline of 2 s"
    );
    Ok(Told::Whole)
}

async fn is_told(wire: &mut Wire, expected: u16) -> Result<()> {
    let came = wire.frame(DRAINED).await?;
    let (code, reason) = came
        .close()
        .with_context(|| format!("no Close: {came:?}"))?;
    ensure!(
        code == expected && !reason.is_empty(),
        "Close {code} {reason:?}"
    );
    Ok(())
}

/// The loop is that of the package's manual: `async for websocket in connect(...)`.
async fn python_comes_back(house: House) -> Result<Told> {
    let url = format!("ws://{}/greeted", house.front);
    let arguments = [url.as_str(), "3"];
    let client = python::run(&house.stage, "reconnects.py", &arguments);
    let operator = async {
        for member in [0, 1] {
            let port = house.backends[member].address.port();
            until("it is open at the only target", START, async || {
                Ok((house.admin().target(port).await?.load == 1).then_some(()))
            })
            .await?;
            house.put_pool(&[1 - member]).await?;
        }
        anyhow::Ok(())
    };
    let (said, ()) = tokio::try_join!(client, operator)?;
    let lines: Vec<&str> = said.lines().collect();
    let [first, end, second, again, third] = lines.as_slice() else {
        anyhow::bail!("it saw {lines:#?}");
    };
    ensure!(
        [*first, *second, *third].map(|line| line.trim_start_matches("open: hello from "))
            == ["b1", "b2", "b1"],
        "it was open where it should not be: {lines:#?}"
    );
    for line in [end, again] {
        let reason = line.strip_prefix("closed: 1001 ");
        ensure!(
            reason.is_some_and(|reason| !reason.is_empty()),
            "{lines:#?}"
        );
    }
    Ok(Told::Whole)
}

async fn sigterm(mut house: House) -> Result<Told> {
    let clients = Crowd::start(house.clients(CLIENTS).talking(TALK));
    clients.all_open(PATIENCE).await?;
    let status = house.gateway.terminate().await?;
    ensure!(status.success(), "it ended with {status}");
    clients.none_open(PATIENCE).await?;
    clients.look().all_closed_with(1001)?;
    Ok(Told::Whole)
}
