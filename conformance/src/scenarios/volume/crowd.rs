//! Very many open WebSockets at once.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot::{Receiver, Sender, channel};

use super::Relay;
use crate::harness::backend::TestBackend;
use crate::harness::crowd::affordable;
use crate::harness::frames::{End, text};
use crate::harness::{PATIENCE, until};
use crate::scenario::{Stage, Told};

const WANTED: usize = 10_000;
/// How many open, or wait for an echo, at once.
const AT_ONCE: usize = 128;
const ROUNDS: usize = 2;

/// Opens as many as descriptors allow, up to ten thousand, and lets each of them echo, twice.
pub(super) async fn echoes(stage: Stage) -> Result<Told> {
    let count = affordable(WANTED)? as u64;
    let backend = TestBackend::start(&stage, "b1").await?;
    let site = Relay::open(&stage, backend.address).await?;
    let told = async {
        let before = site.gateway.resident_kib()?;
        let crowd = Crowd::start(site.front, count);
        let opened = crowd.opened.await.context("the clients have given up")??;
        // The last of them may have their 101 and not be tunnels yet.
        until("all are open", PATIENCE, async || {
            let load = site.gateway.admin.load().await?;
            ensure!(load <= count, "{load} are open, not {count}");
            Ok((load == count).then_some(()))
        })
        .await?;
        let grown = site.gateway.resident_kib()?.saturating_sub(before);
        let _ = crowd.go.send(());
        let echoed = crowd.echoed.await.context("the clients have given up")??;
        until("all are closed", 4 * PATIENCE, async || {
            Ok((site.gateway.admin.load().await? == 0).then_some(()))
        })
        .await?;
        Ok(Told::Measured(format!(
            "{count} WebSockets open after {:.1} s, {ROUNDS} echoes on each in {:.1} s; \
             the gateway grew by {:.1} KiB a tunnel",
            opened.as_secs_f64(),
            echoed.as_secs_f64(),
            grown as f64 / count as f64,
        )))
    };
    site.tell(told.await)
}

/// The clients, on a thread of their own: what else the story waits for does not wait for them.
struct Crowd {
    opened: Receiver<Result<Duration>>,
    go: Sender<()>,
    echoed: Receiver<Result<Duration>>,
}

impl Crowd {
    /// Opens them; lets them echo when told to go; then drops them.
    fn start(front: SocketAddr, count: u64) -> Self {
        let (tell_opened, opened) = channel();
        let (go, told_to_go) = channel();
        let (tell_echoed, echoed) = channel();
        // Nobody waits for the thread: when the story is dropped, its gateway is killed, which ends it.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let Ok(runtime) = runtime else {
                return;
            };
            runtime.block_on(async {
                let started = Instant::now();
                let mut open = match open(front, count).await {
                    Ok(open) => open,
                    Err(error) => return drop(tell_opened.send(Err(error))),
                };
                let _ = tell_opened.send(Ok(started.elapsed()));
                if told_to_go.await.is_ok() {
                    let started = Instant::now();
                    let echoed = let_echo(&mut open).await;
                    let _ = tell_echoed.send(echoed.map(|()| started.elapsed()));
                }
            });
        });
        Self { opened, go, echoed }
    }
}

async fn open(front: SocketAddr, count: u64) -> Result<Vec<TcpStream>> {
    let open = stream::iter(0..count).map(|_| connect(front));
    open.buffer_unordered(AT_ONCE).try_collect().await
}

async fn let_echo(open: &mut [TcpStream]) -> Result<()> {
    for round in 0..ROUNDS {
        let echoes = open.iter_mut().enumerate();
        let echoes = echoes.map(|(number, stream)| echo(stream, number, round));
        let echoes = stream::iter(echoes).buffer_unordered(AT_ONCE);
        echoes.try_collect::<()>().await?;
    }
    Ok(())
}

async fn connect(front: SocketAddr) -> Result<TcpStream> {
    const HANDSHAKE: &[u8] = b"GET /echo HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    let mut stream = TcpStream::connect(front).await?;
    stream.set_nodelay(true)?;
    stream.write_all(HANDSHAKE).await?;
    // The echo says nothing on its own: what comes is the head.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = tokio::time::timeout(2 * PATIENCE, stream.read_buf(&mut head)).await;
        ensure!(read.context("no answer")?? > 0, "ended inside the head");
    }
    let head = String::from_utf8_lossy(&head);
    ensure!(head.starts_with("HTTP/1.1 101 "), "{head}");
    Ok(stream)
}

/// Each sends what no other sends, so that an echo cannot be somebody else's.
async fn echo(stream: &mut TcpStream, number: usize, round: usize) -> Result<()> {
    let message = text(format!("round {round} of tunnel {number}"));
    stream.write_all(&message.written_by(End::Client)).await?;
    let expected = message.written_by(End::Backend);
    let mut got = vec![0; expected.len()];
    let read = tokio::time::timeout(2 * PATIENCE, stream.read_exact(&mut got)).await;
    read.with_context(|| format!("no echo in tunnel {number}"))??;
    ensure!(got == expected, "tunnel {number} got {got:x?}");
    Ok(())
}
