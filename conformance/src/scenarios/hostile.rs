//! Hostile input, from clients and from backends: each gets the RFC's answer or a clean close, and
//! the backend never sees two requests where the client sent one.

mod backends;
mod framing;

use std::time::Duration;

use super::http::request;
use super::rows::{Row, SOON, row};
use crate::harness::front::CLIENT_TIMEOUT;
use crate::scenario::{Saw, Scenario, Step, Transport};

const GROUP: &str = "hostile";

/// What a smuggler hides behind a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let requests = framing::rows()
        .chain(lines())
        .chain(targets())
        .chain(connection_options());
    let rows = requests
        .chain(slow().map(Row::ours))
        .chain(backends::rows());
    rows.map(|row| row.into_scenario(GROUP)).collect()
}

/// 400, and the backend is never asked.
fn refused(clause: &'static str, name: &'static str, bytes: impl AsRef<[u8]>) -> Row {
    row(clause, name).send(bytes).answer(&[400]).unseen()
}

/// Either way is the RFC's; two requests are not.
fn tolerated(clause: &'static str, name: &'static str, bytes: impl AsRef<[u8]>) -> Row {
    row(clause, name)
        .send(bytes)
        .step(Step::AnswerOrEnd(&[200, 400]))
        .saw(Saw::AtMost(1))
}

fn post(fields: &[&str], body: &str) -> String {
    request("POST /", fields, body)
}

