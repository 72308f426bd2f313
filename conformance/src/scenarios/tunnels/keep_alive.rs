//! Pings of the gateway's own, and the end of peers that say nothing. Both ends are played by hand.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::house::{House, Plan};
use super::{over_both, story};
use crate::harness::PATIENCE;
use crate::harness::frames::{CLOSE, Came, End, PING, PONG, TEXT, close, ping, pong, text};
use crate::harness::wire::Wire;
use crate::scenario::{Scenario, Told};

/// Two pings that nobody answers, on a busy machine.
const MISSED: Duration = Duration::from_secs(12);

pub(super) fn scenarios() -> Vec<Scenario> {
    let once = vec![story(
        "idleTimeout closes what is silent, pings or not",
        || {
            let tunnels = json!({ "pingIntervalInSec": 1, "idleTimeoutInSec": 3 });
            Plan::by_hand().tunnels(tunnels)
        },
        idle,
    )];
    let twice = [
        over_both(
            "silent peers are pinged, and neither sees the other's pongs",
            || pings(2),
            are_pinged,
        ),
        over_both(
            "a client that answers no ping is ended, and its backend sees 1001",
            || pings(1),
            gives_up,
        ),
        over_both(
            "a peer's own ping gets its own pong, whatever the gateway asks",
            || pings(2),
            own_pings,
        ),
    ];
    [once, twice.concat()].concat()
}

fn pings(seconds: u64) -> Plan {
    Plan::by_hand().tunnels(json!({ "pingIntervalInSec": seconds }))
}

/// One end of a tunnel that answers what it is asked.
struct Peer {
    wire: Wire,
    end: End,
}

impl Peer {
    async fn says(&mut self, bytes: &[u8]) -> Result<()> {
        self.wire.send(bytes).await
    }

    /// The next frame, which is masked if it should be.
    async fn hears(&mut self, limit: Duration) -> Result<Came> {
        let came = self.wire.frame(limit).await?;
        let is_right = came.is_masked == (self.end == End::Backend);
        ensure!(is_right, "the mask bit of {came:?} is wrong");
        Ok(came)
    }

    async fn answers_ping(&mut self) -> Result<()> {
        let came = self.hears(PATIENCE).await?;
        ensure!(came.opcode == PING && came.is_last, "no ping: {came:?}");
        self.says(&pong(came.payload).written_by(self.end)).await
    }

    /// Answers pings until something else comes.
    async fn next_but_pings(&mut self, limit: Duration) -> Result<Came> {
        loop {
            let came = self.hears(limit).await?;
            if came.opcode != PING {
                return Ok(came);
            }
            self.says(&pong(came.payload).written_by(self.end)).await?;
        }
    }
}

async fn open(house: &House) -> Result<(Peer, Peer)> {
    let (client, backend) = house.tunnel().await?;
    let peer = |wire, end| Peer { wire, end };
    Ok((peer(client, End::Client), peer(backend, End::Backend)))
}

async fn are_pinged(house: House) -> Result<Told> {
    let (mut client, mut backend) = open(&house).await?;
    for _ in 0..2 {
        tokio::try_join!(client.answers_ping(), backend.answers_ping())?;
    }
    let list = house.admin().get("/v1/connections").await?;
    let round_trip = &list["value"][0]["pingRoundTripInMs"];
    ensure!(
        round_trip.as_f64().is_some_and(|took| took > 0.0),
        "the round trip is {round_trip}"
    );
    for (from, to) in [(0, 1), (1, 0)] {
        let peers = [&mut client, &mut backend];
        let end = peers[from].end;
        let sent = text(format!("from {from}")).written_by(end);
        peers[from].says(&sent).await?;
        let came = peers[to].next_but_pings(PATIENCE).await?;
        ensure!(
            came.opcode == TEXT,
            "before the text came what nobody said: {came:?}"
        );
    }
    // A pong to nothing of ours is the peers' own affair (RFC 6455 section 5.5.3).
    client
        .says(&pong("unasked").written_by(End::Client))
        .await?;
    let came = backend.next_but_pings(PATIENCE).await?;
    ensure!(
        came.opcode == PONG && came.payload == b"unasked",
        "instead of the unasked pong: {came:?}"
    );
    Ok(Told::Whole)
}

