//! The WebSocket side: the handshake's answer, and the echo.

use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

use crate::backend::Shared;

/// The subprotocols that a backend speaks, in the order of its preference.
const PROTOCOLS: [&str; 2] = ["chat", "superchat"];

/// What each open WebSocket holds, in bytes. Scenarios open ten thousand of them; tungstenite's own
/// 128 KiB each would be more than a gigabyte.
const READ_BUFFER: usize = 16 * 1024;

/// What a client's handshake asks for.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// The answer to the client's key (RFC 6455 section 4.2.2 (5.4)).
    pub(crate) accept: String,
    /// The subprotocol that both speak.
    pub(crate) protocol: Option<&'static str>,
    path: String,
}

impl Handshake {
    /// The handshake that `head` is. Lenient: judging clients is the gateway's business.
    pub(crate) fn read(head: &request::Parts) -> Option<Self> {
        if !tokens(&head.headers, "upgrade").any(|token| token.eq_ignore_ascii_case("websocket")) {
            return None;
        }
        let key = head.headers.get("sec-websocket-key")?;
        let offered: Vec<&str> = tokens(&head.headers, "sec-websocket-protocol").collect();
        Some(Self {
            accept: derive_accept_key(key.as_bytes()),
            protocol: PROTOCOLS.into_iter().find(|name| offered.contains(name)),
            path: head.uri.path().to_owned(),
        })
    }

    /// The 101 (RFC 6455 section 4.2.2). `port` is said where the backend has several.
    pub(crate) fn response(&self, name: &str, port: Option<u16>) -> String {
        let protocol = self.protocol.map_or_else(String::new, |protocol| {
            format!("Sec-WebSocket-Protocol: {protocol}\r\n")
        });
        let port = port.map_or_else(String::new, |port| format!("X-Backend-Port: {port}\r\n"));
        format!(
            "HTTP/1.1 101 Switching Protocols\r\n\
             Upgrade: websocket\r\n\
             Connection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\
             {protocol}\
             {port}\
             X-Backend: {name}\r\n\r\n",
            self.accept,
        )
    }

    /// Everything but `/echo` is greeted with the backend's name.
    fn is_greeted(&self) -> bool {
        self.path != "/echo"
    }

    /// `/close/CODE` is closed by the backend at once.
    fn close_code(&self) -> Option<CloseCode> {
        let code = self.path.strip_prefix("/close/")?.parse::<u16>().ok()?;
        Some(CloseCode::from(code))
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Echoes every message until either side closes. `read_ahead` came with the handshake.
pub(crate) async fn echo<I>(shared: &Shared, io: I, read_ahead: Vec<u8>, handshake: &Handshake)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let mut socket =
        WebSocketStream::from_partially_read(io, read_ahead, Role::Server, Some(config)).await;
    // What goes wrong here is the peer's leaving; there is nobody to tell.
    let _ = converse(shared, &mut socket, handshake, &shared.stop).await;
}

async fn converse<I>(
    shared: &Shared,
    socket: &mut WebSocketStream<I>,
    handshake: &Handshake,
    stop: &CancellationToken,
) -> Result<(), tokio_tungstenite::tungstenite::Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    if handshake.is_greeted() {
        socket
            .send(Message::text(format!("hello from {}", shared.name)))
            .await?;
    }
    if let Some(code) = handshake.close_code() {
        socket.close(Some(close(code))).await?;
    }
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    loop {
        let message = tokio::select! {
            biased;
            message = socket.next() => message,
            () = &mut stopped => return socket.close(Some(close(CloseCode::Away))).await,
        };
        match message.transpose()? {
            Some(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).await?,
            // tungstenite answers pings and closes on its own.
            Some(_) => {}
            None => return Ok(()),
        }
    }
}

fn close(code: CloseCode) -> CloseFrame {
    CloseFrame {
        code,
        reason: Default::default(),
    }
}
