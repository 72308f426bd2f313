//! What an operator is told: the access log, metrics, events.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::house::{House, Plan};
use super::story;
use crate::harness::crowd::Crowd;
use crate::harness::events::Events;
use crate::harness::frames::{CLOSE, TEXT, masked};
use crate::harness::{PATIENCE, until};
use crate::scenario::{Scenario, Told};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        story(
            "the access log has a record when a tunnel opens, while it lives, and when it ends",
            || {
                let tunnels = json!({ "progressIntervalInSec": 1 });
                Plan::of(1).logged().tunnels(tunnels)
            },
            access_log,
        ),
        story(
            "metrics count tunnels while they live, and handshakes that did not become any",
            || Plan::of(1).listener(json!({ "allowedOrigins": ["https://app.example.com"] })),
            metrics,
        ),
        story(
            "events tell of a drain: started, how far, finished",
            || {
                let tunnels = json!({ "closeOverInSec": 3 });
                Plan::of(2).draining(10).tunnels(tunnels)
            },
            drains,
        ),
        story(
            "events tell of health and revisions, also to a reader that comes back",
            || Plan::of(2),
            events,
        ),
        story(
            "events tell which handshakes were refused",
            || Plan::of(1).listener(json!({ "maxConnections": 1 })),
            refusals,
        ),
    ]
}

/// The handshake's own record is an ordinary one; these are the tunnel's.
async fn access_log(house: House) -> Result<Told> {
    let (mut wire, answer) = house.handshake("Sec-WebSocket-Protocol: chat\r\n").await?;
    ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
    let open = record(&house, "TunnelOpen", 1).await?;
    for _ in 0..3 {
        wire.send(&masked(TEXT, b"hello")).await?;
        wire.frame(PATIENCE).await?;
    }
    // By now the first one is from before the messages, or from after them; the second is not.
    let progress = record(&house, "TunnelProgress", 2).await?;
    let mut close = 4321_u16.to_be_bytes().to_vec();
    close.extend(b"had enough");
    wire.send(&masked(CLOSE, &close)).await?;
    wire.frame(PATIENCE).await?;
    wire.ends(PATIENCE).await?;
    drop(wire);
    let end = record(&house, "TunnelEnd", 1).await?;
    for name in [
        "tunnelId",
        "requestUri",
        "subprotocol",
        "host",
        "serverRouted",
    ] {
        let all = [&open, &progress, &end].map(|record| &record["properties"][name]);
        ensure!(
            !all[0].is_null() && all.iter().all(|value| *value == all[0]),
            "{name} is {all:?}"
        );
    }
    ensure!(open["properties"]["subprotocol"] == "chat", "{open}");
    ensure!(
        progress["properties"]["receivedMessages"] == 3,
        "{progress}"
    );
    let told = &end["properties"];
    let expected = json!({
        "receivedMessages": 3, "sentMessages": 3,
        "endedBy": "client", "closeCode": 4321, "closeReason": "had enough",
    });
    for (name, value) in expected.as_object().into_iter().flatten() {
        ensure!(told[name] == *value, "{name} is not {value}: {end}");
    }
    Ok(Told::Whole)
}

