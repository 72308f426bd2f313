//! The opening handshake: every clause of RFC 6455 section 4 that a gateway can keep or break, good
//! and bad, on a plain and on a TLS listener.

use std::time::Duration;

use super::rows::{Row, row};
use crate::harness::frames::{CLOSE, TEXT, masked, unmasked};
use crate::harness::recorder::Then;
use crate::scenario::{Saw, Scenario, Step, Transport};

const GROUP: &str = "handshake";

/// The accept value of the RFC's own key.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The handshake of section 1.3, with the host that the gateway listens for.
const RFC: &str = "GET /chat HTTP/1.1\r\n\
    Host: gateway.test\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A correct answer to it.
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: {accept}\r\n\
    Sec-WebSocket-Protocol: chat\r\n\r\n";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let rows = client_rows().chain(server_rows()).chain(tunnel_rows());
    let both = rows.flat_map(|row| [row.clone(), row.over(Transport::Tls)]);
    both.map(|row| row.into_scenario(GROUP)).collect()
}

/// The RFC's handshake with one text replaced.
fn but(from: &str, to: &str) -> String {
    assert!(RFC.contains(from), "the handshake has no {from:?}");
    RFC.replace(from, to)
}

fn good(clause: &'static str, name: &'static str, request: impl AsRef<[u8]>) -> Row {
    row(clause, name)
        .reply(SWITCH, Then::Echo)
        .send(request)
        .answer(&[101])
        .field("sec-websocket-accept", ACCEPT)
        .saw(Saw::Requests(1))
}

fn refused(clause: &'static str, name: &'static str, request: impl AsRef<[u8]>) -> Row {
    row(clause, name).send(request).answer(&[400]).unseen()
}

/// No attempt: goes on as plain HTTP, without `Upgrade` (RFC 9110 section 7.8).
fn plain(clause: &'static str, name: &'static str, request: impl AsRef<[u8]>) -> Row {
    row(clause, name)
        .send(request)
        .answer(&[200])
        .no_field("upgrade")
        .saw(Saw::Requests(1))
        .saw(Saw::NoField("upgrade"))
}

