//! Loads a WebSocket echo through a proxy: messages to and fro on many connections, or connections
//! that only stay open. For the benchmark; it checks the length of what comes back, nothing else.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// A connection, in the clear or under TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// Loads a WebSocket echo.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where the proxy listens
    #[arg(long)]
    connect: SocketAddr,
    /// The path of a byte-exact echo
    #[arg(long, default_value = "/echo")]
    path: String,
    /// How many connections
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long messages go to and fro; 0: one message each, then silence until standard input ends
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Bytes of payload, from 126 to 65535
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(126..))]
    size: u16,
    /// Speak TLS to `localhost`, and believe this certificate (PEM)
    #[arg(long, value_name = "FILE")]
    tls_root: Option<PathBuf>,
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(&Arguments::parse()))
}

async fn run(arguments: &Arguments) -> Result<()> {
    let Some(root) = &arguments.tls_root else {
        let mut open = Vec::new();
        for _ in 0..arguments.connections {
            open.push(upgrade(arguments, connect(arguments).await?).await?);
        }
        return load(arguments, open).await;
    };
    let tls = trusting(root)?;
    let mut open = Vec::new();
    for _ in 0..arguments.connections {
        let name = ServerName::try_from("localhost")?;
        let stream = tls.connect(name, connect(arguments).await?).await?;
        open.push(upgrade(arguments, stream).await?);
    }
    load(arguments, open).await
}

fn trusting(root: &Path) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root)?)?;
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn load<S: Stream>(arguments: &Arguments, open: Vec<S>) -> Result<()> {
    if arguments.seconds == 0 {
        return stay_idle(open, arguments.size).await;
    }
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for stream in open {
        tasks.spawn(converse(stream, arguments.size, end));
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let elapsed = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let p99 = latencies
        .get(latencies.len() * 99 / 100)
        .copied()
        .unwrap_or_default();
    println!(
        "messages={} seconds={elapsed:.3} p99_us={p99}",
        latencies.len()
    );
    Ok(())
}

async fn connect(arguments: &Arguments) -> Result<TcpStream> {
    let tcp = TcpStream::connect(arguments.connect)
        .await
        .context("cannot connect")?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

async fn upgrade<S: Stream>(arguments: &Arguments, stream: S) -> Result<S> {
    let url = format!("ws://{}{}", arguments.connect, arguments.path);
    let (socket, _) = tokio_tungstenite::client_async(url, stream)
        .await
        .context("no handshake")?;
    // The echo says nothing on its own, so nothing has been read ahead.
    Ok(socket.into_inner())
}

/// One masked text frame (RFC 6455 section 5.2); the mask is zero, which costs nobody anything less.
fn frame(size: u16) -> Vec<u8> {
    let [high, low] = size.to_be_bytes();
    let mut frame = vec![0x81, 0x80 | 126, high, low, 0, 0, 0, 0];
    frame.resize(8 + usize::from(size), b'x');
    frame
}

/// Sends a message when the one before has come back; the microseconds that each took.
async fn converse(mut stream: impl Stream, size: u16, end: Instant) -> Result<Vec<u32>> {
    let frame = frame(size);
    let mut latencies = Vec::new();
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(latencies);
        }
        echo(&mut stream, &frame, size).await?;
        latencies.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}

async fn echo(stream: &mut impl Stream, frame: &[u8], size: u16) -> Result<()> {
    let mut answer = vec![0; 4 + usize::from(size)];
    stream.write_all(frame).await?;
    stream.read_exact(&mut answer).await?;
    ensure!(
        answer[..2] == [0x81, 126],
        "this is no echo: {:?}",
        &answer[..4]
    );
    Ok(())
}

async fn stay_idle<S: Stream>(mut open: Vec<S>, size: u16) -> Result<()> {
    let frame = frame(size);
    for stream in &mut open {
        echo(stream, &frame, size).await?;
    }
    println!("idle={}", open.len());
    // Nothing is to happen meanwhile, so the runtime may stand still.
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
