//! What clients send: RFC 6455 sections 4.1, 4.2.1, 4.3 and 4.4.

use super::{RFC, and, but, good, plain, refused, spared};
use crate::scenario::Saw;
use crate::scenarios::rows::{Row, row};

/// The RFC's handshake, its fields from the last to the first.
const REVERSED: &str = "GET /chat HTTP/1.1\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Host: gateway.test\r\n\r\n";

/// Good and bad attempts, and what is no attempt.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "Sec-WebSocket-Version: 13";
    let unsupported = |name, version| {
        row("RFC 6455 4.4", name)
            .send(but(VERSION, version))
            .answer(&[426])
            .field("sec-websocket-version", "13")
            .unseen()
            .ours()
    };
    [
        good("RFC 6455 1.3", "the RFC's own handshake", RFC)
            .field("upgrade", "websocket")
            .field("sec-websocket-protocol", "chat")
            .saw(Saw::Line("GET /chat HTTP/1.1"))
            .saw(Saw::Field("host", "gateway.test"))
            .saw(Saw::Field("upgrade", "websocket"))
            .saw(Saw::Token("connection", "upgrade"))
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
        .saw(Saw::Line("POST /chat HTTP/1.1"))
        .ours(),
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
        )
        .ours(),
        plain(
            "RFC 9110 7.8",
            "h2c is never tunnelled",
            but("Upgrade: websocket", "Upgrade: h2c"),
        )
        .ours(),
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
        .saw(Saw::Field("upgrade", "websocket"))
        .ours(),
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
        spared("RFC 6455 4.2.1 (5)", "no key", but(KEY, "")),
        spared(
            "RFC 6455 4.2.1 (5)",
            "an empty key",
            but(KEY, "Sec-WebSocket-Key:\r\n"),
        ),
        spared(
            "RFC 6455 4.2.1 (5)",
            "a key of 15 bytes",
            but(KEY, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA\r\n"),
        ),
        spared(
            "RFC 6455 4.2.1 (5)",
            "a key of 17 bytes",
            but(KEY, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA=\r\n"),
        ),
        spared(
            "RFC 6455 4.2.1 (5)",
            "a key that is not base64",
            but(KEY, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!!==\r\n"),
        ),
        spared(
            "RFC 6455 4.2.1 (5)",
            "a key without padding",
            but(KEY, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n"),
        ),
        spared(
            "RFC 6455 11.3.1",
            "two keys",
            but(KEY, &[KEY, KEY].concat()),
        ),
        // 4.2.1 (6) and 4.4: the version.
        unsupported("an older version", "Sec-WebSocket-Version: 8"),
        unsupported("a later version", "Sec-WebSocket-Version: 14"),
        unsupported("no number", "Sec-WebSocket-Version: thirteen"),
        unsupported("no version", "X-Version: 13"),
        unsupported(
            "a version with a leading zero",
            "Sec-WebSocket-Version: 013",
        ),
        unsupported("a list of versions", "Sec-WebSocket-Version: 13, 8"),
        row("RFC 6455 11.3.5", "two versions on two lines")
            .send(but(
                VERSION,
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8",
            ))
            .answer(&[400, 426])
            .unseen()
            .ours(),
        // 4.2.1 (7), (8), (9), 4.1 (12): what is for the backend to judge passes.
        good(
            "RFC 6455 4.2.1 (7)",
            "no Origin: no browser",
            but("Origin: http://example.com\r\n", ""),
        )
        .saw(Saw::NoField("origin")),
        good(
            "RFC 6455 4.1 (8)",
            "Origin passes as it is",
            but("http://example.com", "null"),
        )
        .saw(Saw::Field("origin", "null")),
        good(
            "RFC 6455 4.2.1 (10)",
            "fields that nobody knows pass",
            and("X-Unknown: yes\r\nSec-WebSocket-Odd: yes"),
        )
        .saw(Saw::Field("x-unknown", "yes"))
        .saw(Saw::Field("sec-websocket-odd", "yes")),
        good(
            "RFC 6455 4.2.1",
            "the order of the fields does not matter",
            REVERSED,
        )
        .saw(Saw::Field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")),
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
            and("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
        )
        .saw(Saw::Field(
            "sec-websocket-extensions",
            "permessage-deflate; client_max_window_bits",
        )),
        good(
            "RFC 6455 4.1 (12)",
            "cookies and authorization pass",
            and("Cookie: a=b; c=d\r\nAuthorization: Bearer t0ken"),
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
        spared(
            "RFC 6455 4.1 (1)",
            "a body with a length",
            and("Content-Length: 5") + "hello",
        ),
        spared(
            "RFC 6455 4.1 (1)",
            "a chunked body",
            and("Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n",
        ),
    ]
    .into_iter()
}
