//! Servers and clients of other people, as they come from Debian: nginx, `websockets` of Python, `ws` of
//! Node. What they agree on with each other, the gateway neither sees nor spoils.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{is_closed, scenario};
use crate::harness::NotHere;
use crate::harness::containers::{Container, Containers, Image, Order, SERVER_PORT};
use crate::harness::document::{Document, plain_settings, quick_probe};
use crate::harness::gateway::Gateway;
use crate::harness::ports::free_port;
use crate::harness::site::{handshake, wait_for_health};
use crate::harness::wire::{Answer, Wire};
use crate::scenario::{Scenario, Stage, Told};

/// An interpreter on a busy machine takes its time, and the probe then needs one more turn.
const START: Duration = Duration::from_secs(20);

/// Python and Node, as servers.
const WEBSOCKETS: [(&str, Image); 2] = [("Python", Image::Python), ("Node", Image::Node)];
/// The same as clients: what to call them with.
const CLIENTS: [(Image, &str); 2] = [
    (Image::Python, "/srv/client.py"),
    (Image::Node, "/srv/client.js"),
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let nginx = server(
        "nginx: files whole, in part, compressed, not modified",
        "RFC 9110",
        Image::Nginx,
        serves_files,
    );
    let websockets = WEBSOCKETS.into_iter().flat_map(|(name, image)| {
        [
            server(
                &format!("{name}: messages, subprotocol and Close pass"),
                "RFC 6455 1.9, 7.4",
                image,
                converses,
            ),
            server(
                &format!("{name}: permessage-deflate with clients of Python and Node"),
                "RFC 6455 9, RFC 7692",
                image,
                compresses,
            ),
            server(
                &format!("{name}: when it is stopped, its clients get 1001"),
                "RFC 6455 7.4.1",
                image,
                says_goodbye,
            ),
        ]
    });
    [nginx].into_iter().chain(websockets).collect()
}

/// A gateway before one server.
struct Front<'a> {
    containers: &'a Containers,
    gateway: Gateway,
    server: Container,
    address: SocketAddr,
}

fn server(
    name: &str,
    clause: &'static str,
    image: Image,
    tell: impl AsyncFn(&Front<'_>) -> Result<()> + Copy + 'static,
) -> Scenario {
    scenario(name, clause, move |stage: Stage| async move {
        let containers = stage.backends.containers();
        let containers = containers.ok_or(NotHere::Containers("start other people's servers"))?;
        let server = containers.start(image, |_| leaving()).await?;
        let port = free_port()?;
        let backend = SocketAddr::from((server.address, SERVER_PORT));
        let document = Document::new().serve(
            port,
            &[backend],
            ("quick", quick_probe()),
            plain_settings("quick"),
        );
        let front = Front {
            gateway: Gateway::with_file(&stage.programs, document).await?,
            containers,
            server,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        wait_for_health(&front.gateway, SERVER_PORT, "Up", START).await?;
        tell(&front).await?;
        Ok(Told::Whole)
    })
}

/// Some of them are stopped.
fn leaving() -> Order {
    Order {
        leaves: true,
        ..Order::default()
    }
}

/// One connection, one request after another, each with what nginx makes of it.
async fn serves_files(front: &Front<'_>) -> Result<()> {
    let mut wire = Wire::plain(front.address).await?;
    let mut get = async |fields: &str| -> Result<Answer> {
        let head = format!("GET /megabyte.txt HTTP/1.1\r\nHost: gateway.test\r\n{fields}\r\n");
        wire.send(head.as_bytes()).await?;
        wire.answer(false).await?.context("no answer")
    };
    let whole = get("").await?;
    ensure!(
        whole.status == 200 && whole.broken.is_none(),
        "{}",
        whole.status
    );
    ensure!(
        whole.body == b"0123456789abcde\n".repeat(65_536),
        "not the file"
    );

    let part = get("Range: bytes=16-31\r\n").await?;
    ensure!(part.status == 206, "a range: {}", part.status);
    ensure!(
        part.body == b"0123456789abcde\n",
        "not the range: {}",
        part.text()
    );

    let etag = whole.values("etag").concat();
    let same = get(&format!("If-None-Match: {etag}\r\n")).await?;
    ensure!(
        same.status == 304,
        "with its own ETag {etag}: {}",
        same.status
    );

    let packed = get("Accept-Encoding: gzip\r\n").await?;
    ensure!(
        packed.values("content-encoding") == ["gzip"],
        "{:?}",
        packed.fields
    );
    ensure!(
        packed.broken.is_none() && packed.body.starts_with(&[0x1f, 0x8b]),
        "no gzip"
    );
    ensure!(packed.body.len() < 10_000, "{} bytes", packed.body.len());
    Ok(())
}

async fn converses(front: &Front<'_>) -> Result<()> {
    let mut request = format!("ws://{}/", front.address).into_client_request()?;
    let offered = "superchat, chat".parse()?;
    request
        .headers_mut()
        .insert("sec-websocket-protocol", offered);
    let tcp = TcpStream::connect(front.address).await?;
    let (mut socket, response) = tokio_tungstenite::client_async(request, tcp).await?;
    let chosen = response.headers().get("sec-websocket-protocol");
    ensure!(
        chosen.is_some_and(|chosen| chosen == "chat"),
        "{response:?}"
    );
    for length in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
        for message in [
            Message::text("x".repeat(length)),
            Message::binary(vec![7; length]),
        ] {
            socket.send(message.clone()).await?;
            let echo = socket.next().await.context("the end came too early")??;
            ensure!(echo == message, "{length} bytes are not what was sent");
        }
    }

    let tcp = TcpStream::connect(front.address).await?;
    let url = format!("ws://{}/close/4001", front.address);
    let (mut socket, _) = tokio_tungstenite::client_async(url, tcp).await?;
    let message = socket.next().await.context("no Close")??;
    let Message::Close(Some(close)) = &message else {
        anyhow::bail!("{message:?} instead of Close");
    };
    let expected = (CloseCode::from(4001), "as asked");
    ensure!((close.code, close.reason.as_str()) == expected, "{close:?}");
    Ok(())
}

/// Both ends are real: each client offers compression, sees it accepted, and gets back what it sent.
async fn compresses(front: &Front<'_>) -> Result<()> {
    let url = format!("ws://{}/", front.address);
    for (image, program) in CLIENTS {
        let said = front
            .containers
            .run_to_end(image, &[program, &url], "host")
            .await?;
        ensure!(said == "done", "{program} says {said:?}");
    }
    Ok(())
}

async fn says_goodbye(front: &Front<'_>) -> Result<()> {
    let (mut wire, answer): (Wire, Answer) = handshake(front.address, "/").await?;
    ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
    tokio::try_join!(front.server.stop(), is_closed(&mut wire, 1001))?;
    Ok(())
}
