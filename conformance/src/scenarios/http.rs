//! Plain HTTP through the gateway: what must pass, and how it is written anew.

use super::rows::{Row, row};
use crate::harness::recorder::Then;
use crate::scenario::{Saw, Scenario, Step, Transport};

const GROUP: &str = "http";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let rows = requests().chain(answers()).chain(connections());
    rows.map(|row| row.into_scenario(GROUP)).collect()
}

/// A request with these lines after the Host.
pub(crate) fn request(line: &str, fields: &[&str], body: &str) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{line} HTTP/1.1\r\nHost: gateway.test\r\n{fields}\r\n{body}")
}

fn passes(clause: &'static str, name: &'static str, request: impl AsRef<[u8]>) -> Row {
    row(clause, name)
        .send(request)
        .answer(&[200])
        .saw(Saw::Requests(1))
}

fn requests() -> impl Iterator<Item = Row> {
    const CHUNKED: &str = "Transfer-Encoding: chunked";
    [
        passes(
            "reference 4",
            "a GET, with the forwarding fields",
            request("GET /a?b=c", &[], ""),
        )
        .step(Step::Body("standard"))
        .saw(Saw::Line("GET /a?b=c HTTP/1.1"))
        .saw(Saw::Field("host", "gateway.test"))
        .saw(Saw::Field("x-forwarded-proto", "http"))
        .saw(Saw::LastEntry("x-forwarded-for", "127.0.0.1:"))
        .saw(Saw::Field("x-original-host", "gateway.test"))
        .saw(Saw::Field("x-original-url", "/a?b=c")),
        passes(
            "reference 4",
            "X-Forwarded-Proto over TLS",
            request("GET /", &[], ""),
        )
        .over(Transport::Tls)
        .saw(Saw::Field("x-forwarded-proto", "https")),
        passes(
            "reference 4",
            "a forged X-Forwarded-Proto is overwritten",
            request("GET /", &["X-Forwarded-Proto: https"], ""),
        )
        .saw(Saw::Field("x-forwarded-proto", "http")),
        passes(
            "reference 4",
            "the last X-Forwarded-For entry is ours",
            request("GET /", &["X-Forwarded-For: 192.0.2.1"], ""),
        )
        .saw(Saw::LastEntry("x-forwarded-for", "127.0.0.1:")),
        passes(
            "reference 4",
            "field names with an underscore are dropped",
            request("GET /", &["X_Forwarded_For: 192.0.2.1", "X-Good: 1"], ""),
        )
        .saw(Saw::NoField("x_forwarded_for"))
        .saw(Saw::Field("x-good", "1")),
        passes(
            "RFC 9112 6.2",
            "a body with a length",
            request("POST /", &["Content-Length: 5"], "hello"),
        )
        .saw(Saw::Body(b"hello")),
        passes(
            "RFC 9112 7.1",
            "a chunked body",
            request(
                "POST /",
                &[CHUNKED],
                "3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n",
            ),
        )
        .saw(Saw::Body(b"hello")),
        passes(
            "RFC 9112 7.1.2",
            "a chunked body with a trailer",
            request(
                "POST /",
                &[CHUNKED, "Trailer: X-Sum"],
                "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
            ),
        )
        .saw(Saw::Body(b"hello")),
        passes(
            "RFC 9110 9.3.1",
            "a GET with a body",
            request("GET /", &["Content-Length: 5"], "hello"),
        )
        .saw(Saw::Body(b"hello")),
        row(
            "RFC 9110 10.1.1",
            "Expect: the client waits, and gets its 100",
        )
        .send(request(
            "POST /",
            &["Expect: 100-continue", "Content-Length: 5"],
            "",
        ))
        .answer(&[100])
        .send("hello")
        .answer(&[200])
        .saw(Saw::Requests(1))
        .saw(Saw::Body(b"hello")),
        passes(
            "RFC 9112 3.2.2",
            "an absolute target overrules Host",
            "GET http://real.test/x HTTP/1.1\r\nHost: forged.test\r\n\r\n",
        )
        .saw(Saw::Line("GET /x HTTP/1.1"))
        .saw(Saw::Field("host", "real.test")),
        passes("RFC 9112 3.2.4", "OPTIONS *", request("OPTIONS *", &[], ""))
            .saw(Saw::Line("OPTIONS * HTTP/1.1")),
        passes(
            "RFC 9110 7.6.1",
            "hop-by-hop fields are dropped",
            request(
                "GET /",
                &[
                    "Connection: keep-alive, x-one",
                    "X-One: 1",
                    "Keep-Alive: 5",
                    "TE: gzip",
                    "X-Two: 2",
                ],
                "",
            ),
        )
        .saw(Saw::NoField("x-one"))
        .saw(Saw::NoField("keep-alive"))
        .saw(Saw::Field("x-two", "2")),
    ]
    .into_iter()
}

