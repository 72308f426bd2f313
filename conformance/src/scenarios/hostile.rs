//! Hostile input, from clients and from backends: each gets the RFC's answer or a clean close, and
//! the backend never sees two requests where the client sent one.

use std::time::Duration;

use super::http::request;
use super::rows::{Row, SOON, row};
use crate::harness::recorder::Then;
use crate::scenario::{Saw, Scenario, Step, Transport};
use crate::wire_case::CLIENT_TIMEOUT;

const GROUP: &str = "hostile";

/// What a smuggler hides behind a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let rows = lengths()
        .chain(codings())
        .chain(chunks())
        .chain(lines())
        .chain(targets());
    let rows = rows
        .chain(connection_options())
        .chain(answers())
        .chain(retries())
        .chain(slow());
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

fn lengths() -> impl Iterator<Item = Row> {
    let bad = |name, value: &str| {
        refused(
            "RFC 9112 6.3 (5)",
            name,
            post(&[&format!("Content-Length: {value}")], "hello"),
        )
    };
    [
        refused(
            "RFC 9112 6.3 (5)",
            "two lengths that differ",
            post(&["Content-Length: 5", "Content-Length: 6"], "hello!"),
        ),
        bad("a list of lengths that differ", "5, 6"),
        tolerated(
            "RFC 9112 6.3 (5)",
            "the same length twice",
            post(&["Content-Length: 5", "Content-Length: 5"], "hello"),
        ),
        bad("a length with a sign", "+5"),
        bad("a negative length", "-5"),
        bad("a hexadecimal length", "0x5"),
        bad("a length with a space in it", "5 5"),
        bad("an empty length", ""),
        bad("a length beyond 64 bits", "18446744073709551621"),
        bad("a length that is no number", "five"),
        row("RFC 9112 6.1", "a length and chunks: CL.TE")
            .send(post(
                &["Content-Length: 60", "Transfer-Encoding: chunked"],
                &format!("0\r\n\r\n{SMUGGLED}"),
            ))
            .step(Step::AnswerOrEnd(&[200, 400]))
            .ends()
            .saw(Saw::AtMost(1)),
        row("RFC 9112 6.1", "chunks and a length: TE.CL")
            .send(post(
                &["Transfer-Encoding: chunked", "Content-Length: 4"],
                &format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len()),
            ))
            .step(Step::AnswerOrEnd(&[200, 400]))
            .ends()
            .saw(Saw::AtMost(1)),
        row("RFC 9112 6.3", "a body that ends too early")
            .send(post(&["Content-Length: 10"], "hello"))
            .step(Step::Finish)
            .step(Step::AnswerOrEnd(&[400, 408]))
            .unseen(),
    ]
    .into_iter()
}

fn codings() -> impl Iterator<Item = Row> {
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let bad = move |name, field: &str| refused("RFC 9112 6.1", name, post(&[field], body));
    [
        row("RFC 9112 7", "chunked compares without case")
            .send(post(&["Transfer-Encoding: CHUNKED"], body))
            .answer(&[200])
            .saw(Saw::Body(b"hello")),
        bad("an unknown coding", "Transfer-Encoding: xchunked"),
        bad("identity", "Transfer-Encoding: identity"),
        bad("gzip alone", "Transfer-Encoding: gzip"),
        bad("gzip before chunked", "Transfer-Encoding: gzip, chunked"),
        bad(
            "chunked is not last",
            "Transfer-Encoding: chunked, identity",
        ),
        bad("chunked twice", "Transfer-Encoding: chunked, chunked"),
        bad(
            "two lines of codings",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        ),
        bad(
            "a vertical tab before the coding",
            "Transfer-Encoding: \u{b}chunked",
        ),
        bad("a quoted coding", "Transfer-Encoding: \"chunked\""),
        bad("an empty coding", "Transfer-Encoding:"),
        bad("a folded coding", "Transfer-Encoding:\r\n chunked"),
        bad("a space before the colon", "Transfer-Encoding : chunked"),
        bad("a NUL after the coding", "Transfer-Encoding: chunked\0"),
        refused(
            "RFC 9112 6.1",
            "a coding from HTTP/1.0",
            post(&["Transfer-Encoding: chunked"], body).replace("HTTP/1.1", "HTTP/1.0"),
        ),
    ]
    .into_iter()
}

