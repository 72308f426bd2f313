//! What clients send: RFC 6455 sections 4.1, 4.2.1, 4.3 and 4.4.

use super::{RFC, but, good, plain, refused};
use crate::scenario::Saw;
use crate::scenarios::rows::{Row, row};

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
