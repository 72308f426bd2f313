//! A client connection, byte by byte: what is sent is what the scenario wrote, and what comes back
//! is read strictly. Everything is kept for the report.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::PATIENCE;
use super::certificates::GATEWAY_NAME;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One answer, as it came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Why the body is not whole.
    pub(crate) broken: Option<String>,
}

impl Answer {
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let named = self
            .fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection to the gateway.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    /// What went over it, for people.
    pub(crate) transcript: String,
}

impl Wire {
    pub(crate) async fn plain(address: SocketAddr) -> Result<Self> {
        let tcp = TcpStream::connect(address).await;
        let tcp = tcp.with_context(|| format!("cannot connect to {address}"))?;
        tcp.set_nodelay(true)?;
        Ok(Self::new(tcp))
    }

    pub(crate) async fn tls(address: SocketAddr, config: Arc<ClientConfig>) -> Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(GATEWAY_NAME)?;
        let stream = TlsConnector::from(config).connect(name, tcp).await;
        Ok(Self::new(stream.context("the TLS handshake failed")?))
    }

    fn new(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
            transcript: String::new(),
        }
    }

    fn note(&mut self, mark: &str, bytes: &[u8]) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.transcript, "{mark} {}", escape(bytes));
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

    /// Reads more; `false` at the end of the stream. A reset counts as the end.
    async fn fill(&mut self, limit: Duration) -> Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let read = tokio::time::timeout(limit, self.stream.read(&mut chunk)).await;
        let read = read.map_err(|_| anyhow!("nothing came within {} s", limit.as_secs_f64()))?;
        let length = match read {
            Ok(length) => length,
            Err(error) => {
                self.note("<", format!("({error})").as_bytes());
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

fn parse_head(head: &[u8]) -> Result<Answer> {
    let head = std::str::from_utf8(head).context("the answer's head is not text")?;
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| status_line.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .with_context(|| format!("no status line: {status_line:?}"))?;
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .with_context(|| format!("no field: {line:?}"))?;
        ensure!(
            !line.contains(['\r', '\n', '\0']),
            "control bytes in {line:?}"
        );
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Answer {
        status,
        fields,
        ..Answer::default()
    })
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
