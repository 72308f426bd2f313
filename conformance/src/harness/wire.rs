//! A client connection, byte by byte: what is sent is what the scenario wrote, and what comes back
//! is read strictly. Everything is noted in the transcript of the scene.

mod answer;

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::PATIENCE;
use super::certificates::GATEWAY_NAME;
use super::frames::{self, Came};
use super::scene::Scene;
pub(crate) use answer::Answer;
use answer::parse_head;
pub(super) use answer::values;

/// TCP, or TLS over it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// The TCP connection beneath, while there is one.
    fn tcp(&self) -> Option<&TcpStream>;

    /// The TCP connection itself, if there is nothing above it.
    fn into_tcp(self: Box<Self>) -> Option<TcpStream> {
        None
    }
}

impl Stream for TcpStream {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }

    fn into_tcp(self: Box<Self>) -> Option<TcpStream> {
        Some(*self)
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.get_ref().0)
    }
}

/// A backend's end.
impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.get_ref().0)
    }
}

/// What is left of a connection that we have reset.
impl Stream for tokio::io::Empty {
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

/// A connection to the gateway.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// As the scene's transcript calls it, where there is one.
    noted: Option<(Scene, String)>,
    /// How reading ended, if not by an end in order: FIN, over TLS `close_notify` before it.
    broken: Option<ErrorKind>,
}

impl Wire {
    pub(crate) async fn plain(address: SocketAddr) -> Result<Self> {
        Ok(Self::quiet(address).await?.noted("client"))
    }

    /// From this address of ours; over TLS, if there is a configuration for it.
    pub(crate) async fn from(
        source: IpAddr,
        address: SocketAddr,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        let tcp = socket.connect(address).await;
        let tcp = tcp.with_context(|| format!("cannot connect to {address} from {source}"))?;
        Ok(Self::over(climb(tcp, tls).await?).noted("client"))
    }

    /// A connection of which nothing goes into the transcript.
    pub(crate) async fn quiet(address: SocketAddr) -> Result<Self> {
        let tcp = TcpStream::connect(address).await;
        let tcp = tcp.with_context(|| format!("cannot connect to {address}"))?;
        tcp.set_nodelay(true)?;
        Ok(Self::new(tcp, Vec::new()))
    }

    /// A connection that somebody else has opened, and what came over it that nobody has read.
    pub(crate) fn accepted(stream: Box<dyn Stream>, unread: Vec<u8>) -> Self {
        let wire = Self {
            buffer: unread,
            ..Self::over(stream)
        };
        wire.noted("backend")
    }

