//! What tunnels may not do: too long, too fast, too slow, too many.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::house::{House, Plan};
use super::{over_both, story};
use crate::harness::frames::{CLOSE, End, Frame, TEXT, close, rest, text, written_by};
use crate::harness::site;
use crate::harness::wire::{Answer, Wire, escape};
use crate::harness::{PATIENCE, until};
use crate::scenario::{Scenario, Told};

const LONGEST: usize = 1000;
/// Whoever cannot write for so long is stopped.
const STALL: Duration = Duration::from_millis(500);

pub(super) fn scenarios() -> Vec<Scenario> {
    let by_hand = |tunnels: Value| move || Plan::by_hand().tunnels(tunnels.clone());
    let once = vec![
        story(
            "maxFrameBytes: 1009 by a frame, not by a message",
            by_hand(json!({ "maxFrameBytes": LONGEST })),
            long_frames,
        ),
        story(
            "maxMessagesPerSecond: 1008 to who sends more",
            by_hand(json!({ "maxMessagesPerSecond": 20 })),
            fast,
        ),
        story(
            "a new limit is for those that come, not for those that are open",
            Plan::by_hand,
            later,
        ),
        story(
            "maxConnections of a listener: 503 with Retry-After, until one has gone",
            || Plan::of(2).listener(json!({ "maxConnections": 3 })),
            per_listener,
        ),
        story(
            "maxConnectionsPerClient: each address has its own",
            || Plan::of(2).listener(json!({ "maxConnectionsPerClient": 2 })),
            per_client,
        ),
        story(
            "maxConnections of a target: another one is taken, then 503 with Retry-After",
            || Plan::of(2).tunnels(json!({ "maxConnections": 3 })),
            per_target,
        ),
    ];
    let twice = [
        over_both(
            "maxMessageBytes: 1009 to who sends more, and none of the excess reaches the other",
            by_hand(json!({ "maxMessageBytes": LONGEST })),
            long_messages,
        ),
        over_both(
            "slowConsumerTimeoutInSec cuts off who takes nothing",
            by_hand(json!({ "slowConsumerTimeoutInSec": 2 })),
            slow,
        ),
    ];
    [once, twice.concat()].concat()
}

/// What `from` sends passes: the other end gets the same bytes, but for their masks.
async fn passes(ends: &mut [(End, Wire); 2], from: usize, frames: &[Frame]) -> Result<()> {
    let sender = ends[from].0;
    ends[from].1.send(&written_by(sender, frames)).await?;
    for frame in frames {
        let came = ends[1 - from].1.frame(PATIENCE).await?;
        ensure!(
            came.payload == frame.payload(),
            "{} instead of {}",
            escape(&came.payload),
            escape(frame.payload())
        );
    }
    Ok(())
}

/// `from` sends what is too much: it gets Close with `code`, and the other end gets a Close and
/// not one byte of it.
async fn is_refused(
    ends: &mut [(End, Wire); 2],
    from: usize,
    bytes: &[u8],
    code: u16,
) -> Result<()> {
    ends[from].1.send(bytes).await?;
    let other = ends[1 - from].1.frame(PATIENCE).await?;
    ensure!(
        other.opcode == CLOSE,
        "the other end got {} bytes with opcode {}",
        other.payload.len(),
        other.opcode
    );
    let own = ends[from].1.frame(PATIENCE).await?;
    let (said, reason) = own.close().with_context(|| format!("no Close: {own:?}"))?;
    ensure!(
        said == code && !reason.is_empty(),
        "Close {said} {reason:?}"
    );
    Ok(())
}

async fn ends(house: &House) -> Result<[(End, Wire); 2]> {
    let (client, backend) = house.tunnel().await?;
    Ok([(End::Client, client), (End::Backend, backend)])
}

async fn long_messages(house: House) -> Result<Told> {
    for from in [0, 1] {
        let mut ends = ends(&house).await?;
        let whole = text("x".repeat(LONGEST));
        let halves = [
            text("y".repeat(LONGEST / 2)).more(),
            rest("z".repeat(LONGEST / 2)),
        ];
        passes(&mut ends, from, &[whole]).await?;
        passes(&mut ends, from, &halves).await?;
        let sender = ends[from].0;
        let too_long = text("x".repeat(LONGEST + 1)).written_by(sender);
        is_refused(&mut ends, from, &too_long, 1009).await?;
    }
    let mut ends = ends(&house).await?;
    passes(&mut ends, 0, &[text("x".repeat(600)).more()]).await?;
    let sum = rest("x".repeat(LONGEST - 599)).written_by(End::Client);
    is_refused(&mut ends, 0, &sum, 1009).await?;
    Ok(Told::Whole)
}

async fn later(house: House) -> Result<Told> {
    let mut old = ends(&house).await?;
    house
        .put_tunnels(json!({ "maxMessageBytes": LONGEST }))
        .await?;
    let mut new = ends(&house).await?;
    let long = text("x".repeat(LONGEST + 1));
    passes(&mut old, 0, std::slice::from_ref(&long)).await?;
    is_refused(&mut new, 0, &long.written_by(End::Client), 1009).await?;
    passes(&mut old, 1, &[long]).await?;
    Ok(Told::Whole)
}