async fn gives_up(house: House) -> Result<Told> {
    let (mut client, mut backend) = open(&house).await?;
    let opened = Instant::now();
    let came = backend.next_but_pings(MISSED).await?;
    let after = opened.elapsed();
    let (code, reason) = came
        .close()
        .with_context(|| format!("no Close: {came:?}"))?;
    ensure!(
        code == 1001 && !reason.is_empty(),
        "Close {code} {reason:?}"
    );
    ensure!(
        after > Duration::from_secs(2),
        "after {after:?} the client had no time to answer two pings"
    );
    backend
        .says(&close(code, "").written_by(End::Backend))
        .await?;
    let mut pings = 0;
    while let Ok(came) = client.hears(PATIENCE).await {
        ensure!(
            came.opcode == PING || came.opcode == CLOSE,
            "the client got {came:?}"
        );
        pings += usize::from(came.opcode == PING);
    }
    ensure!(pings >= 2, "it was given up after {pings} pings");
    Ok(Told::Whole)
}

/// The backend answers only the newest ping, as it may: ours must not be newer than the client's.
async fn own_pings(house: House) -> Result<Told> {
    let (mut client, mut backend) = open(&house).await?;
    tokio::try_join!(client.answers_ping(), backend.answers_ping())?;
    client.says(&ping("mine").written_by(End::Client)).await?;
    loop {
        let came = backend.hears(PATIENCE).await?;
        ensure!(came.opcode == PING, "no ping: {came:?}");
        if came.payload == b"mine" {
            break;
        }
        let answer = pong(came.payload).written_by(End::Backend);
        backend.says(&answer).await?;
    }
    // Longer than the interval, and shorter than the three after which it is given up.
    let waits = async {
        tokio::select! {
            came = backend.hears(MISSED) => bail!("the backend owes a pong, and got {:?}", came?),
            // Whatever comes before it has come is not for the client.
            came = client.next_but_pings(MISSED) => bail!("the client got {:?}", came?),
            () = tokio::time::sleep(Duration::from_millis(3000)) => Ok(()),
        }
    };
    waits.await?;
    backend.says(&pong("mine").written_by(End::Backend)).await?;
    let came = client.next_but_pings(PATIENCE).await?;
    ensure!(
        came.opcode == PONG && came.payload == b"mine",
        "instead of the pong that is owed: {came:?}"
    );
    Ok(Told::Whole)
}

async fn idle(house: House) -> Result<Told> {
    let opening = Instant::now();
    let (mut client, mut backend) = open(&house).await?;
    let (mut talker, mut listener) = open(&house).await?;
    let silent = async {
        let (client, backend) = tokio::try_join!(
            client.next_but_pings(MISSED),
            backend.next_but_pings(MISSED)
        )?;
        Ok((client, backend, opening.elapsed()))
    };
    let talk = async {
        for number in 0..6 {
            // More often than the idle time-out, which it is about.
            tokio::time::sleep(Duration::from_millis(900)).await;
            let said = text(format!("{number}")).written_by(End::Client);
            talker.says(&said).await?;
            let came = listener.next_but_pings(PATIENCE).await?;
            ensure!(came.opcode == TEXT, "the talking one got {came:?}");
        }
        anyhow::Ok(())
    };
    let ((to_client, to_backend, after), ()) = tokio::try_join!(silent, talk)?;
    for came in [to_client, to_backend] {
        let (code, _) = came
            .close()
            .with_context(|| format!("no Close: {came:?}"))?;
        ensure!(code == 1001, "Close {code}");
    }
    ensure!(
        after > Duration::from_millis(2900),
        "it was closed after {after:?}"
    );
    Ok(Told::Whole)
}