/// The same story in numbers, while the tunnel lives and when it has ended.
async fn metrics(house: House) -> Result<Told> {
    let admin = house.admin();
    let here = [r#"listener="front""#, r#"pool="pool""#];
    let received = [r#"direction="to_backend""#, r#"opcode="text""#];
    let (mut wire, _) = house.websocket("/echo").await?;
    for _ in 0..3 {
        wire.send(&masked(TEXT, b"hello")).await?;
        wire.frame(PATIENCE).await?;
    }
    for (name, labels, expected) in [
        ("gateway_tunnels_active", &here, 1.0),
        ("gateway_tunnels_opened_total", &here, 1.0),
        ("gateway_tunnel_messages_total", &received, 3.0),
        ("gateway_tunnel_bytes_total", &received, 15.0),
    ] {
        let told = admin.metric_with(name, labels).await?;
        ensure!(told == expected, "{name} is {told}, not {expected}");
    }
    let (_, refused) = house.handshake("Origin: https://evil.test\r\n").await?;
    ensure!(refused.status == 403, "{}", refused.status);
    wire.send(&masked(CLOSE, &1000_u16.to_be_bytes())).await?;
    wire.frame(PATIENCE).await?;
    wire.ends(PATIENCE).await?;
    drop(wire);
    let by = [r#"by="client""#, r#"code="1000""#];
    let why = [r#"listener="front""#, r#"reason="origin""#];
    for (name, labels, expected) in [
        ("gateway_tunnels_active", &here, 0.0),
        ("gateway_tunnels_opened_total", &here, 1.0),
        ("gateway_tunnels_closed_total", &by, 1.0),
        ("gateway_tunnel_age_seconds_count", &here, 1.0),
        ("gateway_handshake_failures_total", &why, 1.0),
    ] {
        let told = until("the count is right", PATIENCE, async || {
            let told = admin.metric_with(name, labels).await?;
            Ok((told == expected).then_some(()))
        });
        told.await
            .with_context(|| format!("{name} with {labels:?} is to be {expected}"))?;
    }
    Ok(Told::Whole)
}

async fn events(house: House) -> Result<Told> {
    let admin = house.admin().0;
    let reader = Events::listen(admin, None).await?;
    house.backends[0].fault("/health?status=500").await?;
    let ill = house.backends[0].address.to_string();
    let fell = reader
        .wait_for("health", PATIENCE, |data| {
            data["target"] == ill.as_str() && data["from"] == "Up" && data["to"] == "Down"
        })
        .await?;
    ensure!(
        fell.data["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("500")),
        "why: {fell:?}"
    );
    house.put_pool(&[1]).await?;
    let is_ours = |data: &Value| {
        let changes = data["changes"].as_array().into_iter().flatten();
        let mut resources = changes.filter_map(|change| change["resource"].as_str());
        resources.any(|resource| resource == "backendAddressPools/pool")
    };
    reader.wait_for("revision", PATIENCE, is_ours).await?;
    // Whoever was away is told what came behind the event that it had last, once.
    let late = Events::listen(admin, Some(&fell.id)).await?;
    late.wait_for("revision", PATIENCE, is_ours).await?;
    ensure!(
        late.seen().iter().all(|event| event.id != fell.id),
        "it is told again what it has seen"
    );
    Ok(Told::Whole)
}

async fn drains(house: House) -> Result<Told> {
    let reader = Events::listen(house.admin().0, None).await?;
    let clients = Crowd::start(house.clients(40));
    clients.all_open(PATIENCE).await?;
    let leaving = clients.at("b1");
    house.put_pool(&[1]).await?;
    let started = reader
        .wait_for("drain", PATIENCE, |data| data["phase"] == "Started")
        .await?;
    ensure!(
        started.data["kind"] == "TargetRemoved" && started.data["total"] == leaving,
        "{leaving} drain: {started:?}"
    );
    let id = &started.data["id"];
    reader
        .wait_for("drain", PATIENCE, |data| {
            let left = data["left"].as_u64().unwrap_or_default() as usize;
            data["phase"] == "Progress" && data["id"] == *id && (1..leaving).contains(&left)
        })
        .await?;
    reader
        .wait_for("drain", 2 * PATIENCE, |data| {
            data["phase"] == "Finished" && data["id"] == *id && data["closed"] == leaving
        })
        .await?;
    Ok(Told::Whole)
}

async fn refusals(house: House) -> Result<Told> {
    let reader = Events::listen(house.admin().0, None).await?;
    let _open = house.websocket("/echo").await?;
    for _ in 0..5 {
        let (_, answer) = house.handshake("").await?;
        ensure!(answer.status == 503, "{}", answer.status);
    }
    let refused = || {
        let seen = reader.seen().into_iter();
        let seen = seen.filter(|event| event.kind == "refusedHandshakes");
        seen.filter_map(|event| event.data["count"].as_u64())
            .sum::<u64>()
    };
    until("all five are told", PATIENCE, async || {
        Ok((refused() == 5).then_some(()))
    })
    .await?;
    let told = reader
        .wait_for("refusedHandshakes", PATIENCE, |_| true)
        .await?;
    let first = &told.data["refusals"][0];
    ensure!(
        first["listener"] == "front" && first["pool"] == "pool",
        "{told:?}"
    );
    Ok(Told::Whole)
}

/// The record of that kind, and the `number`th of them.
async fn record(house: &House, kind: &str, number: usize) -> Result<Value> {
    let found = until("the access log has it", PATIENCE, async || {
        let records = house.gateway.access_log()?.into_iter();
        let mut right = records.filter(|record| record["operationName"] == kind);
        Ok(right.nth(number - 1))
    });
    found.await.with_context(|| {
        let records = house.gateway.access_log().unwrap_or_default();
        format!("no {kind} number {number} in {records:?}")
    })
}
