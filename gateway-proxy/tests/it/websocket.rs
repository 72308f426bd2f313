//! Handshakes and what follows them.

use std::num::NonZeroU32;

use crate::harness::{Backend, Client, Gateway, eventually};

/// RFC 6455 section 1.3.
const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: chat\r\n\r\n";
/// "Hello", masked and not (RFC 6455 section 5.7).
const HELLO_MASKED: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
const HELLO: &[u8] = b"\x81\x05Hello";

fn read(client: &mut Client, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    std::io::Read::read_exact(&mut client.0, &mut bytes).unwrap();
    bytes
}

/// Accepts every handshake and says Hello with its head; answers Hello with Hello.
fn greeter() -> Backend {
    Backend::start(|mut peer| {
        if peer.until("\r\n\r\n").is_none() {
            return;
        }
        peer.send([ACCEPTED.as_bytes(), HELLO].concat());
        while let Some(bytes) = peer.read() {
            if bytes.ends_with(&HELLO_MASKED[6..]) {
                peer.send(HELLO);
            }
        }
    })
}

#[test]
fn the_handshake_of_the_rfc_opens_a_tunnel() {
    let backend = greeter();
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send(HANDSHAKE);
    let head = client.head();
    assert!(
        head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{head}"
    );
    for field in [
        "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "sec-websocket-protocol: chat\r\n",
        "upgrade: websocket\r\n",
        "connection: upgrade\r\n",
    ] {
        assert!(
            head.to_lowercase().contains(&field.to_lowercase()),
            "{field} in {head}"
        );
    }
    // What came with the backend's head goes first.
    assert_eq!(read(&mut client, HELLO.len()), HELLO);
    client.send(HELLO_MASKED);
    assert_eq!(read(&mut client, HELLO.len()), HELLO);
    let target = &gateway.snapshot().backends[0].targets[0];
    eventually("one tunnel and no request", || {
        let cell = target.load.of(0);
        (cell.tunnels(), cell.requests()) == (1, 0)
    });
    drop(client);
    eventually("no load", || target.load() == 0);
}

#[test]
fn frames_with_the_head_wait_for_the_101() {
    let backend = Backend::start(|mut peer| {
        let head = peer.until("\r\n\r\n").unwrap();
        assert!(head.ends_with("\r\n\r\n"), "{head:?}");
        peer.send(ACCEPTED);
        peer.drain();
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send([HANDSHAKE.as_bytes(), HELLO_MASKED].concat());
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    eventually("the frame", || {
        backend
            .seen()
            .concat()
            .ends_with(&*String::from_utf8_lossy(HELLO_MASKED))
    });
}

#[test]
fn bad_handshakes_are_refused_with_a_reason() {
    for (from, to, status) in [
        ("Version: 13", "Version: 8", "426"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", "400"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", "400"),
    ] {
        let backend = greeter();
        let gateway = Gateway::start(&[backend.address]);
        let mut client = gateway.connect();
        client.send(HANDSHAKE.replace(from, to));
        let head = client.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(
            head.contains("sec-websocket-version: 13\r\n"),
            status == "426",
            "{head}"
        );
        assert_eq!(backend.connections(), 0);
    }
}

#[test]
fn wrong_101s_are_502() {
    for (from, to) in [
        (
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        ("Protocol: chat", "Protocol: other"),
        ("Upgrade: websocket", "Upgrade: h2c"),
    ] {
        let backend = Backend::start(move |mut peer| {
            peer.until("\r\n\r\n");
            peer.send(ACCEPTED.replace(from, to));
            peer.drain();
        });
        let gateway = Gateway::start(&[backend.address]);
        let mut client = gateway.connect();
        client.send(HANDSHAKE);
        assert!(client.head().starts_with("HTTP/1.1 502 "));
    }
}

#[test]
fn a_refused_handshake_is_an_ordinary_answer_and_nothing_behind_it_is_tunnelled() {
    let backend = Backend::answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send(HANDSHAKE);
    assert!(client.answer(2).ends_with("no"));
    // The classic: what follows must be a request of its own, with its own checks.
    client.send("GET /admin HTTP/1.1\r\n\r\n");
    assert!(client.rest().starts_with("HTTP/1.1 400 "));
    assert_eq!(backend.requests(), 1);
}

#[test]
fn handshakes_and_tunnels_have_limits() {
    let backend = greeter();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        config.limits.max_tunnels_per_client = Some(1);
    });
    let mut first = gateway.connect();
    first.send(HANDSHAKE);
    assert!(first.head().starts_with("HTTP/1.1 101 "));
    let mut second = gateway.connect();
    second.send(HANDSHAKE);
    let head = second.head();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("retry-after: "), "{head}");
}

#[test]
fn handshakes_over_the_rate_are_503() {
    let backend = greeter();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        config.limits.max_handshakes_per_second = Some(NonZeroU32::MIN);
    });
    let shake = || {
        let mut client = gateway.connect();
        client.send(HANDSHAKE);
        client.head()
    };
    // Each second admits one: of three at once, one at least is refused.
    let heads = [shake(), shake(), shake()];
    assert!(heads[0].starts_with("HTTP/1.1 101 "), "{heads:?}");
    let refused = heads.iter().find(|head| !head.starts_with("HTTP/1.1 101 "));
    let refused = refused.unwrap();
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(refused.contains("\r\nretry-after: "), "{refused}");
}
