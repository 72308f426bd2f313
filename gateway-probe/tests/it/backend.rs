//! A backend that does to each connection what the test says.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use gateway_core::websocket::{WebSocketKey, encode_close, encode_pong};

/// What happens after a request's head has come.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// This, then the end.
    Bytes(&'static [u8]),
    /// The first, then the second for as long as it is taken.
    ForEver(&'static [u8], &'static [u8]),
    /// This, a byte at a time, 20 ms apart.
    Drip(&'static [u8]),
    /// This, then silence; the connection stays.
    Hang(&'static [u8]),
    /// A reset.
    Reset,
    /// A WebSocket, or something like it.
    WebSocket(WebSocket),
}

/// What a backend makes of a handshake.
#[derive(Debug, Clone)]
pub(crate) struct WebSocket {
    /// The head of the answer; `{accept}` stands for the right one.
    pub(crate) head: &'static str,
    /// Sent together with it.
    pub(crate) first: &'static [u8],
    /// What is sent for each Ping, of this payload.
    pub(crate) pong: fn(&[u8]) -> Vec<u8>,
    /// What comes after that.
    pub(crate) then: Then,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Then {
    /// A Close is answered, and the connection ended.
    Polite,
    /// Whatever comes is read, and nothing answered.
    Mute,
    /// The connection is ended after the Ping.
    End,
    /// The connection is reset after the Ping.
    Reset,
}

pub(crate) const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n";

/// As it should be.
pub(crate) const ECHO: WebSocket = WebSocket {
    head: SWITCHING,
    first: b"",
    pong: |payload| encode_pong(payload, None),
    then: Then::Polite,
};

pub(crate) const HEALTHY: Say = Say::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n");
pub(crate) const BROKEN: Say =
    Say::Bytes(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");

/// What the backend has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// When each connection came.
    pub(crate) at: Vec<Instant>,
    /// The heads of the requests.
    pub(crate) heads: Vec<String>,
    /// Connections that are open now.
    pub(crate) open: usize,
    /// The frames of WebSockets: first byte, mask, payload without it.
    pub(crate) frames: Vec<(u8, [u8; 4], Vec<u8>)>,
    /// TLS handshakes that took up an earlier session.
    pub(crate) resumed: usize,
}

pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    say: Arc<Mutex<Say>>,
    seen: watch::Receiver<Seen>,
    _task: JoinSet<()>,
}

impl Backend {
    pub(crate) async fn start(say: Say) -> Self {
        Self::with(say, None).await
    }

    pub(crate) async fn start_tls(say: Say, tls: Arc<rustls::ServerConfig>) -> Self {
        Self::with(say, Some(tls.into())).await
    }

    async fn with(say: Say, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let say = Arc::new(Mutex::new(say));
        let (tell, seen) = watch::channel(Seen::default());
        let mut task = JoinSet::new();
        task.spawn(serve(listener, tls, Arc::clone(&say), Arc::new(tell)));
        Self {
            address,
            say,
            seen,
            _task: task,
        }
    }

    pub(crate) fn say(&self, say: Say) {
        *self.say.lock().unwrap() = say;
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    pub(crate) async fn until(&self, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        tokio::time::timeout(Duration::from_secs(20), seen.wait_for(wanted))
            .await
            .expect("the backend sees what is waited for")
            .unwrap()
            .clone()
    }
}

async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    say: Arc<Mutex<Say>>,
    tell: Arc<watch::Sender<Seen>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tell.send_modify(|seen| {
            seen.at.push(Instant::now());
            seen.open += 1;
        });
        let (tls, say, tell) = (tls.clone(), Arc::clone(&say), Arc::clone(&tell));
        connections.spawn(async move {
            // How the connection ends is the prober's to judge.
            let _ = match tls {
                _ if matches!(*say.lock().unwrap(), Say::Reset) => {
                    socket2::SockRef::from(&tcp).set_linger(Some(Duration::ZERO))
                }
                None => {
                    let wants_reset = matches!(
                        &*say.lock().unwrap(),
                        Say::WebSocket(WebSocket {
                            then: Then::Reset,
                            ..
                        })
                    );
                    if wants_reset {
                        // What is closed in order then is not reset: it has been shut down.
                        socket2::SockRef::from(&tcp)
                            .set_linger(Some(Duration::ZERO))
                            .unwrap();
                    }
                    converse(tcp, &say, &tell).await
                }
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => {
                        let kind = stream.get_ref().1.handshake_kind();
                        if kind == Some(rustls::HandshakeKind::Resumed) {
                            tell.send_modify(|seen| seen.resumed += 1);
                        }
                        converse(stream, &say, &tell).await
                    }
                    Err(error) => Err(error),
                },
            };
            tell.send_modify(|seen| seen.open -= 1);
        });
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    say: &Mutex<Say>,
    tell: &watch::Sender<Seen>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    tell.send_modify(|seen| seen.heads.push(head.clone()));
    let say = say.lock().unwrap().clone();
    match say {
        Say::Bytes(bytes) => stream.write_all(bytes).await?,
        Say::ForEver(first, again) => {
            stream.write_all(first).await?;
            loop {
                stream.write_all(again).await?;
            }
        }
        Say::Drip(bytes) => {
            for byte in bytes {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Say::Hang(bytes) => {
            stream.write_all(bytes).await?;
            stream.flush().await?;
            // Until the prober goes.
            stream.read_u8().await?;
        }
        Say::Reset => {}
        Say::WebSocket(websocket) => {
            if !upgrade(&mut stream, &head, &websocket, tell).await? {
                return Ok(());
            }
        }
    }
    stream.shutdown().await
}

/// Whether the connection is to be ended in order.
async fn upgrade(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    head: &str,
    websocket: &WebSocket,
    tell: &watch::Sender<Seen>,
) -> io::Result<bool> {
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-key: "));
    let key = WebSocketKey::parse(key.unwrap().as_bytes()).unwrap();
    let accept = String::from_utf8(key.accept().as_bytes().to_vec()).unwrap();
    let mut answer = websocket.head.replace("{accept}", &accept).into_bytes();
    answer.extend_from_slice(websocket.first);
    stream.write_all(&answer).await?;
    stream.flush().await?;
    loop {
        let opcode = stream.read_u8().await?;
        let length = stream.read_u8().await?;
        assert!(length & 0x80 != 0, "a client masks its frames");
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await?;
        let mut payload = vec![0; usize::from(length & 0x7f)];
        stream.read_exact(&mut payload).await?;
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        tell.send_modify(|seen| seen.frames.push((opcode, mask, payload.clone())));
        match (opcode, websocket.then) {
            (0x89, then) => {
                stream.write_all(&(websocket.pong)(&payload)).await?;
                stream.flush().await?;
                match then {
                    Then::End => return Ok(true),
                    Then::Reset => return Ok(false),
                    Then::Polite | Then::Mute => {}
                }
            }
            (0x88, Then::Polite) => {
                stream.write_all(&encode_close(1000, "", None)).await?;
                return Ok(true);
            }
            _ => {}
        }
    }
}
