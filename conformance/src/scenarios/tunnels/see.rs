//! `/v1/connections`: who is connected to what, and the end of those whom an operator chooses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::house::{House, Plan};
use super::{over_both, story};
use crate::harness::crowd::{Crowd, How};
use crate::harness::frames::{CLOSE, TEXT, masked, unmasked};
use crate::harness::site::backend_of;
use crate::harness::wire::Wire;
use crate::harness::{PATIENCE, until};
use crate::scenario::{Scenario, Told};

pub(super) fn scenarios() -> Vec<Scenario> {
    let once = vec![
        story(
            "the list says who is connected to what, and its counts are right at once",
            || Plan::of(2),
            list,
        ),
        story(
            "filters, and errors for those that nobody knows",
            || Plan::of(2),
            filters,
        ),
        story("a long list comes in pages, sorted", || Plan::of(1), pages),
        story(
            "those that match a filter are closed at the operator's pace",
            || Plan::of(2),
            close_some,
        ),
    ];
    let twice = [over_both(
        "one is closed with the operator's code and reason",
        Plan::by_hand,
        close_one,
    )];
    [once, twice.concat()].concat()
}

async fn get(house: &House, query: &str) -> Result<Vec<Value>> {
    let mut list = house
        .admin()
        .get(&format!("/v1/connections{query}"))
        .await?;
    let list = list["value"].as_array_mut().context("no list")?;
    Ok(std::mem::take(list))
}

/// A text message, and its echo.
async fn echo(wire: &mut Wire, length: usize) -> Result<()> {
    let message = vec![b'x'; length];
    wire.send(&masked(TEXT, &message)).await?;
    let expected = unmasked(TEXT, &message);
    let came = wire.exactly(expected.len(), PATIENCE).await?;
    ensure!(came == expected, "no echo of {length} bytes");
    Ok(())
}

async fn list(house: House) -> Result<Told> {
    ensure!(get(&house, "").await?.is_empty(), "nobody is connected yet");
    let (mut wire, answer) = house.handshake("Sec-WebSocket-Protocol: chat\r\n").await?;
    let backend = backend_of(&answer)?;
    let index = usize::from(backend == "b2");
    const LENGTHS: [usize; 3] = [10, 300, 70_000];
    for length in LENGTHS {
        echo(&mut wire, length).await?;
    }
    let listed = get(&house, "").await?;
    let [told] = listed.as_slice() else {
        anyhow::bail!("not one, but {listed:?}");
    };
    let expected = json!({
        "listener": "front", "rule": "front", "pool": "pool", "settings": "settings",
        "target": house.backends[index].address.to_string(),
        "client": wire.local_address()?.to_string(),
        "host": "gateway.test", "path": "/echo", "subprotocol": "chat",
        "secure": false, "state": "Open", "frames": "Tracked",
    });
    for (name, value) in expected.as_object().into_iter().flatten() {
        ensure!(told[name] == *value, "{name} is not {value}: {told}");
    }
    for (side, count) in [("received", 3), ("sent", 3)] {
        let messages = &told[side]["messages"];
        ensure!(*messages == count, "{side} {messages} messages: {told}");
        let bytes = told[side]["bytes"].as_u64().context("no bytes")? as usize;
        let payload: usize = LENGTHS.iter().sum();
        ensure!(
            (payload..payload + 100).contains(&bytes),
            "{side} {bytes} bytes of {payload}: {told}"
        );
    }
    let id = told["id"].as_str().context("no id")?;
    let one = house.admin().get(&format!("/v1/connections/{id}")).await?;
    ensure!(
        one["id"] == told["id"] && one["client"] == told["client"],
        "{one}"
    );

    wire.send(&masked(CLOSE, &1000_u16.to_be_bytes())).await?;
    wire.frame(PATIENCE).await?;
    wire.ends(PATIENCE).await?;
    drop(wire);
    let path = format!("/v1/connections/{id}");
    until("it is gone", PATIENCE, async || {
        let answer = house.admin().request("GET", &path, "", None).await?;
        Ok((answer.status == 404).then_some(()))
    })
    .await?;
    ensure!(get(&house, "").await?.is_empty(), "it is still listed");
    Ok(Told::Whole)
}

async fn filters(house: House) -> Result<Told> {
    let mut open = Vec::new();
    let mut at_first = 0;
    for (client, fields) in [
        ([127, 0, 9, 1], ""),
        ([127, 0, 9, 2], "Sec-WebSocket-Protocol: chat\r\n"),
        ([127, 0, 10, 1], ""),
        ([127, 0, 9, 1], "Sec-WebSocket-Protocol: chat\r\n"),
    ] {
        let (wire, answer) = house.handshake_from(Ipv4Addr::from(client), fields).await?;
        at_first += usize::from(backend_of(&answer)? == "b1");
        open.push(wire);
    }
    let first = house.backends[0].address;
    let rows = [
        (String::new(), 4),
        ("?listener=front".to_owned(), 4),
        ("?rule=front&pool=pool".to_owned(), 4),
        ("?listener=other".to_owned(), 0),
        (format!("?target={first}"), at_first),
        ("?client=127.0.9.0/24".to_owned(), 3),
        ("?client=127.0.9.1".to_owned(), 2),
        ("?client=127.0.9.1/32&subprotocol=chat".to_owned(), 1),
        ("?subprotocol=chat".to_owned(), 2),
        ("?olderThan=3600".to_owned(), 0),
        ("?olderThan=0".to_owned(), 4),
        ("?idleFor=3600".to_owned(), 0),
    ];
    for (query, expected) in rows {
        let listed = get(&house, &query).await?.len();
        ensure!(listed == expected, "{query} lists {listed}, not {expected}");
    }
    for query in [
        "?colour=red",
        "?client=nobody",
        "?olderThan=long",
        "?sort=colour",
        "?limit=0",
    ] {
        let path = format!("/v1/connections{query}");
        let answer = house.admin().request("GET", &path, "", None).await?;
        ensure!(answer.status == 400, "{query}: {}", answer.status);
        let kind = answer.values("content-type").concat();
        ensure!(
            kind.starts_with("application/problem+json"),
            "{query}: {kind}"
        );
    }
    // An order whose filter is misspelt closes nobody.
    let order = json!({ "code": 1001, "reason": "all of them" });
    let answer = house
        .post("/v1/connections:close?colour=red", &order)
        .await?;
    ensure!(answer.status == 400, "closing: {}", answer.status);
    ensure!(get(&house, "").await?.len() == 4, "somebody was closed");
    Ok(Told::Whole)
}