/// What the client sends: sections 4.1, 4.2.1, 4.3 and 4.4.
fn client_rows() -> impl Iterator<Item = Row> {
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13";
    let unsupported = |name, version| {
        row("RFC 6455 4.4", name)
            .send(but(VERSION, version))
            .answer(&[426])
            .field("sec-websocket-version", "13")
            .unseen()
    };
    [
        good("RFC 6455 1.3", "the RFC's own handshake", RFC)
            .field("upgrade", "websocket")
            .field("sec-websocket-protocol", "chat")
            .saw(Saw::Line("GET /chat HTTP/1.1"))
            .saw(Saw::Field("host", "gateway.test"))
            .saw(Saw::Field("upgrade", "websocket"))
            .saw(Saw::Field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="))
            .saw(Saw::Field("sec-websocket-version", "13"))
            .saw(Saw::Field("sec-websocket-protocol", "chat, superchat"))
            .saw(Saw::Field("origin", "http://example.com")),
        // 4.2.1 (1): GET, HTTP/1.1 or higher.
        plain(
            "RFC 6455 4.2.1 (1)",
            "a POST is no attempt",
            but("GET", "POST"),
        )
        .saw(Saw::Line("POST /chat HTTP/1.1")),
        plain(
            "RFC 6455 4.2.1 (1)",
            "HTTP/1.0 is no attempt",
            but("HTTP/1.1", "HTTP/1.0"),
        ),
        good(
            "RFC 6455 4.2.1 (1)",
            "the query goes along",
            but("/chat", "/chat?room=1&user=%20x"),
        )
        .saw(Saw::Line("GET /chat?room=1&user=%20x HTTP/1.1")),
        good(
            "RFC 6455 4.2.1 (1)",
            "an absolute target",
            but("/chat", "http://gateway.test/chat"),
        )
        .saw(Saw::Line("GET /chat HTTP/1.1"))
        .saw(Saw::Field("host", "gateway.test")),
        // 4.2.1 (2): Host.
        refused(
            "RFC 6455 4.2.1 (2)",
            "no Host",
            but("Host: gateway.test\r\n", ""),
        ),
        refused(
            "RFC 6455 4.2.1 (2)",
            "two Hosts",
            but(
                "Host: gateway.test\r\n",
                "Host: gateway.test\r\nHost: other.test\r\n",
            ),
        ),
        // 4.2.1 (3): Upgrade.
        plain(
            "RFC 6455 4.2.1 (3)",
            "no Upgrade",
            but("Upgrade: websocket\r\n", ""),
        ),
        plain(
            "RFC 6455 4.2.1 (3)",
            "another upgrade token",
            but("Upgrade: websocket", "Upgrade: websocket2"),
        ),
        plain(
            "RFC 9110 7.8",
            "h2c is never tunnelled",
            but("Upgrade: websocket", "Upgrade: h2c"),
        ),
        good(
            "RFC 6455 4.2.1 (3)",
            "Upgrade compares without case",
            but("Upgrade: websocket", "uPgRaDe: WebSocket"),
        ),
        good(
            "RFC 6455 4.2.1 (3)",
            "websocket among other tokens",
            but("Upgrade: websocket", "Upgrade: foo/1, websocket"),
        )
        .saw(Saw::Field("upgrade", "websocket")),
        // 4.2.1 (4): Connection.
        plain(
            "RFC 6455 4.2.1 (4)",
            "no Connection",
            but("Connection: Upgrade\r\n", ""),
        ),
        plain(
            "RFC 6455 4.2.1 (4)",
            "Connection without upgrade",
            but("Connection: Upgrade", "Connection: keep-alive"),
        ),
        plain(
            "RFC 6455 4.2.1 (4)",
            "upgrade inside another token",
            but("Connection: Upgrade", "Connection: not-upgrade"),
        ),
        good(
            "RFC 6455 4.2.1 (4)",
            "upgrade among other options",
            but("Connection: Upgrade", "Connection: keep-alive, UPGRADE"),
        ),
        good(
            "RFC 6455 4.2.1 (4)",
            "upgrade on the second Connection line",
            but(
                "Connection: Upgrade",
                "Connection: keep-alive\r\nConnection: Upgrade",
            ),
        ),
        // 4.2.1 (5): the key, 16 bytes in base64.
        refused("RFC 6455 4.2.1 (5)", "no key", but(KEY, "")),
        refused(
            "RFC 6455 4.2.1 (5)",
            "an empty key",
            but(KEY, "Sec-WebSocket-Key:\r\n"),
        ),
        refused(
            "RFC 6455 4.2.1 (5)",
            "a key of 15 bytes",
            but(KEY, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n"),
        ),
        refused(
            "RFC 6455 4.2.1 (5)",
            "a key of 17 bytes",
            but(KEY, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n"),
        ),
        refused(
            "RFC 6455 4.2.1 (5)",
            "a key that is not base64",
            but(KEY, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!!==\r\n"),
        ),
        refused(
            "RFC 6455 4.2.1 (5)",
            "a key without padding",
            but(KEY, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n"),
        ),
        refused(
            "RFC 6455 11.3.1",
            "two keys",
            but(KEY, &[KEY, KEY].concat()),
        ),
        // 4.2.1 (6) and 4.4: the version.
        unsupported("an older version", "Sec-WebSocket-Version: 8"),
        unsupported("a later version", "Sec-WebSocket-Version: 14"),
        unsupported("no number", "Sec-WebSocket-Version: thirteen"),
        unsupported("no version", "X-Version: 13"),
        // 4.2.1 (7), (8), (9), 4.1 (12): what is for the backend to judge passes.
        good(
            "RFC 6455 4.2.1 (7)",
            "no Origin: no browser",
            but("Origin: http://example.com\r\n", ""),
        )
        .saw(Saw::NoField("origin")),
        good(
            "RFC 6455 4.1 (10)",
            "subprotocols on two lines",
            but(
                "Sec-WebSocket-Protocol: chat, superchat",
                "Sec-WebSocket-Protocol: superchat\r\nSec-WebSocket-Protocol: chat",
            ),
        )
        .field("sec-websocket-protocol", "chat"),
        good(
            "RFC 6455 4.1 (11)",
            "extensions are offered to the backend",
            but(
                "Origin:",
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin:",
            ),
        )
        .saw(Saw::Field(
            "sec-websocket-extensions",
            "permessage-deflate; client_max_window_bits",
        )),
        good(
            "RFC 6455 4.1 (12)",
            "cookies and authorization pass",
            but(
                "Origin:",
                "Cookie: a=b; c=d\r\nAuthorization: Bearer t0ken\r\nOrigin:",
            ),
        )
        .saw(Saw::Field("cookie", "a=b; c=d"))
        .saw(Saw::Field("authorization", "Bearer t0ken")),
        good(
            "RFC 9110 7.6.1",
            "what Connection names is dropped",
            but(
                "Connection: Upgrade",
                "Connection: Upgrade, X-Hop\r\nX-Hop: secret\r\nX-End: kept",
            ),
        )
        .saw(Saw::NoField("x-hop"))
        .saw(Saw::Field("x-end", "kept")),
        // 4.1: a handshake is a GET without a body.
        refused(
            "RFC 6455 4.1 (1)",
            "a body with a length",
            but("Origin:", "Content-Length: 5\r\nOrigin:") + "hello",
        ),
        refused(
            "RFC 6455 4.1 (1)",
            "a chunked body",
            but("Origin:", "Transfer-Encoding: chunked\r\nOrigin:") + "5\r\nhello\r\n0\r\n\r\n",
        ),
    ]
    .into_iter()
}

/// What the backend answers: sections 4.1 (the last list) and 4.2.2.
fn server_rows() -> impl Iterator<Item = Row> {
    let wrong = |clause, name, from: &str, to: &str| {
        assert!(SWITCH.contains(from), "the answer has no {from:?}");
        row(clause, name)
            .reply(SWITCH.replace(from, to), Then::Echo)
            .send(RFC)
            .answer(&[502])
            .no_field("sec-websocket-accept")
            .saw(Saw::Requests(1))
    };
    let protocol = "Sec-WebSocket-Protocol: chat\r\n";
    let accept = "Sec-WebSocket-Accept: {accept}\r\n";
    [
        wrong("RFC 6455 4.1 (2)", "101 without Upgrade", "Upgrade: websocket\r\n", ""),
        wrong("RFC 6455 4.1 (2)", "101 to something else", "websocket\r\nConnection", "h2c\r\nConnection"),
        wrong("RFC 6455 4.1 (3)", "101 without Connection", "Connection: Upgrade\r\n", ""),
        wrong("RFC 6455 4.1 (4)", "101 without accept", accept, ""),
        wrong(
            "RFC 6455 4.1 (4)",
            "101 with the accept of another key",
            "{accept}",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        wrong("RFC 6455 4.1 (4)", "101 with two accepts", accept, &[accept, accept].concat()),
        wrong(
            "RFC 6455 4.1 (5)",
            "101 with an extension that was not offered",
            protocol,
            "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        ),
        wrong(
            "RFC 6455 4.1 (6)",
            "101 with a subprotocol that was not offered",
            "Protocol: chat\r\n",
            "Protocol: other\r\n",
        ),
        row("RFC 6455 4.2.2 (5.5)", "101 without a subprotocol")
            .reply(SWITCH.replace(protocol, ""), Then::Echo)
            .send(RFC)
            .answer(&[101])
            .no_field("sec-websocket-protocol"),
        row("RFC 6455 4.2.2", "other fields of a 101 pass, hop-by-hop ones do not")
            .reply(
                SWITCH.replace(
                    "Connection: Upgrade",
                    "Connection: Upgrade, X-Hop\r\nX-Hop: secret\r\nSet-Cookie: a=b",
                ),
                Then::Echo,
            )
            .send(RFC)
            .answer(&[101])
            .field("set-cookie", "a=b")
            .no_field("x-hop"),
        row("RFC 6455 4.1 (1)", "a 401 is relayed as it is")
            .reply(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno",
                Then::NextRequest,
            )
            .send(RFC)
            .answer(&[401])
            .field("www-authenticate", "Basic realm=\"x\"")
            .step(Step::Body("no")),
        row("RFC 6455 4.1 (1)", "a redirect is relayed as it is")
            .reply(
                "HTTP/1.1 302 Found\r\nLocation: wss://other.test/\r\nContent-Length: 0\r\n\r\n",
                Then::NextRequest,
            )
            .send(RFC)
            .answer(&[302])
            .field("location", "wss://other.test/"),
        row("RFC 6455 4.2.2 (4)", "a 426 of the backend is relayed with its versions")
            .reply(
                "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 7, 8\r\nContent-Length: 0\r\n\r\n",
                Then::NextRequest,
            )
            .send(RFC)
            .answer(&[426])
            .field("sec-websocket-version", "7, 8"),
        row("RFC 9112 9.6", "the backend closes instead of answering")
            .reply("", Then::Close)
            .send(RFC)
            .answer(&[502])
            .saw(Saw::AtMost(2)),
        row("RFC 9112 9.6", "the backend resets instead of answering")
            .reply("", Then::Reset)
            .send(RFC)
            .answer(&[502])
            .saw(Saw::AtMost(2)),
    ]
    .into_iter()
}

/// The change from HTTP to frames: bytes before, with and after the heads.
fn tunnel_rows() -> impl Iterator<Item = Row> {
    let hello = masked(TEXT, b"Hello");
    let with_head = [RFC.as_bytes(), &hello].concat();
    let long = masked(TEXT, &[b'x'; 40_000]);
    let close = masked(CLOSE, &1000_u16.to_be_bytes());
    let early = RFC.len() / 2;
    [
        good("RFC 6455 5.7", "frames go both ways", RFC)
            .send(&hello)
            .receive(unmasked(TEXT, b"Hello"))
            .saw(Saw::After(hello.clone())),
        good("RFC 6455 5.2", "a long frame is untouched", RFC)
            .send(&long)
            .receive(unmasked(TEXT, &[b'x'; 40_000]))
            .saw(Saw::After(long)),
        row("RFC 6455 4.1", "nothing after the head reaches the backend before its 101")
            .reply(SWITCH, Then::Echo)
            .quiet_first()
            .send(&with_head)
            .answer(&[101])
            .receive(unmasked(TEXT, b"Hello"))
            .saw(Saw::NothingEarly)
            .saw(Saw::After(hello.clone())),
        row("RFC 6455 4.1", "frames sent after the head but before the 101 wait for it")
            .reply(SWITCH, Then::Echo)
            .quiet_first()
            .send(RFC)
            .send(&hello)
            .answer(&[101])
            .receive(unmasked(TEXT, b"Hello"))
            .saw(Saw::NothingEarly)
            .saw(Saw::After(hello.clone())),
        row("RFC 6455 4.1", "frames that come in the 101's segment are not lost")
            .reply(SWITCH, Then::Echo)
            .tail(unmasked(TEXT, b"welcome"))
            .send(RFC)
            .answer(&[101])
            .receive(unmasked(TEXT, b"welcome"))
            .send(&hello)
            .receive(unmasked(TEXT, b"Hello")),
        row("RFC 6455 4.1", "a head in two pieces")
            .reply(SWITCH, Then::Echo)
            .send(&RFC.as_bytes()[..early])
            .step(Step::Trickle {
                bytes: RFC.as_bytes()[early..early + 3].to_vec(),
                every: Duration::from_millis(10),
            })
            .send(&RFC.as_bytes()[early + 3..])
            .answer(&[101])
            .field("sec-websocket-accept", ACCEPT),
        good("RFC 6455 7.1", "a closing handshake passes, then the end", RFC)
            .send(&close)
            .receive(unmasked(CLOSE, &1000_u16.to_be_bytes()))
            .step(Step::Finish)
            .ends(),
        row("RFC 9112 9.6", "a refused upgrade and a second answer after it")
            .reply(
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled",
                Then::NextRequest,
            )
            .send(RFC)
            .answer(&[403])
            .step(Step::Body("no"))
            .send("GET /sentinel HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            .step(Step::AnswerOrEnd(&[200]))
            .saw(Saw::Requests(1)),
        row("RFC 9112 9.3", "a refused upgrade, and a request pipelined after it")
            .reply("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", Then::NextRequest)
            .send([RFC, "GET /second HTTP/1.1\r\nHost: gateway.test\r\n\r\n"].concat())
            .answer(&[403])
            .step(Step::AnswerOrEnd(&[403]))
            .saw(Saw::AtMost(2)),
        row("RFC 9112 9.3", "a request smuggled behind a handshake stays inside the tunnel")
            .reply(SWITCH, Then::Echo)
            .send([RFC, "GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n"].concat())
            .answer(&[101])
            .saw(Saw::Requests(1)),
    ]
    .into_iter()
}