fn lines() -> impl Iterator<Item = Row> {
    let field = |clause, name, line: &str| refused(clause, name, request("GET /", &[line], ""));
    [
        tolerated("RFC 9112 2.2", "bare LF", "GET / HTTP/1.1\nHost: gateway.test\n\n"),
        tolerated(
            "RFC 9112 2.2",
            "bare LF hides a field",
            "GET / HTTP/1.1\r\nHost: gateway.test\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        field("RFC 9112 2.2", "a bare CR in a value", "X: a\rb"),
        field("RFC 9112 2.2", "a bare CR hides a length", "X: a\rContent-Length: 5"),
        field("RFC 9110 5.5", "a NUL in a value", "X: a\0b").ours(),
        tolerated(
            "RFC 9110 5.5",
            "a NUL in a value does not get through",
            request("GET /", &["X: a\0b"], ""),
        ),
        field("RFC 9110 5.1", "a NUL in a name", "X\0Y: a"),
        field("RFC 9112 5.2", "a folded line", "X: a\r\n b").ours(),
        tolerated(
            "RFC 9112 5.2",
            "a folded line does not get through",
            request("GET /", &["X: a\r\n b"], ""),
        ),
        field("RFC 9112 5.1", "a space before the colon", "X : a"),
        field("RFC 9112 5.1", "a tab before the colon", "X\t: a"),
        field("RFC 9112 5", "no colon", "no colon here"),
        field("RFC 9112 5", "no name", ": value"),
        field("RFC 9110 5.1", "a name that is no token", "X(Y): a").ours(),
        refused(
            "RFC 9112 2.2",
            "white space before the first field",
            "GET / HTTP/1.1\r\n Host: gateway.test\r\nHost: gateway.test\r\n\r\n",
        ),
        row("RFC 9112 2.2", "an empty line before the request")
            .send(["\r\n", &request("GET /", &[], "")].concat())
            .answer(&[200])
            .saw(Saw::Requests(1)),
        row("RFC 6585 5", "a field that is too long")
            .send(request("GET /", &[&format!("X: {}", "a".repeat(40_000))], ""))
            .answer(&[431])
            .ends()
            .unseen()
            .ours(),
        row("RFC 6585 5", "too many fields")
            .send(request("GET /", &["X: a"; 2000], ""))
            .answer(&[431])
            .ends()
            .unseen()
            .ours(),
        row("RFC 9110 15.5.15", "a target that is too long")
            .send(request(&format!("GET /{}", "a".repeat(40_000)), &[], ""))
            .answer(&[414, 431])
            .ends()
            .unseen(),
        row("RFC 9112 9.6", "a refused request ends the connection")
            .send([request("GET /", &["X : a"], ""), SMUGGLED.to_owned()].concat())
            .answer(&[400])
            .ends()
            .unseen(),
    ]
    .into_iter()
}

fn targets() -> impl Iterator<Item = Row> {
    let head = |clause, name, head: &str| refused(clause, name, format!("{head}\r\n\r\n"));
    let unclear = |clause, name, head: &str| {
        row(clause, name)
            .send(format!("{head}\r\n\r\n"))
            .step(Step::AnswerOrEnd(&[400, 505]))
            .unseen()
    };
    [
        head("RFC 9112 3.2", "no Host", "GET / HTTP/1.1"),
        head(
            "RFC 9112 3.2",
            "two Hosts",
            "GET / HTTP/1.1\r\nHost: gateway.test\r\nHost: other.test",
        ),
        head(
            "RFC 9112 3.2",
            "the same Host twice",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a",
        ),
        head("RFC 9110 7.2", "an empty Host", "GET / HTTP/1.1\r\nHost:"),
        head(
            "RFC 9110 7.2",
            "a Host with a space",
            "GET / HTTP/1.1\r\nHost: a b",
        ),
        head(
            "RFC 9110 7.2",
            "a Host with a path",
            "GET / HTTP/1.1\r\nHost: gateway.test/x",
        ),
        head(
            "RFC 9110 7.2",
            "a Host with a user",
            "GET / HTTP/1.1\r\nHost: user@gateway.test",
        ),
        head(
            "RFC 9110 7.2",
            "a Host with two names",
            "GET / HTTP/1.1\r\nHost: a, b",
        ),
        tolerated(
            "RFC 9112 3.2",
            "no Host from HTTP/1.0",
            "GET / HTTP/1.0\r\n\r\n",
        ),
        unclear("RFC 1945 4.1", "HTTP/0.9", "GET /").ours(),
        unclear(
            "RFC 9112 2.3",
            "an unknown major version",
            "GET / HTTP/2.0\r\nHost: gateway.test",
        )
        .ours(),
        unclear(
            "RFC 9113 3.4",
            "HTTP/2 with prior knowledge",
            "PRI * HTTP/2.0\r\n\r\nSM",
        )
        .ours(),
        unclear(
            "RFC 9112 2.3",
            "a version in lower case",
            "GET / http/1.1\r\nHost: gateway.test",
        ),
        unclear(
            "RFC 9112 3",
            "a target with a space",
            "GET /a b HTTP/1.1\r\nHost: gateway.test",
        ),
        unclear(
            "RFC 9112 3",
            "a target with a control byte",
            "GET /a\u{1}b HTTP/1.1\r\nHost: a",
        ),
        unclear(
            "RFC 9112 3",
            "no target",
            "GET  HTTP/1.1\r\nHost: gateway.test",
        ),
        unclear(
            "RFC 9112 3.2",
            "a target that is no path",
            "GET a/b HTTP/1.1\r\nHost: gateway.test",
        ),
        row("RFC 9110 9.3.6", "CONNECT")
            .send("CONNECT gateway.test:443 HTTP/1.1\r\nHost: gateway.test:443\r\n\r\n")
            .step(Step::AnswerOrEnd(&[400, 405, 501]))
            .unseen()
            .ours(),
        row("RFC 9110 15.5.1", "plain HTTP on a TLS port")
            .over(Transport::PlainToTls)
            .send(request("GET /", &[], ""))
            .answer(&[400])
            .ends()
            .unseen()
            .ours(),
        row("RFC 8446 6.2", "garbage on a TLS port")
            .over(Transport::PlainToTls)
            .send([0, 1, 2, 3, 4, 5, 6, 7])
            .step(Step::Finish)
            .unseen(),
    ]
    .into_iter()
}

/// `Connection` and `Upgrade` are the client's word about one hop, never about framing.
fn connection_options() -> impl Iterator<Item = Row> {
    [
        row("RFC 9110 7.6.1", "Connection never strips the length")
            .send(post(
                &["Connection: close, content-length", "Content-Length: 5"],
                "hello",
            ))
            .answer(&[200])
            .saw(Saw::Requests(1))
            .saw(Saw::Body(b"hello")),
        row("RFC 9110 7.6.1", "Connection never strips the coding")
            .send(post(
                &[
                    "Connection: close, transfer-encoding",
                    "Transfer-Encoding: chunked",
                ],
                "5\r\nhello\r\n0\r\n\r\n",
            ))
            .answer(&[200])
            .saw(Saw::Requests(1))
            .saw(Saw::Body(b"hello")),
        row("RFC 9110 7.6.1", "Connection never strips Host")
            .send(request("GET /", &["Connection: close, host"], ""))
            .answer(&[200])
            .saw(Saw::Field("host", "gateway.test")),
        row(
            "RFC 9110 7.6.1",
            "Connection never strips the forwarding fields",
        )
        .send(request(
            "GET /",
            &["Connection: close, x-forwarded-for, x-forwarded-proto"],
            "",
        ))
        .answer(&[200])
        .saw(Saw::Field("x-forwarded-proto", "http"))
        .saw(Saw::LastEntry("x-forwarded-for", "127.0.0.1:"))
        .ours(),
        row("RFC 9113 3.1", "Upgrade: h2c goes on as plain HTTP")
            .send(request(
                "GET /",
                &[
                    "Connection: Upgrade, HTTP2-Settings",
                    "Upgrade: h2c",
                    "HTTP2-Settings: AAMAAABk",
                ],
                "",
            ))
            .answer(&[200])
            .no_field("upgrade")
            .saw(Saw::NoField("upgrade"))
            .saw(Saw::NoField("http2-settings"))
            .ours(),
        row(
            "RFC 9110 7.8",
            "a refused upgrade token goes on with its body",
        )
        .send(post(
            &["Connection: Upgrade", "Upgrade: h2c", "Content-Length: 5"],
            "hello",
        ))
        .answer(&[200])
        .saw(Saw::Body(b"hello")),
    ]
    .into_iter()
}

/// Clients that take their time.
fn slow() -> impl Iterator<Item = Row> {
    const LIMIT: Duration = CLIENT_TIMEOUT.saturating_add(SOON);
    let drip = |bytes: String| Step::Trickle {
        bytes: bytes.into_bytes(),
        // Longer than the time-out altogether, many times shorter from byte to byte.
        every: Duration::from_millis(250),
    };
    [
        row("RFC 9110 15.5.9", "a head byte by byte is cut off")
            .step(drip("GET /slow HTTP/1.1\r\nHost".to_owned()))
            .step(Step::AnswerOrEnd(&[408]))
            .unseen()
            .slow(),
        row("RFC 9110 15.5.9", "half a head and silence is cut off")
            .send("GET / HTTP/1.1\r\nHost: gate")
            .answer(&[408])
            .ends()
            .unseen()
            .slow(),
        row("RFC 9110 15.5.9", "half a body and silence is cut off")
            .send(post(&["Content-Length: 10"], "hello"))
            .step(Step::AnswerOrEnd(&[408, 400]))
            .unseen()
            .slow(),
        row("RFC 8446", "a TLS handshake that does not begin is cut off")
            .over(Transport::PlainToTls)
            .step(Step::Ends(LIMIT))
            .unseen()
            .slow(),
        row("RFC 8446", "half a TLS handshake is cut off")
            .over(Transport::PlainToTls)
            .send([0x16, 0x03, 0x01, 0x02, 0x00])
            .step(Step::Ends(LIMIT))
            .unseen()
            .slow(),
    ]
    .into_iter()
}