async fn pages(house: House) -> Result<Told> {
    const COUNT: usize = 12;
    let mut open = Vec::new();
    for number in 0..COUNT {
        let (mut wire, _) = house.websocket("/echo").await?;
        for _ in 0..number {
            echo(&mut wire, 1).await?;
        }
        open.push(wire);
    }
    let mut path = "/v1/connections?limit=5&sort=-messages".to_owned();
    let (mut ids, mut messages, mut lengths) = (BTreeSet::new(), Vec::new(), Vec::new());
    loop {
        let page = house.admin().get(&path).await?;
        let listed = page["value"].as_array().context("no list")?;
        lengths.push(listed.len());
        for told in listed {
            ids.insert(told["id"].as_str().context("no id")?.to_owned());
            let count = told["received"]["messages"].as_u64();
            messages.push(count.context("no messages")? as usize);
        }
        match page["nextLink"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    ensure!(lengths == [5, 5, 2], "pages of {lengths:?}");
    ensure!(ids.len() == COUNT, "{} of {COUNT} are listed", ids.len());
    let expected: Vec<usize> = (0..COUNT).rev().collect();
    ensure!(messages == expected, "sorted so: {messages:?}");
    Ok(Told::Whole)
}

async fn close_one(house: House) -> Result<Told> {
    let (mut client, mut backend) = house.tunnel().await?;
    let (mut other, mut other_backend) = house.tunnel().await?;
    let listed = get(&house, &format!("?client={}", client.local_address()?.ip())).await?;
    let client_is = client.local_address()?.to_string();
    let told = listed
        .iter()
        .find(|told| told["client"] == client_is.as_str());
    let id = told
        .and_then(|told| told["id"].as_str())
        .context("not listed")?;
    let path = format!("/v1/connections/{id}?code=4321&reason=go%20home");
    let answer = house.admin().request("DELETE", &path, "", None).await?;
    answer.succeeds()?;
    for wire in [&mut client, &mut backend] {
        let came = wire.frame(PATIENCE).await?;
        let close = came.close();
        ensure!(
            close == Some((4321, "go home".to_owned())),
            "not that Close: {came:?}"
        );
    }
    client.send(&masked(CLOSE, &4321_u16.to_be_bytes())).await?;
    backend
        .send(&unmasked(CLOSE, &4321_u16.to_be_bytes()))
        .await?;
    client.is_finished(PATIENCE).await?;
    drop((client, backend));
    // Nobody else noticed.
    other.send(&masked(TEXT, b"still here")).await?;
    let came = other_backend.frame(PATIENCE).await?;
    ensure!(came.payload == b"still here", "the other one got {came:?}");
    until("only the other one is listed", PATIENCE, async || {
        Ok((get(&house, "").await?.len() == 1).then_some(()))
    })
    .await?;
    for bad in ["code=1005", "code=999", "code=5000", "code=1001&reason="] {
        let reason = if bad.ends_with('=') {
            "x".repeat(124)
        } else {
            String::new()
        };
        let path = format!("/v1/connections/{id}?{bad}{reason}");
        let answer = house.admin().request("DELETE", &path, "", None).await?;
        ensure!(answer.status == 400, "{bad}: {}", answer.status);
    }
    Ok(Told::Whole)
}

async fn close_some(house: House) -> Result<Told> {
    const COUNT: usize = 60;
    let clients = Crowd::start(house.clients(COUNT).talking(Duration::from_millis(300)));
    clients.all_open(PATIENCE).await?;
    let leaving = clients.at("b1");
    let order = json!({ "code": 1012, "reason": "moving house", "perSecond": 15 });
    let path = format!("/v1/connections:close?target={}", house.backends[0].address);
    let answer = house.post(&path, &order).await?;
    answer.succeeds()?;
    clients
        .until("those are gone", 3 * PATIENCE, |book| {
            book.open_at("b1") == 0
        })
        .await?;
    let book = clients.look();
    let expected = How::Closed {
        code: 1012,
        reason: "moving house".to_owned(),
    };
    ensure!(
        book.ways().into_iter().eq([(expected, leaving)]),
        "{:?}",
        book.ways()
    );
    ensure!(
        book.endings.iter().all(|ending| ending.backend == "b1"),
        "others were closed, too"
    );
    let pace = (leaving - 1) as f64 / book.spread().as_secs_f64();
    ensure!(pace < 20.0, "{leaving} were closed in {:?}", book.spread());
    Ok(Told::Whole)
}
