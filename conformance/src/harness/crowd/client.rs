//! One client: its connections, one after another.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::{Book, Ending, How, Order, Refusal, lock};
use crate::harness::frames::{self, CLOSE, Came, PING, PONG, TEXT, masked};
use crate::harness::site::HANDSHAKE;
use crate::harness::wire::{Stream, climb, find};

/// Nothing here takes so long, however busy the machine is.
const FOREVER: Duration = Duration::from_secs(20);
/// The first pause before coming back is as long at most; each failure doubles it.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Comes, stays, and comes again if it is to.
pub(super) async fn live(
    order: Order,
    number: usize,
    mut random: Rng,
    book: Arc<Mutex<Book>>,
    turns: Arc<Semaphore>,
) {
    let mut pause = PAUSE;
    let mut turn = turns.acquire().await.ok();
    loop {
        let mut least = Duration::ZERO;
        match connect(&order).await {
            Ok(Answer::Open(mut socket)) => {
                drop(turn.take());
                note(&book, |book| book.change_open(&socket.backend, 1));
                let (at, how) = socket.stay(order.talks_every, number, &book).await;
                note(&book, |book| {
                    book.change_open(&socket.backend, -1);
                    let backend = socket.backend.clone();
                    book.endings.push(Ending { at, how, backend });
                });
                pause = PAUSE;
            }
            Ok(Answer::Refused(refusal)) => {
                least = Duration::from_secs(refusal.retry_after.unwrap_or_default());
                note(&book, |book| book.refusals.push(refusal));
            }
            Err(_) => {
                note(&book, |book| book.failures += 1);
                pause = LONGEST_PAUSE.min(2 * pause);
            }
        }
        drop(turn.take());
        if !order.comes_back {
            return;
        }
        sleep(least + pause.mul_f64(random.f64())).await;
    }
}

fn note(book: &Mutex<Book>, change: impl FnOnce(&mut Book)) {
    change(&mut lock(book));
}

impl Book {
    fn change_open(&mut self, backend: &str, change: isize) {
        if let Some(count) = self.open.get_mut(backend) {
            *count = count.saturating_add_signed(change);
        } else {
            self.open.insert(backend.to_owned(), 1);
        }
        self.opened += usize::from(change > 0);
    }
}

enum Answer {
    Open(Socket),
    Refused(Refusal),
}

async fn connect(order: &Order) -> Result<Answer> {
    timeout(FOREVER, handshake(order))
        .await
        .context("no answer")?
}

async fn handshake(order: &Order) -> Result<Answer> {
    let tcp = TcpStream::connect(order.front).await?;
    let mut stream = climb(tcp, order.tls.clone()).await?;
    let request = format!("GET /echo HTTP/1.1\r\n{HANDSHAKE}");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut buffer = Vec::with_capacity(512);
    let end = loop {
        if let Some(at) = find(&buffer, b"\r\n\r\n") {
            break at + 4;
        }
        ensure!(
            stream.read_buf(&mut buffer).await? > 0,
            "the end inside the head"
        );
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let field = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let status = head.get(9..12).context("no status")?.parse()?;
    if status != 101 {
        return Ok(Answer::Refused(Refusal {
            status,
            retry_after: field("retry-after").and_then(|value| value.parse().ok()),
        }));
    }
    let backend = field("x-backend").unwrap_or_default().to_owned();
    buffer.drain(..end);
    Ok(Answer::Open(Socket {
        stream,
        buffer,
        backend,
    }))
}

/// An open WebSocket.
struct Socket {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    backend: String,
}

impl Socket {
    /// To the end, and when the end began.
    async fn stay(
        &mut self,
        talks_every: Option<Duration>,
        number: usize,
        book: &Mutex<Book>,
    ) -> (Instant, How) {
        let mut said = 0;
        let mut expected = VecDeque::new();
        loop {
            // Whoever waits for an echo says nothing more.
            let pause = talks_every.filter(|_| expected.is_empty());
            let came = match timeout(pause.unwrap_or(Duration::MAX), self.frame()).await {
                Ok(Ok(came)) => came,
                Ok(Err(error)) => return (Instant::now(), How::Lost(format!("{error:#}"))),
                Err(_) => {
                    let text = format!("{number} says {said}");
                    said += 1;
                    // A failure to send shows in what is read next.
                    let _ = self.say(&masked(TEXT, text.as_bytes())).await;
                    expected.push_back(text);
                    continue;
                }
            };
            match came.opcode {
                PING => {
                    let _ = self.say(&masked(PONG, &came.payload)).await;
                }
                PONG => {}
                CLOSE => return (Instant::now(), self.leave(&came).await),
                _ if expected.front().map(String::as_bytes) == Some(&came.payload) => {
                    expected.pop_front();
                    note(book, |book| book.echoes += 1);
                }
                _ => {
                    let text = String::from_utf8_lossy(&came.payload).into_owned();
                    let how = format!("{text:?} came instead of {expected:?}");
                    return (Instant::now(), How::Lost(how));
                }
            }
        }
    }

    /// Our part of the closing handshake; then the server ends TCP (RFC 6455 section 7.1.1).
    async fn leave(&mut self, close: &Came) -> How {
        let (code, reason) = close.close().unwrap_or_default();
        let answer = masked(CLOSE, &close.payload[..close.payload.len().min(2)]);
        if let Err(error) = self.say(&answer).await {
            return How::Lost(format!("Close {code} cannot be answered: {error}"));
        }
        if !self.buffer.is_empty() {
            return How::Lost(format!("bytes behind Close {code}"));
        }
        match timeout(FOREVER, self.stream.read_buf(&mut self.buffer)).await {
            Ok(Ok(0)) => How::Closed { code, reason },
            Ok(Ok(_)) => How::Lost(format!("bytes behind Close {code}")),
            Ok(Err(error)) => How::Lost(format!("behind Close {code}: {error}")),
            Err(_) => How::Lost(format!("Close {code}, and TCP goes on")),
        }
    }

    async fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    async fn frame(&mut self) -> Result<Came> {
        loop {
            if let Some(came) = frames::take(&mut self.buffer) {
                ensure!(!came.is_masked, "a masked frame came");
                return Ok(came);
            }
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "TCP ended without a Close frame");
        }
    }
}
