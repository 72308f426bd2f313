//! How the gateway, as a client, reaches its backend before it sends a handshake: TCP, then TLS
//! (RFC 6455 section 4.1, items 4 and 5 of its first list).

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use rustls::ServerConfig;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::Message;

use super::GROUP;
use crate::harness::PATIENCE;
use crate::harness::certificates::BACKEND_NAME;
use crate::harness::document::{Document, idle_probe, plain_settings};
use crate::harness::gateway::Gateway;
use crate::harness::ports::free_port;
use crate::harness::site::{explain, handshake};
use crate::scenario::{Scenario, Stage, Told};

pub(super) fn stories() -> Vec<Scenario> {
    vec![
        Scenario::story(
            GROUP,
            "nobody listens at the backend",
            "RFC 6455 4.1 [4]",
            nobody,
        ),
        Scenario::story(
            GROUP,
            "the handshake with a TLS backend runs inside TLS",
            "RFC 6455 4.1 [5]",
            inside_tls,
        ),
        Scenario::story(
            GROUP,
            "a backend whose certificate cannot be verified gets no handshake",
            "RFC 6455 4.1 [5]",
            unverified,
        ),
    ]
}

async fn nobody(stage: Stage) -> Result<Told> {
    let (gone, port) = (free_port()?, free_port()?);
    let document = document(plain_settings("idle"), gone, port);
    let gateway = Gateway::with_file(&stage.programs, document).await?;
    let (_, answer) = handshake(local(port), "/").await?;
    ensure!(answer.status == 502, "{} {}", answer.status, answer.text());
    ensure!(
        answer.values("sec-websocket-accept").is_empty(),
        "it is accepted"
    );
    drop(gateway);
    Ok(Told::Whole)
}

async fn inside_tls(stage: Stage) -> Result<Told> {
    let backend = TlsBackend::open(&stage).await?;
    let port = free_port()?;
    let root = json!({ "data": stage.certificates.root });
    let document = document(tls_settings(), backend.port()?, port).with(
        "trustedRootCertificates",
        "root",
        root,
    );
    let gateway = Gateway::with_file(&stage.programs, document).await?;
    let told = async {
        let tcp = TcpStream::connect(local(port)).await?;
        let client = tokio_tungstenite::client_async("ws://gateway.test/chat", tcp);
        let served = async {
            loop {
                // A probe comes before it, and is no WebSocket.
                let (name, stream) = backend.accept().await?;
                if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
                    return anyhow::Ok((name, socket));
                }
            }
        };
        let (client, served) = tokio::join!(client, served);
        let ((mut client, _), (name, mut server)) = (client?, served?);
        ensure!(
            name.as_deref() == Some(BACKEND_NAME),
            "the name in TLS is {name:?}"
        );
        client.send(Message::text("inside")).await?;
        let heard = server.next().await.context("no message")??;
        ensure!(heard == Message::text("inside"), "{heard:?}");
        server.send(heard).await?;
        let echo = client.next().await.context("no echo")??;
        ensure!(echo == Message::text("inside"), "{echo:?}");
        Ok(Told::Whole)
    };
    told.await.map_err(|error| explain(gateway.log(), error))
}

/// The gateway trusts the platform's authorities only, and ours is none of them.
async fn unverified(stage: Stage) -> Result<Told> {
    let backend = TlsBackend::open(&stage).await?;
    let port = free_port()?;
    let mut settings = tls_settings();
    settings["trustedRootCertificates"] = json!([]);
    let document = document(settings, backend.port()?, port);
    let gateway = Gateway::with_file(&stage.programs, document).await?;
    let told = async {
        let asked = handshake(local(port), "/chat");
        tokio::pin!(asked);
        let answer = loop {
            tokio::select! {
                answered = &mut asked => break answered?.1,
                accepted = backend.accept() => {
                    // Its TLS is refused; should it not be, nothing may come through it.
                    let Ok((_, mut stream)) = accepted else { continue };
                    let mut bytes = Vec::new();
                    let _ = stream.read_buf(&mut bytes).await;
                    ensure!(bytes.is_empty(), "the backend got {}", bytes.escape_ascii());
                }
            }
        };
        ensure!(answer.status == 502, "{} {}", answer.status, answer.text());
        Ok(Told::Whole)
    };
    told.await.map_err(|error| explain(gateway.log(), error))
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn tls_settings() -> serde_json::Value {
    json!({
        "port": 443,
        "protocol": "Https",
        "hostName": BACKEND_NAME,
        "requestTimeout": 5,
        "probe": { "id": "probes/idle" },
        "trustedRootCertificates": [{ "id": "trustedRootCertificates/root" }],
    })
}

fn document(settings: serde_json::Value, backend: u16, port: u16) -> Document {
    let mut probe = idle_probe();
    probe["protocol"] = settings["protocol"].clone();
    Document::new().serve(port, &[local(backend)], ("idle", probe), settings)
}

/// A TLS backend that says under which name it was asked.
struct TlsBackend {
    listener: TcpListener,
    config: Arc<ServerConfig>,
}

impl TlsBackend {
    async fn open(stage: &Stage) -> Result<Self> {
        Ok(Self {
            listener: TcpListener::bind("127.0.0.1:0").await?,
            config: stage.certificates.server()?,
        })
    }

    fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// The next connection, behind its TLS handshake, and the name that it asked for.
    async fn accept(&self) -> Result<(Option<String>, TlsStream<TcpStream>)> {
        let (tcp, _) = self.listener.accept().await?;
        let shaken = async {
            let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await?;
            let name = start.client_hello().server_name().map(str::to_owned);
            let stream = start.into_stream(Arc::clone(&self.config)).await?;
            Ok((name, stream))
        };
        match tokio::time::timeout(PATIENCE, shaken).await {
            Ok(shaken) => shaken,
            Err(_) => bail!("no TLS came"),
        }
    }
}
