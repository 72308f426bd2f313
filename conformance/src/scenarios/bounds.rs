//! What a client can make the gateway hold: memory, connections, descriptors, requests that nobody
//! waits for.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::document::{Document, idle_probe, plain_settings};
use crate::harness::frames::{TEXT, masked};
use crate::harness::gateway::Gateway;
use crate::harness::ports::free_port;
use crate::harness::recorder::Recorder;
use crate::harness::site::{Site, explain, get};
use crate::harness::{PATIENCE, until};
use crate::scenario::{Scenario, Stage, Told};

const GROUP: &str = "bounds";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        story(
            "a large answer passes in constant memory",
            "design 5",
            large_answer,
        ),
        story(
            "a client that does not read holds little",
            "design 5",
            stalled_client,
        ),
        story("a stalled tunnel holds little", "design 5", stalled_tunnel),
        story(
            "a client that leaves ends the backend's request",
            "design 5",
            client_leaves,
        ),
        Scenario::story(
            GROUP,
            "running out of descriptors slows, and ends nothing",
            "design 5",
            few_descriptors,
        ),
    ]
}

fn story<F>(name: &str, clause: &'static str, tell: impl Fn(Site) -> F + Copy + 'static) -> Scenario
where
    F: Future<Output = Result<()>> + 'static,
{
    super::at_site(GROUP, name, clause, false, tell)
}

/// What the whole process may grow by, in KiB; far below what goes through it.
const MAX_GROWTH: u64 = 16 * 1024;
const MIB: u64 = 1024 * 1024;

async fn ask(site: &Site, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(site.address).await?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    Ok(stream)
}

fn grew_little(site: &Site, before: u64) -> Result<()> {
    let growth = site.gateway.resident_kib()?.saturating_sub(before);
    ensure!(growth < MAX_GROWTH, "the gateway grew by {growth} KiB");
    Ok(())
}

async fn large_answer(site: Site) -> Result<()> {
    const LENGTH: u64 = 400 * MIB;
    let before = site.gateway.resident_kib()?;
    let mut stream = ask(&site, &format!("/bytes/{LENGTH}")).await?;
    let mut scratch = vec![0; 1 << 20];
    let mut received = 0;
    loop {
        match stream.read(&mut scratch).await? {
            0 => break,
            length => received += length as u64,
        }
        grew_little(&site, before)?;
    }
    ensure!(received > LENGTH, "only {received} bytes came");
    Ok(())
}

/// Memory has stopped growing when it is the same for a while; that is the state to look at.
async fn settled(site: &Site) -> Result<u64> {
    let mut last = (0, 0);
    until("memory settles", PATIENCE, async || {
        let now = site.gateway.resident_kib()?;
        last = if last.0 == now {
            (now, last.1 + 1)
        } else {
            (now, 0)
        };
        Ok((last.1 > 15).then_some(now))
    })
    .await
}

async fn stalled_client(site: Site) -> Result<()> {
    let before = site.gateway.resident_kib()?;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(ask(&site, &format!("/bytes/{}", 4096 * MIB)).await?);
    }
    settled(&site).await?;
    grew_little(&site, before)?;
    ensure!(site.get("/").await?.status == 200, "nobody else is served");
    Ok(())
}

/// Sends to an echo, and never reads: when nothing more is taken, every buffer on the way is full.
async fn stalled_tunnel(site: Site) -> Result<()> {
    let before = site.gateway.resident_kib()?;
    let frame = masked(TEXT, &[b'x'; 60_000]);
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let (mut wire, _) = site.websocket("/echo").await?;
        let window = Duration::from_millis(300);
        while let Ok(sent) = tokio::time::timeout(window, wire.send_unseen(&frame)).await {
            sent?;
        }
        stalled.push(wire);
    }
    settled(&site).await?;
    grew_little(&site, before)?;
    ensure!(site.get("/").await?.status == 200, "nobody else is served");
    Ok(())
}

async fn client_leaves(site: Site) -> Result<()> {
    let stream = ask(&site, "/slow/30000").await?;
    let admin = site.gateway.admin;
    let has_load = async |load| Ok((admin.load().await? == load).then_some(()));
    until("the request is counted", PATIENCE, async || {
        has_load(1).await
    })
    .await?;
    drop(stream);
    until("it is given up", PATIENCE, async || has_load(0).await).await
}

async fn few_descriptors(stage: Stage) -> Result<Told> {
    let recorder = Recorder::start().await?;
    let port = free_port()?;
    let document = Document::new().serve(
        port,
        &[recorder.address],
        ("idle", idle_probe()),
        plain_settings("idle"),
    );
    let wrapper = ["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"].map(str::to_owned);
    let gateway = Gateway::with_file_in(&stage.programs, document, Some(&wrapper)).await?;
    let front = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let told = async {
        let before = gateway.descriptors()?;
        let mut idle = Vec::new();
        for _ in 0..400 {
            idle.push(TcpStream::connect(front).await?);
        }
        until(
            "its share of descriptors is used up",
            PATIENCE,
            async || Ok((gateway.descriptors()? > before + 40).then_some(())),
        )
        .await?;
        ensure!(
            gateway.admin.is_ready().await?,
            "the admin API has no descriptor left"
        );
        drop(idle);
        until("requests are served again", 2 * PATIENCE, async || {
            Ok((get(front, "/").await?.status == 200).then_some(()))
        })
        .await
    };
    told.await.map_err(|error| explain(gateway.log(), error))?;
    Ok(Told::Whole)
}
