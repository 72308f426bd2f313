//! A backend that writes down when each WebSocket handshake reached it, on a thread of its own: what else
//! the run does must not move these times. It echoes nothing, and answers a Close.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::frames::{self, CLOSE, unmasked};
use super::wire::find;

type Arrivals = Arc<Mutex<Vec<Instant>>>;

/// The backend. It ends when this is dropped.
pub(crate) struct Turnstile {
    pub(crate) address: SocketAddr,
    arrivals: Arrivals,
    _stop: watch::Sender<()>,
}

impl Turnstile {
    pub(crate) fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let arrivals = Arrivals::default();
        let (stop, mut stopped) = watch::channel(());
        let noted = Arc::clone(&arrivals);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        // Nobody waits for the thread: it ends soon after the sender is gone.
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = accept(listener, noted) => {}
                    _ = stopped.changed() => {}
                }
            });
        });
        Ok(Self {
            address,
            arrivals,
            _stop: stop,
        })
    }

    /// When handshakes came, in order, since the last time that this was asked.
    pub(crate) fn take(&self) -> Vec<Instant> {
        std::mem::take(&mut lock(&self.arrivals))
    }
}

fn lock(arrivals: &Mutex<Vec<Instant>>) -> MutexGuard<'_, Vec<Instant>> {
    arrivals.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: std::net::TcpListener, arrivals: Arrivals) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut guests = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                guests.spawn(serve(stream, Arc::clone(&arrivals)));
            }
            Some(_) = guests.join_next() => {}
        }
    }
}

/// Probes and requests are answered, one after another; a handshake is noted, and stays.
async fn serve(mut stream: TcpStream, arrivals: Arrivals) -> Result<()> {
    let mut buffer = Vec::new();
    stream.set_nodelay(true)?;
    loop {
        let end = loop {
            if let Some(at) = find(&buffer, b"\r\n\r\n") {
                break at + 4;
            }
            ensure!(stream.read_buf(&mut buffer).await? > 0, "the end");
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        let key = lines.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
        let Some((_, key)) = key else {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
                .await?;
            continue;
        };
        lock(&arrivals).push(Instant::now());
        let accept = derive_accept_key(key.trim().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nX-Backend: turnstile\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await?;
        return stay(stream, buffer).await;
    }
}

async fn stay(mut stream: TcpStream, mut buffer: Vec<u8>) -> Result<()> {
    loop {
        while let Some(came) = frames::take(&mut buffer) {
            if came.opcode == CLOSE {
                let (code, _) = came.close().context("no Close")?;
                let code = code.to_be_bytes();
                stream.write_all(&unmasked(CLOSE, &code)).await?;
                return Ok(stream.shutdown().await?);
            }
        }
        ensure!(stream.read_buf(&mut buffer).await? > 0, "the end");
    }
}