fn chunks() -> impl Iterator<Item = Row> {
    let bad = |name, body: &str| {
        row("RFC 9112 7.1", name)
            .send(post(&["Transfer-Encoding: chunked"], body))
            .step(Step::AnswerOrEnd(&[400]))
            .unseen()
    };
    let odd = |name, body: &str| {
        tolerated(
            "RFC 9112 7.1",
            name,
            post(&["Transfer-Encoding: chunked"], body),
        )
    };
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(100_000));
    [
        bad("a chunk size that is no number", "g\r\nhello\r\n0\r\n\r\n"),
        bad("a negative chunk size", "-5\r\nhello\r\n0\r\n\r\n"),
        bad("a chunk size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
        bad(
            "a chunk size beyond 64 bits",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
        ),
        bad("an empty chunk size", "\r\nhello\r\n0\r\n\r\n"),
        bad("a chunk longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
        bad("a bare CR after the size", "5\rhello\r\n0\r\n\r\n"),
        odd("bare LF between chunks", "5\nhello\n0\n\n"),
        odd("a space after the size", "5 \r\nhello\r\n0\r\n\r\n"),
        odd(
            "LF inside an extension",
            &format!("5;a\nb\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        )
        .saw(Saw::AtMost(1)),
        row("RFC 9112 7.1.1", "an extension without end")
            .send(post(&["Transfer-Encoding: chunked"], &extension))
            .step(Step::AnswerOrEnd(&[200, 400, 413]))
            .saw(Saw::AtMost(1)),
        row("RFC 9112 7.1", "a chunked body that ends too early")
            .send(post(&["Transfer-Encoding: chunked"], "5\r\nhello\r\n"))
            .step(Step::Finish)
            .step(Step::AnswerOrEnd(&[400, 408]))
            .unseen(),
    ]
    .into_iter()
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
        field("RFC 9110 5.5", "a NUL in a value", "X: a\0b"),
        field("RFC 9110 5.1", "a NUL in a name", "X\0Y: a"),
        field("RFC 9112 5.2", "a folded line", "X: a\r\n b"),
        field("RFC 9112 5.1", "a space before the colon", "X : a"),
        field("RFC 9112 5.1", "a tab before the colon", "X\t: a"),
        field("RFC 9112 5", "no colon", "no colon here"),
        field("RFC 9112 5", "no name", ": value"),
        field("RFC 9110 5.1", "a name that is no token", "X(Y): a"),
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
            .unseen(),
        row("RFC 6585 5", "too many fields")
            .send(request("GET /", &["X: a"; 2000], ""))
            .answer(&[431])
            .ends()
            .unseen(),
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
        unclear("RFC 1945 4.1", "HTTP/0.9", "GET /"),
        unclear(
            "RFC 9112 2.3",
            "an unknown major version",
            "GET / HTTP/2.0\r\nHost: gateway.test",
        ),
        unclear(
            "RFC 9113 3.4",
            "HTTP/2 with prior knowledge",
            "PRI * HTTP/2.0\r\n\r\nSM",
        ),
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
            .unseen(),
        row("RFC 9110 15.5.1", "plain HTTP on a TLS port")
            .over(Transport::PlainToTls)
            .send(request("GET /", &[], ""))
            .answer(&[400])
            .ends()
            .unseen(),
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
        .saw(Saw::LastEntry("x-forwarded-for", "127.0.0.1:")),
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
            .saw(Saw::NoField("http2-settings")),
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

/// What backends send.
fn answers() -> impl Iterator<Item = Row> {
    let get = || request("GET /", &[], "");
    let bad = move |clause, name, text: &str| {
        row(clause, name)
            .reply(text, Then::Close)
            .send(get())
            .answer(&[502])
            .saw(Saw::AtMost(2))
    };
    let torn = move |clause, name, text: &str, then| {
        row(clause, name)
            .reply(text, then)
            .send(get())
            .step(Step::BrokenAnswer(&[200, 502]))
            .saw(Saw::Requests(1))
    };
    let unasked = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked";
    [
        bad("RFC 9112 4", "an answer that is not HTTP", "this is not HTTP\r\n\r\n"),
        bad("RFC 9112 4", "an answer of another version", "HTTP/3.0 200 OK\r\n\r\n"),
        bad(
            "RFC 9112 6.3 (5)",
            "an answer with two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        ),
        bad(
            "RFC 9112 6.3 (5)",
            "an answer whose length is no number",
            "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
        ),
        bad(
            "RFC 9110 5.5",
            "an answer with a NUL",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
        ),
        bad("RFC 9112 8", "half a head", "HTTP/1.1 200 OK\r\nX-Half"),
        bad(
            "RFC 9110 15.2.2",
            "a 101 that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        ),
        torn(
            "RFC 9112 8",
            "a body shorter than its length",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
            Then::Close,
        ),
        torn(
            "RFC 9112 8",
            "a chunked answer without its end",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
            Then::Close,
        ),
        torn(
            "RFC 9112 8",
            "a chunked answer with a bad size",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
            Then::NextRequest,
        ),
        row("RFC 9112 9.6", "a second answer that nobody asked for is not used")
            .reply(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{unasked}"), Then::NextRequest)
            .send(get())
            .answer(&[200])
            .step(Step::Body("ok"))
            .saw(Saw::Requests(1)),
        row("RFC 9112 9.6", "bytes after a 204 are not used")
            .reply(format!("HTTP/1.1 204 No Content\r\n\r\n{unasked}"), Then::NextRequest)
            .send(get())
            .answer(&[204])
            .saw(Saw::Requests(1)),
        row("RFC 9112 9.6", "bytes after the answer to HEAD are not used")
            .reply(unasked, Then::NextRequest)
            .send(request("HEAD /", &[], ""))
            .step(Step::AnswerToHead(&[200]))
            .saw(Saw::Requests(1)),
        row("RFC 9112 6.3 (3)", "an answer with a length and chunks")
            .reply(
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                Then::Close,
            )
            .send(get())
            .step(Step::AnswerOrEnd(&[200, 502])),
    ]
    .into_iter()
}

/// What is asked again when a backend fails: nothing that could do harm twice.
fn retries() -> impl Iterator<Item = Row> {
    [
        row("RFC 9110 9.2.2", "a POST is never sent twice")
            .reply("", Then::Close)
            .send(post(&["Content-Length: 5"], "hello"))
            .answer(&[502])
            .saw(Saw::Requests(1)),
        row("RFC 9110 9.2.2", "a POST is not sent twice after a reset")
            .reply("", Then::Reset)
            .send(post(&["Content-Length: 5"], "hello"))
            .answer(&[502])
            .saw(Saw::Requests(1)),
        row("RFC 9110 9.2.2", "a GET is sent at most once more")
            .reply("", Then::Close)
            .send(request("GET /", &[], ""))
            .answer(&[502])
            .saw(Saw::AtMost(2)),
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
