//! A backend that takes nothing on trust: it records every byte, says what a gateway should never
//! have sent, and answers with whatever bytes the scenario wants.

mod judge;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use judge::read_head;

use super::scene::Scene;
use super::wire::{Stream, Wire, escape, find, values};
use super::{PATIENCE, frames};

/// What the recorder answers a scenario's requests with.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    /// Bytes; `{accept}` becomes the right `Sec-WebSocket-Accept`.
    pub(crate) text: String,
    /// More bytes, in the same segment.
    pub(crate) tail: Vec<u8>,
    pub(crate) then: Then,
    /// First wait [`QUIET`] for bytes that should not come yet.
    pub(crate) quiet_first: bool,
}

/// What follows the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The next request.
    NextRequest,
    /// Every frame is sent back.
    Echo,
    /// The connection is handed to the scenario, which plays the backend from here on.
    HandOver,
    /// The end.
    Close,
    /// RST.
    Reset,
}

/// The window in which bytes that come too early are looked for.
const QUIET: Duration = Duration::from_millis(200);

/// One request, as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// What came after the head and before the answer, where nothing may.
    pub(crate) early: Vec<u8>,
    /// What came after the answer of an upgrade.
    pub(crate) after: Vec<u8>,
}

impl Seen {
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }

    fn is_handshake(&self) -> bool {
        self.values("upgrade")
            .iter()
            .any(|value| value.eq_ignore_ascii_case("websocket"))
    }

    fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// What was recorded since the last look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub(crate) requests: Vec<Seen>,
    /// What no gateway may send, whatever it is sent.
    pub(crate) violations: Vec<String>,
    reply: Option<Reply>,
    /// Whose transcript tells the requests.
    scene: Option<Scene>,
}

type Shared = Arc<Mutex<Record>>;

/// A recording backend. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    shared: Shared,
    handed_over: tokio::sync::Mutex<UnboundedReceiver<HandedOver>>,
    _tasks: JoinSet<()>,
}

/// A connection behind the answer that upgraded it, and what has come since.
type HandedOver = (Box<dyn Stream>, Vec<u8>);

impl Recorder {
    pub(crate) async fn start() -> Result<Self> {
        Self::start_as(None).await
    }

