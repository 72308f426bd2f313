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
}

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
                None => converse(tcp, &say, &tell).await,
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
    tell.send_modify(|seen| seen.heads.push(String::from_utf8(head).unwrap()));
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
    }
    stream.shutdown().await
}