async fn long_frames(house: House) -> Result<Told> {
    let mut ends = ends(&house).await?;
    let part = "x".repeat(LONGEST);
    let message = [text(&part).more(), rest(&part).more(), rest(&part)];
    passes(&mut ends, 0, &message).await?;
    let too_long = text("x".repeat(LONGEST + 1)).written_by(End::Client);
    is_refused(&mut ends, 0, &too_long, 1009).await?;
    Ok(Told::Whole)
}

async fn fast(house: House) -> Result<Told> {
    let mut ends = ends(&house).await?;
    let burst: Vec<Frame> = (0..20).map(|number| text(format!("{number}"))).collect();
    passes(&mut ends, 0, &burst).await?;
    let flood: Vec<Frame> = (0..100).map(|number| text(format!("{number}"))).collect();
    ends[0].1.send(&written_by(End::Client, &flood)).await?;
    let own = ends[0].1.frame(PATIENCE).await?;
    let (code, reason) = own.close().with_context(|| format!("no Close: {own:?}"))?;
    ensure!(
        code == 1008 && !reason.is_empty(),
        "Close {code} {reason:?}"
    );
    let mut passed = 0;
    loop {
        let came = ends[1].1.frame(PATIENCE).await?;
        if came.opcode == CLOSE {
            break;
        }
        ensure!(came.opcode == TEXT, "{came:?}");
        passed += 1;
    }
    // What a second gives back while this machine was busy.
    ensure!(passed < 60, "{passed} of 100 passed at once");
    Ok(Told::Whole)
}

/// The backend writes until nobody takes any more; then both are told that it was enough.
async fn slow(house: House) -> Result<Told> {
    let (mut client, mut backend) = house.tunnel().await?;
    let part = text("x".repeat(60_000)).written_by(End::Backend);
    let stalls = async {
        while tokio::time::timeout(STALL, backend.send_unseen(&part))
            .await
            .is_ok()
        {}
    };
    tokio::time::timeout(2 * PATIENCE, stalls)
        .await
        .context("a client that reads nothing does not stop its backend")?;
    let came = backend.frame(2 * PATIENCE).await?;
    let (code, reason) = came
        .close()
        .with_context(|| format!("no Close: {came:?}"))?;
    ensure!(
        code == 1001 && !reason.is_empty(),
        "the backend got Close {code} {reason:?}"
    );
    // The client finds what the system has kept for it, and then not an end, but a reset: now, not when
    // the backend has answered.
    while client.frame(PATIENCE).await.is_ok() {}
    ensure!(client.was_reset(), "the client saw an end in order");
    backend
        .send(&close(code, "").written_by(End::Backend))
        .await?;
    Ok(Told::Whole)
}

/// 503 with a time to wait.
fn is_full(answer: &Answer) -> Result<()> {
    ensure!(answer.status == 503, "{} {}", answer.status, answer.text());
    let retry = answer.values("retry-after").concat();
    let seconds: u64 = retry
        .parse()
        .with_context(|| format!("Retry-After {retry:?}"))?;
    ensure!((1..=120).contains(&seconds), "Retry-After {seconds}");
    Ok(())
}

async fn opens_again(house: &House) -> Result<Wire> {
    until("there is room again", PATIENCE, async || {
        let (wire, answer) = house.handshake("").await?;
        Ok((answer.status == 101).then_some(wire))
    })
    .await
}

async fn per_listener(house: House) -> Result<Told> {
    let mut open = Vec::new();
    for number in 0..3 {
        let (wire, answer) = house.handshake("").await?;
        ensure!(
            answer.status == 101,
            "WebSocket {number}: {}",
            answer.status
        );
        open.push(wire);
    }
    is_full(&house.handshake("").await?.1)?;
    // Requests are not WebSockets.
    let answer = house.get("/").await?;
    ensure!(answer.status == 200, "a request: {}", answer.status);
    open.pop();
    let _again = opens_again(&house).await?;
    is_full(&house.handshake("").await?.1)?;
    Ok(Told::Whole)
}

async fn per_client(house: House) -> Result<Told> {
    let (one, other) = (Ipv4Addr::new(127, 0, 8, 1), Ipv4Addr::new(127, 0, 8, 2));
    let mut open = Vec::new();
    for client in [one, one, other, other] {
        let (wire, answer) = house.handshake_from(client, "").await?;
        ensure!(answer.status == 101, "{client}: {}", answer.status);
        open.push(wire);
    }
    for client in [one, other] {
        is_full(&house.handshake_from(client, "").await?.1)?;
    }
    Ok(Told::Whole)
}

async fn per_target(house: House) -> Result<Told> {
    let mut open = Vec::new();
    let mut first = 0;
    for number in 0..6 {
        let (wire, answer) = house.handshake("").await?;
        ensure!(
            answer.status == 101,
            "WebSocket {number}: {}",
            answer.status
        );
        first += usize::from(site::backend_of(&answer)? == "b1");
        open.push(wire);
    }
    ensure!(first == 3, "{first} of 6 are at the first target");
    is_full(&house.handshake("").await?.1)?;
    // Room at one of them is enough.
    open.remove(0);
    let _again = opens_again(&house).await?;
    is_full(&house.handshake("").await?.1)?;
    Ok(Told::Whole)
}
