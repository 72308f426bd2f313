//! The end of a client's connection.

use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::driver::Ended;
use crate::client_io::ClientIo;
use crate::error;

/// What the client may still send after our last word, and how long: closing at once would reset
/// the connection, and take the answer from it (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// What a client is told that did not bring its request's head.
const HEAD_TIMEOUT: &str = "the request's head did not arrive in time";

/// Says the last word and closes in a way that lets the client hear it.
pub(super) async fn close(io: ClientIo, ended: Ended, reset: bool) {
    let quiet = io.is_quiet();
    let client_ended = io.has_ended();
    let mut stream = io.into_stream();
    if reset || matches!(ended, Ended::BrokenOff { answered: true }) {
        // An HTTP/1.0 client takes a FIN for the end of its answer.
        let _ = socket2::SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO));
        return;
    }
    let last_word = match ended {
        Ended::HeadTimeout if quiet => last_word(StatusCode::REQUEST_TIMEOUT, HEAD_TIMEOUT),
        Ended::BrokenOff { .. } if quiet => {
            last_word(StatusCode::SERVICE_UNAVAILABLE, error::TAKEN_OUT)
        }
        Ended::HeadTimeout
        | Ended::BrokenOff { .. }
        | Ended::Closed
        | Ended::Broken
        | Ended::Idle
        | Ended::MakesRoom => String::new(),
    };
    // The client has had its answers long ago, and somebody waits.
    let lingers = !client_ended && !matches!(ended, Ended::MakesRoom);
    let closing = async {
        stream.write_all(last_word.as_bytes()).await?;
        stream.shutdown().await?;
        let mut left = LINGER_BYTES;
        let mut scratch = [0; 4096];
        while lingers && left > 0 {
            match stream.read(&mut scratch).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    // Whatever goes wrong here, the connection is over.
    let _ = tokio::time::timeout(LINGER_TIME, closing).await;
}

/// An answer that hyper has no part in.
fn last_word(status: StatusCode, reason: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{reason}\n",
        reason.len() + 1
    )
}