    /// Over TLS, if there is a configuration for it.
    pub(crate) async fn start_as(tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Shared::default();
        lock(&shared).scene = Scene::current();
        let (hand_over, handed_over) = unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, tls, Arc::clone(&shared), hand_over));
        Ok(Self {
            address,
            shared,
            handed_over: tokio::sync::Mutex::new(handed_over),
            _tasks: tasks,
        })
    }

    /// The next connection that was answered with [`Then::HandOver`].
    pub(crate) async fn handed_over(&self) -> Result<Wire> {
        let mut handed_over = self.handed_over.lock().await;
        let next = tokio::time::timeout(PATIENCE, handed_over.recv()).await;
        let next = next.context("no handshake reached the backend")?;
        let (stream, unread) = next.context("the recorder has ended")?;
        Ok(Wire::accepted(stream, unread))
    }

    /// Forgets everything, and answers as `reply` says from now on.
    pub(crate) fn reset(&self, reply: Option<Reply>) {
        // What an earlier scenario has left there is dropped, which ends it.
        if let Ok(mut handed_over) = self.handed_over.try_lock() {
            while handed_over.try_recv().is_ok() {}
        }
        *lock(&self.shared) = Record {
            reply,
            scene: Scene::current(),
            ..Record::default()
        };
    }

    /// Forgets everything. Answers are the standard ones from now on.
    pub(crate) fn forget(&self) {
        *lock(&self.shared) = Record::default();
    }

    /// What was recorded so far.
    pub(crate) fn look(&self) -> Record {
        lock(&self.shared).clone()
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Record> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    shared: Shared,
    hand_over: UnboundedSender<HandedOver>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let (shared, tls, hand_over) = (Arc::clone(&shared), tls.clone(), hand_over.clone());
                connections.spawn(async move {
                    // Whoever breaks off is the gateway, and what it left is in the record.
                    if let Ok(Some(handed)) = serve(stream, tls, shared).await {
                        // Nobody wants it when the scenario is over.
                        let _ = hand_over.send(handed);
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(
    tcp: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    shared: Shared,
) -> Result<Option<HandedOver>> {
    tcp.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(tcp),
        Some(config) => Box::new(TlsAcceptor::from(config).accept(tcp).await?),
    };
    let connection = Connection {
        stream,
        buffer: Vec::new(),
        shared,
    };
    connection.serve().await
}

struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    shared: Shared,
}

impl Connection {
    /// Serves requests up to the end, or to the one whose connection the scenario wants.
    async fn serve(mut self) -> Result<Option<HandedOver>> {
        while let Some(seen) = self.request().await? {
            if matches!(seen.path(), "/probe" | "/sentinel") {
                self.answer_aside(seen.path() == "/probe").await?;
                continue;
            }
            let at = self.record(&seen);
            match self.answer(&seen, at).await? {
                Then::NextRequest => {}
                Then::HandOver => return Ok(Some((self.stream, self.buffer))),
                Then::Echo | Then::Close | Then::Reset => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Probes and sentinels are no part of the record.
    async fn answer_aside(&mut self, probe: bool) -> Result<()> {
        let body = if probe { "up" } else { "sentinel" };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(answer.as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// Answers; says what comes after it.
    async fn answer(&mut self, seen: &Seen, at: usize) -> Result<Then> {
        let reply = lock(&self.shared).reply.clone();
        let reply = reply.unwrap_or_else(|| standard(seen));
        if reply.quiet_first {
            let early = tokio::time::timeout(QUIET, self.stream.read_buf(&mut self.buffer)).await;
            if early.is_ok() {
                let early = std::mem::take(&mut self.buffer);
                self.note(at, |seen| seen.early.extend(early));
            }
        }
        let key = seen.values("sec-websocket-key").join("");
        let text = reply
            .text
            .replace("{accept}", &derive_accept_key(key.as_bytes()));
        let bytes = [text.as_bytes(), &reply.tail].concat();
        self.tell(">", &bytes);
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        match reply.then {
            Then::NextRequest | Then::HandOver => {}
            Then::Echo => self.echo(at).await?,
            Then::Close => self.stream.shutdown().await?,
            Then::Reset => self.stream.tcp().context("it is gone")?.set_zero_linger()?,
        }
        Ok(reply.then)
    }

    async fn echo(&mut self, at: usize) -> Result<()> {
        let mut noted = 0;
        loop {
            let fresh = self.buffer[noted..].to_vec();
            let echoed = frames::echo(&mut self.buffer);
            noted = self.buffer.len();
            self.note(at, |seen| seen.after.extend(fresh));
            self.stream.write_all(&echoed).await?;
            self.stream.flush().await?;
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Reads one request; `None` at the end of the connection.
    async fn request(&mut self) -> Result<Option<Seen>> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                if !self.buffer.is_empty() {
                    self.violation(format!("half a request: {}", escape(&self.buffer)));
                }
                return Ok(None);
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let (mut seen, violations) = read_head(&head);
        for violation in violations {
            self.violation(format!("{violation} in {}", escape(&head)));
        }
        if !seen.values("expect").is_empty() {
            self.stream
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await?;
        }
        seen.body = self.body(&seen).await?;
        Ok(Some(seen))
    }

    async fn body(&mut self, seen: &Seen) -> Result<Vec<u8>> {
        if !seen.values("transfer-encoding").is_empty() {
            return self.chunks().await;
        }
        match seen
            .values("content-length")
            .first()
            .map(|length| length.parse())
        {
            Some(Ok(length)) => self.exactly(length).await,
            Some(Err(_)) | None => Ok(Vec::new()),
        }
    }

    async fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let Ok(size) = usize::from_str_radix(&line, 16) else {
                self.violation(format!("chunk size {line:?}"));
                anyhow::bail!("no chunk size");
            };
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.exactly(size).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn more(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        (read > 0)
            .then_some(())
            .context("the request's body is not whole")
    }

    fn record(&self, seen: &Seen) -> usize {
        let fields = seen.fields.iter();
        let fields: String = fields
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!("{}\r\n{fields}\r\n", seen.line);
        self.tell("<", &[head.as_bytes(), &seen.body].concat());
        let mut record = lock(&self.shared);
        record.requests.push(seen.clone());
        record.requests.len() - 1
    }

    /// Everything but probes and sentinels, for people.
    fn tell(&self, mark: &str, bytes: &[u8]) {
        if let Some(scene) = &lock(&self.shared).scene {
            scene.note(&format!("backend {mark} {}", escape(bytes)));
        }
    }

    fn note(&self, at: usize, change: impl FnOnce(&mut Seen)) {
        // The record may have been taken meanwhile.
        if let Some(seen) = lock(&self.shared).requests.get_mut(at) {
            change(seen);
        }
    }

    fn violation(&self, what: String) {
        lock(&self.shared).violations.push(what);
    }
}

fn standard(seen: &Seen) -> Reply {
    let (text, then) = if seen.is_handshake() {
        let text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";
        (text, Then::Echo)
    } else if seen.line.starts_with("HEAD ") {
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n",
            Then::NextRequest,
        )
    } else {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nstandard";
        (text, Then::NextRequest)
    };
    Reply {
        text: text.to_owned(),
        tail: Vec::new(),
        then,
        quiet_first: false,
    }
}
