//! Answers that hyper would not write: a connection taken over, byte by byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::backend::Shared;
use crate::faults::{AnswerFault, UpgradeFault};
use crate::websocket::{self, Handshake};

/// A client's connection, plain or TLS.
pub(crate) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// What is done with a connection that hyper gave back.
#[derive(Debug)]
pub(crate) enum Takeover {
    /// A WebSocket opens.
    WebSocket(Handshake),
    /// A handshake is answered wrongly.
    WrongUpgrade(UpgradeFault, Handshake),
    /// A request is answered wrongly.
    WrongAnswer(AnswerFault),
    /// 103 before the final answer.
    EarlyHints,
}

/// Serves `stream` to its end. `read_ahead` are the bytes that hyper read beyond the request; `port` is
/// where it came in, if that is to be said.
pub(crate) async fn take_over(
    shared: &Shared,
    mut stream: Stream,
    read_ahead: Vec<u8>,
    takeover: Takeover,
    port: Option<u16>,
) {
    match takeover {
        Takeover::WebSocket(handshake) => {
            let head = handshake.response(&shared.name, port);
            if stream.write_all(head.as_bytes()).await.is_ok() {
                websocket::echo(shared, stream, read_ahead, &handshake).await;
            }
        }
        Takeover::WrongUpgrade(UpgradeFault::Hang, _) => {
            hang(shared, stream, |set| set.upgrade != UpgradeFault::Hang).await;
        }
        Takeover::WrongAnswer(AnswerFault::Hang) => {
            let ended = |set: &crate::FaultSet| {
                set.answer != AnswerFault::Hang && set.health.mode != AnswerFault::Hang
            };
            hang(shared, stream, ended).await;
        }
        Takeover::WrongUpgrade(UpgradeFault::Reset, _)
        | Takeover::WrongAnswer(AnswerFault::Reset) => reset(&stream),
        Takeover::WrongUpgrade(fault, handshake) => {
            write_and_close(stream, wrong_upgrade(fault, &handshake, &shared.name)).await;
        }
        Takeover::WrongAnswer(fault) => {
            write_and_close(stream, wrong_answer(fault, &shared.name)).await;
        }
        Takeover::EarlyHints => write_and_close(stream, early_hints(&shared.name)).await,
    }
}

fn wrong_upgrade(fault: UpgradeFault, handshake: &Handshake, name: &str) -> String {
    let right = handshake.response(name, None);
    let accept = format!("Sec-WebSocket-Accept: {}\r\n", handshake.accept);
    match fault {
        UpgradeFault::WrongAccept => {
            right.replace(&handshake.accept, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        }
        UpgradeFault::NoAccept => right.replace(&accept, ""),
        UpgradeFault::WrongProtocol => right.replace(
            &accept,
            &format!("{accept}Sec-WebSocket-Protocol: not-offered\r\n"),
        ),
        UpgradeFault::NoUpgrade => right.replace("Upgrade: websocket\r\n", ""),
        UpgradeFault::OtherUpgrade => right.replace("Upgrade: websocket", "Upgrade: h2c"),
        UpgradeFault::NoConnection => right.replace("Connection: Upgrade\r\n", ""),
        UpgradeFault::RefusedWithExtraBytes => format!(
            "HTTP/1.1 403 Forbidden\r\nX-Backend: {name}\r\nContent-Length: 3\r\n\r\nno\n{UNASKED}"
        ),
        UpgradeFault::Refused => format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"{name}\"\r\n\
             X-Backend: {name}\r\nContent-Length: 3\r\n\r\nno\n"
        ),
        UpgradeFault::HalfHead => right[..right.len() / 2].to_owned(),
        UpgradeFault::None | UpgradeFault::Hang | UpgradeFault::Reset => String::new(),
    }
}

/// An answer that no request asked for.
const UNASKED: &str = "HTTP/1.1 200 OK\r\nX-Backend: unasked\r\nContent-Length: 8\r\n\r\nunasked\n";

fn wrong_answer(fault: AnswerFault, name: &str) -> String {
    let head = format!("HTTP/1.1 200 OK\r\nX-Backend: {name}\r\n");
    match fault {
        AnswerFault::Garbage => "\u{1}\u{2}\u{3} this is not HTTP\r\n\r\n".to_owned(),
        AnswerFault::Truncated => format!("{head}Content-Length: 100\r\n\r\ntruncated\n"),
        AnswerFault::TruncatedChunked => {
            format!("{head}Transfer-Encoding: chunked\r\n\r\na\r\ntruncated\n\r\n")
        }
        AnswerFault::ExtraBytes => format!("{head}Content-Length: 6\r\n\r\nasked\n{UNASKED}"),
        AnswerFault::UnaskedSwitch => {
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
                .to_owned()
        }
        AnswerFault::None | AnswerFault::Hang | AnswerFault::Reset | AnswerFault::Empty => {
            String::new()
        }
    }
}

fn early_hints(name: &str) -> String {
    format!(
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\nX-Backend: {name}\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhints\n"
    )
}

/// The peer gets the bytes even where it has sent some that nobody reads: closing at once would
/// reset the connection.
const LINGER: Duration = Duration::from_secs(1);

async fn write_and_close(mut stream: Stream, bytes: String) {
    let written = stream.write_all(bytes.as_bytes()).await;
    if written.is_ok() && stream.shutdown().await.is_ok() {
        let _ = tokio::time::timeout(LINGER, read_to_end(&mut stream)).await;
    }
}

async fn hang(shared: &Shared, mut stream: Stream, ended: impl FnMut(&crate::FaultSet) -> bool) {
    tokio::select! {
        () = shared.faults.until(ended) => {}
        () = read_to_end(&mut stream) => {}
        () = shared.stop.cancelled() => {}
    }
}

async fn read_to_end(stream: &mut Stream) {
    let mut scratch = [0; 4096];
    while matches!(stream.read(&mut scratch).await, Ok(1..)) {}
}

fn reset(stream: &Stream) {
    let tcp = match stream {
        Either::Left(tcp) => tcp,
        Either::Right(tls) => tls.get_ref().0,
    };
    // Closing a socket that lingers for no time sends RST. The drop that follows closes it.
    let _ = tcp.set_zero_linger();
}
