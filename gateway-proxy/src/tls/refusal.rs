//! Last words to a client that gets no TLS connection, said so that the client reads them.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long, and for how many bytes, a refused client is listened to.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 256 * 1024;

const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 60\r\n\
    Connection: close\r\n\
    \r\n\
    This port speaks HTTPS, and the request came in plain HTTP.\n";

/// Tells a client that it has taken a TLS port for a plain one.
pub(super) async fn answer_plain_http(stream: TcpStream) {
    send_and_linger(stream, PLAIN_HTTP_ANSWER).await;
}

/// A fatal alert, not encrypted (RFC 8446 section 6): `unrecognized_name` (RFC 6066 section 3), or
/// `missing_extension` for a client that names no server where one is required (RFC 8446
/// section 9.2).
pub(super) fn name_alert(named: bool) -> [u8; 7] {
    const ALERT_RECORD: u8 = 21;
    const FATAL: u8 = 2;
    const MISSING_EXTENSION: u8 = 109;
    const UNRECOGNIZED_NAME: u8 = 112;
    let description = if named {
        UNRECOGNIZED_NAME
    } else {
        MISSING_EXTENSION
    };
    [ALERT_RECORD, 3, 3, 0, 2, FATAL, description]
}

/// Sends `words`, then closes in a way that lets them arrive: a socket closed with bytes unread
/// resets the connection, and a reset overtakes what was sent.
pub(super) async fn send_and_linger(mut stream: TcpStream, words: &[u8]) {
    let farewell = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        let mut rest = (&mut stream).take(LINGER_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whether the client listens is its own affair.
    let _ = timeout(LINGER, farewell).await;
}
