//! The life of a tunnel: full duplex for as long as both want, whatever the HTTP settings say.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::PATIENCE;
use crate::harness::backend::TestBackend;
use crate::harness::document::plain_settings;
use crate::harness::frames::{TEXT, masked, unmasked};
use crate::harness::front::Front;
use crate::harness::site::{Site, explain, handshake, timed};
use crate::scenario::{self, Plot, Scenario, Stage, Told};

const GROUP: &str = "lifetime";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        anywhere(
            "many messages both ways, for an independent client",
            "RFC 6455 5",
            messages,
        ),
        story(
            "requestTimeout has no say over an open WebSocket",
            "design 1",
            outlives_timeout,
        ),
        story(
            "requestTimeout bounds the wait for a handshake's answer",
            "design 1",
            unanswered,
        ),
        anywhere(
            "the backend's Close passes with its code",
            "RFC 6455 7.4",
            backend_closes,
        ),
    ]
}

fn story<F>(name: &str, clause: &'static str, tell: impl Fn(Site) -> F + Copy + 'static) -> Scenario
where
    F: Future<Output = Result<()>> + 'static,
{
    super::at_site(GROUP, name, clause, true, tell)
}

/// A story that any proxy can tell. It is given the system under test and its own random choices.
fn anywhere<F>(
    name: &'static str,
    clause: &'static str,
    tell: impl Fn(Front, fastrand::Rng) -> F + Copy + 'static,
) -> Scenario
where
    F: Future<Output = Result<()>> + 'static,
{
    let run = move |stage: Stage| async move {
        let backend = TestBackend::start(&stage, "b1").await?;
        let front = Front::open(&stage, backend.address).await?;
        let log = front.log().clone();
        let told = tell(front, stage.random(name)).await;
        told.map_err(|error| explain(&log, error))?;
        Ok(Told::Whole)
    };
    Scenario {
        group: GROUP,
        name: name.to_owned(),
        clause,
        plot: Plot::Front(scenario::story(run)),
    }
}

/// tungstenite is strict about everything that it reads: here it is the judge.
async fn messages(front: Front, mut random: fastrand::Rng) -> Result<()> {
    const COUNT: usize = 300;
    let tcp = TcpStream::connect(front.plain).await?;
    let url = format!("ws://{}/echo", front.plain);
    let (socket, _) = tokio_tungstenite::client_async(url, tcp).await?;
    let (mut sink, mut stream) = socket.split();
    let sent: Vec<Message> = (0..COUNT)
        .map(|number| {
            // Every length of the length field, and both sides of each border.
            let longest = [0, 1, 125, 126, 65_535, 65_536, 200_000][number % 7];
            let length = random.usize(0..=longest).max(longest.saturating_sub(1));
            match number % 3 {
                0 => Message::text("x".repeat(length)),
                _ => Message::binary(
                    std::iter::repeat_with(|| random.u8(..))
                        .take(length)
                        .collect::<Vec<_>>(),
                ),
            }
        })
        .collect();
    let write = async {
        for (number, message) in sent.iter().enumerate() {
            sink.send(message.clone()).await?;
            if number % 10 == 0 {
                sink.send(Message::Ping(vec![number as u8].into())).await?;
            }
        }
        anyhow::Ok(())
    };
    let read = async {
        let (mut received, mut pongs) = (0, 0);
        while received < COUNT || pongs < COUNT / 10 {
            let message = stream.next().await.context("the end came too early")??;
            if message.is_pong() {
                pongs += 1;
            } else {
                ensure!(
                    message == sent[received],
                    "message {received} is not what was sent"
                );
                received += 1;
            }
        }
        anyhow::Ok(())
    };
    tokio::try_join!(write, read)?;
    Ok(())
}

/// `requestTimeout` of one second, and cookie affinity.
async fn hurry(site: &Site) -> Result<()> {
    let mut settings = plain_settings("quick");
    settings["requestTimeout"] = json!(1);
    settings["cookieBasedAffinity"] = json!("Enabled");
    let body = json!({ "name": "settings", "properties": settings });
    site.gateway
        .admin
        .put("/v1/backendHttpSettingsCollection/settings", &body)
        .await?;
    Ok(())
}

async fn outlives_timeout(site: Site) -> Result<()> {
    hurry(&site).await?;
    let (mut wire, _) = site.websocket("/echo").await?;
    // Silence can only be shown by a window: two and a half times the timeout.
    let silence = wire.ends(Duration::from_millis(2500)).await;
    ensure!(silence.is_err(), "the silent WebSocket was ended");
    wire.send(&masked(TEXT, b"still here")).await?;
    let echo = unmasked(TEXT, b"still here");
    ensure!(
        wire.exactly(echo.len(), PATIENCE).await? == echo,
        "no echo after the silence"
    );
    Ok(())
}

async fn unanswered(site: Site) -> Result<()> {
    hurry(&site).await?;
    for backend in &site.backends {
        backend.fault("?upgrade=hang").await?;
    }
    let started = Instant::now();
    let ((_, answer), took) = timed(site.handshake("/chat")).await?;
    ensure!(answer.status == 504, "{} {}", answer.status, answer.text());
    ensure!(
        took > Duration::from_millis(900),
        "it came after {:?}",
        started.elapsed()
    );
    Ok(())
}

async fn backend_closes(front: Front, _: fastrand::Rng) -> Result<()> {
    let (mut wire, answer) = handshake(front.plain, "/close/4321").await?;
    ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
    // The greeting comes first; its length depends on the name.
    let head = wire.exactly(2, PATIENCE).await?;
    wire.exactly(usize::from(head[1]), PATIENCE).await?;
    let close = wire.exactly(4, PATIENCE).await?;
    ensure!(
        close == unmasked(0x8, &4321_u16.to_be_bytes()),
        "not that Close: {close:?}"
    );
    wire.send(&masked(0x8, &close[2..])).await?;
    wire.ends(PATIENCE).await
}