fn answers() -> impl Iterator<Item = Row> {
    let answered = |clause, name, text: &str, then| {
        row(clause, name)
            .reply(text, then)
            .send(request("GET /", &[], ""))
            .saw(Saw::Requests(1))
    };
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\n\
                 HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    [
        answered(
            "RFC 9112 7.1",
            "a chunked answer",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            Then::NextRequest,
        )
        .answer(&[200])
        .step(Step::Body("hello")),
        answered(
            "RFC 9112 6.3 (8)",
            "an answer that ends with the connection",
            "HTTP/1.1 200 OK\r\n\r\nto the end",
            Then::Close,
        )
        .answer(&[200])
        .step(Step::Body("to the end")),
        answered("RFC 9110 15.2", "an interim answer is passed on", hints, Then::NextRequest)
            .answer(&[103])
            .field("link", "</s.css>")
            .answer(&[200])
            .step(Step::Body("ok")),
        row("RFC 9110 15.2", "but not to HTTP/1.0")
            .reply(hints, Then::NextRequest)
            .send("GET / HTTP/1.0\r\nHost: gateway.test\r\n\r\n")
            .answer(&[200])
            .step(Step::Body("ok"))
            .ends(),
        answered("RFC 9112 6.3 (1)", "204", "HTTP/1.1 204 No Content\r\n\r\n", Then::NextRequest)
            .answer(&[204])
            .no_field("content-length")
            .no_field("transfer-encoding"),
        answered(
            "RFC 9112 6.3 (1)",
            "304 with the length of what it stands for",
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 99\r\n\r\n",
            Then::NextRequest,
        )
        .answer(&[304])
        .field("etag", "\"a\"")
        .field("content-length", "99"),
        row("RFC 9112 6.3 (1)", "HEAD")
            .send(request("HEAD /", &[], ""))
            .step(Step::AnswerToHead(&[200]))
            .field("content-length", "8")
            .send(request("GET /", &[], ""))
            .answer(&[200])
            .step(Step::Body("standard"))
            .saw(Saw::Requests(2)),
        answered(
            "RFC 9110 7.6.1",
            "what the answer's Connection names is dropped",
            "HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 2\r\n\r\nok",
            Then::Close,
        )
        .answer(&[200])
        .no_field("x-hop")
        .field("x-end", "2"),
        answered(
            "RFC 6265 3",
            "two cookies stay two",
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
            Then::NextRequest,
        )
        .answer(&[200])
        .step(Step::Values("set-cookie", &["a=1", "b=2"])),
    ]
    .into_iter()
}

fn connections() -> impl Iterator<Item = Row> {
    let get = |path: &str| request(&format!("GET {path}"), &[], "");
    [
        row("RFC 9112 9.3", "several requests on one connection")
            .send(get("/1"))
            .answer(&[200])
            .send(get("/2"))
            .answer(&[200])
            .send(request("GET /3", &["Connection: close"], ""))
            .answer(&[200])
            .ends()
            .saw(Saw::Requests(3)),
        row("RFC 9112 9.3.2", "pipelined requests are answered in order")
            .send([get("/1"), get("/2")].concat())
            .answer(&[200])
            .answer(&[200])
            .saw(Saw::Requests(2)),
        row("RFC 9112 9.3", "HTTP/1.0 ends with its answer")
            .send("GET / HTTP/1.0\r\nHost: gateway.test\r\n\r\n")
            .answer(&[200])
            .ends()
            .saw(Saw::Line("GET / HTTP/1.1")),
        row(
            "RFC 9112 9.6",
            "a client that sends FIN after its request is answered",
        )
        .send(get("/"))
        .step(Step::Finish)
        .step(Step::AnswerOrEnd(&[200, 499]))
        .saw(Saw::AtMost(1)),
    ]
    .into_iter()
}