    pub(crate) async fn tls(address: SocketAddr, config: Arc<ClientConfig>) -> Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        Ok(Self::over(climb(tcp, Some(config)).await?).noted("client"))
    }

    /// Over a stream that is open already.
    pub(crate) fn over(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            noted: None,
            broken: None,
        }
    }

    fn new(stream: impl Stream + 'static, buffer: Vec<u8>) -> Self {
        Self {
            buffer,
            ..Self::over(Box::new(stream))
        }
    }

    /// The plain connection alone, between two messages.
    pub(crate) fn into_socket(self) -> Result<TcpStream> {
        ensure!(self.buffer.is_empty(), "unread: {}", escape(&self.buffer));
        self.stream.into_tcp().context("it is not plain")
    }

    /// Where our end is.
    pub(crate) fn local_address(&self) -> Result<SocketAddr> {
        let tcp = self.stream.tcp().context("it is reset already")?;
        Ok(tcp.local_addr()?)
    }

    fn noted(mut self, whose: &str) -> Self {
        self.noted = Scene::current().map(|scene| {
            let name = scene.name_wire(whose);
            (scene, name)
        });
        self
    }

    fn note(&self, mark: &str, bytes: &[u8]) {
        if let Some((scene, name)) = &self.noted {
            scene.note(&format!("{name} {mark} {}", escape(bytes)));
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.note(">", bytes);
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// Sends without a note in the transcript. Not to be used again when it was broken off.
    pub(crate) async fn send_unseen(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Sends the end of the stream (FIN; over TLS close_notify first).
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.note(">", b"(end)");
        Ok(self.stream.shutdown().await?)
    }

    /// Ends TCP alone: FIN, over TLS without `close_notify`.
    pub(crate) fn break_tls(&mut self) -> Result<()> {
        self.note(">", b"(end of TCP)");
        let tcp = self.stream.tcp().context("it is reset already")?;
        Ok(SockRef::from(tcp).shutdown(Shutdown::Write)?)
    }

    /// Resets the connection (RST, no FIN).
    pub(crate) fn reset(&mut self) -> Result<()> {
        self.note(">", b"(reset)");
        let stream = std::mem::replace(&mut self.stream, Box::new(tokio::io::empty()));
        let tcp = stream.tcp().context("it is reset already")?;
        Ok(tcp.set_zero_linger()?)
    }

    /// Reads more; `false` at the end of the stream. A reset counts as the end.
    async fn fill(&mut self, limit: Duration) -> Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let read = tokio::time::timeout(limit, self.stream.read(&mut chunk)).await;
        let read = read.map_err(|_| anyhow!("nothing came within {} s", limit.as_secs_f64()))?;
        let length = match read {
            Ok(length) => length,
            Err(error) => {
                self.note("<", format!("({error})").as_bytes());
                self.broken = Some(error.kind());
                return Ok(false);
            }
        };
        if length == 0 {
            self.note("<", b"(end)");
        } else {
            self.note("<", &chunk[..length]);
            self.buffer.extend_from_slice(&chunk[..length]);
        }
        Ok(length > 0)
    }

    /// Reads one answer. `Ok(None)`: the connection ended before its first byte.
    pub(crate) async fn answer(&mut self, to_head: bool) -> Result<Option<Answer>> {
        self.answer_within(to_head, PATIENCE).await
    }

    pub(crate) async fn answer_within(
        &mut self,
        to_head: bool,
        limit: Duration,
    ) -> Result<Option<Answer>> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill(limit).await? {
                ensure!(self.buffer.is_empty(), "the answer's head is not whole");
                return Ok(None);
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let mut answer = parse_head(&head)?;
        let bodiless = to_head || answer.status < 200 || matches!(answer.status, 204 | 304);
        if !bodiless && let Err(error) = self.body(&mut answer, limit).await {
            answer.broken = Some(format!("{error:#}"));
        }
        Ok(Some(answer))
    }

    async fn body(&mut self, answer: &mut Answer, limit: Duration) -> Result<()> {
        let lengths: Vec<String> = answer
            .values("content-length")
            .into_iter()
            .map(str::to_owned)
            .collect();
        let codings = answer.values("transfer-encoding").join(", ");
        if !codings.is_empty() {
            ensure!(lengths.is_empty(), "two framings: {codings} and a length");
            ensure!(
                codings.eq_ignore_ascii_case("chunked"),
                "framed by {codings}"
            );
            return self.chunks(&mut answer.body, limit).await;
        }
        match lengths.as_slice() {
            [] => {
                while self.fill(limit).await? {}
                answer.body.append(&mut self.buffer);
                Ok(())
            }
            [length] => {
                let length = length.parse()?;
                let received = self.exactly(length, limit).await;
                if received.is_err() {
                    answer.body.append(&mut self.buffer);
                }
                answer.body.extend(received?);
                Ok(())
            }
            many => bail!("{} lengths", many.len()),
        }
    }

    async fn chunks(&mut self, body: &mut Vec<u8>, limit: Duration) -> Result<()> {
        loop {
            let line = self.line(limit).await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size =
                usize::from_str_radix(size, 16).with_context(|| format!("chunk size {line:?}"))?;
            if size == 0 {
                // Trailers, up to the empty line.
                while !self.line(limit).await?.is_empty() {}
                return Ok(());
            }
            body.extend(self.exactly(size, limit).await?);
            ensure!(
                self.line(limit).await?.is_empty(),
                "a chunk is longer than its size"
            );
        }
    }

    async fn line(&mut self, limit: Duration) -> Result<String> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            ensure!(
                self.fill(limit).await?,
                "the connection ended inside the body"
            );
        }
    }

    /// Reads exactly `length` bytes.
    pub(crate) async fn exactly(&mut self, length: usize, limit: Duration) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            let so_far = self.buffer.len();
            ensure!(
                self.fill(limit).await?,
                "the connection ended after {so_far} of {length} bytes"
            );
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Reads the next WebSocket frame.
    pub(crate) async fn frame(&mut self, limit: Duration) -> Result<Came> {
        loop {
            if let Some(came) = frames::take(&mut self.buffer) {
                return Ok(came);
            }
            let is_open = self.fill(limit).await?;
            ensure!(
                is_open,
                "the connection ended where a frame was to come, behind {}",
                escape(&self.buffer)
            );
        }
    }

    /// Whether the peer was found to have reset the connection.
    pub(crate) fn was_reset(&self) -> bool {
        self.broken == Some(ErrorKind::ConnectionReset)
    }

    /// Fails unless the peer resets the connection, without another byte.
    pub(crate) async fn is_reset(&mut self, limit: Duration) -> Result<()> {
        self.ends(limit).await?;
        ensure!(
            self.was_reset(),
            "the connection does not end by a reset: {:?}",
            self.broken
        );
        Ok(())
    }

    /// Fails unless the peer ends the connection in order (FIN; over TLS close_notify first), without
    /// another byte.
    pub(crate) async fn is_finished(&mut self, limit: Duration) -> Result<()> {
        self.ends(limit).await?;
        ensure!(
            self.broken.is_none(),
            "the connection is not ended in order: {:?}",
            self.broken
        );
        Ok(())
    }

    /// Fails unless the peer ends the connection without another byte.
    pub(crate) async fn ends(&mut self, limit: Duration) -> Result<()> {
        while self
            .fill(limit)
            .await
            .context("the connection is not closed")?
        {}
        ensure!(
            self.buffer.is_empty(),
            "more came: {}",
            escape(&self.buffer)
        );
        Ok(())
    }
}

/// The same connection, under TLS if there is a configuration for it.
pub(crate) async fn climb(
    tcp: TcpStream,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Box<dyn Stream>> {
    tcp.set_nodelay(true)?;
    let Some(config) = tls else {
        return Ok(Box::new(tcp));
    };
    let name = ServerName::try_from(GATEWAY_NAME)?;
    let stream = TlsConnector::from(config).connect(name, tcp).await;
    Ok(Box::new(stream.context("the TLS handshake failed")?))
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Bytes as people read them: text as text, the rest escaped, long ones cut.
pub(crate) fn escape(bytes: &[u8]) -> String {
    const SHOWN: usize = 600;
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let mut text = shown.escape_ascii().to_string();
    if bytes.len() > SHOWN {
        let _ = write!(text, " ... ({} bytes in all)", bytes.len());
    }
    text
}
