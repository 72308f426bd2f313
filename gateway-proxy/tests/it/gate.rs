//! Which handshakes get through: origins, subprotocols, leniency; how many, see [`room`].

mod room;

use gateway_core::config::{Config, HandshakeMode, ListenerWebSocket, OriginPolicy, Origins};
use gateway_core::name::ListenerName;
use gateway_core::websocket::OriginPattern;

use crate::harness::{Backend, Client, Gateway, config, settings};

const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The RFC's handshake, with `fields` in the place of its `Connection`, or beside it.
fn handshake(fields: &str) -> String {
    let connection = if fields.to_lowercase().contains("connection:") {
        ""
    } else {
        "Connection: Upgrade\r\n"
    };
    format!(
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{connection}{fields}\r\n"
    )
}

fn accepted(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Opens every tunnel, and answers every other request.
fn opener() -> Backend {
    Backend::start(|mut peer| {
        while let Some(head) = peer.until("\r\n\r\n") {
            if head.to_lowercase().contains("upgrade: websocket") {
                peer.send(accepted(ACCEPT));
                peer.drain();
            } else {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    })
}

fn web_socket(config: &mut Config) -> &mut ListenerWebSocket {
    let listener = config.listeners.get_mut(&ListenerName::from("listener"));
    &mut listener.unwrap().web_socket
}

fn origins(texts: &[&str], policy: OriginPolicy) -> Origins {
    let allowed = texts.iter().map(|text| OriginPattern::parse(text).unwrap());
    Origins {
        allowed: allowed.collect(),
        policy,
    }
}

/// An open tunnel, or what its handshake was told.
fn shake(gateway: &Gateway, fields: &str) -> Result<Client, String> {
    let mut client = gateway.connect();
    client.send(handshake(fields));
    let head = client.head();
    if head.starts_with("HTTP/1.1 101 ") {
        Ok(client)
    } else {
        Err(head)
    }
}

fn status(gateway: &Gateway, fields: &str) -> u16 {
    match shake(gateway, fields) {
        Ok(_) => 101,
        Err(head) => head[9..12].parse().unwrap(),
    }
}

/// The answer to an ordinary request, whose body is two bytes long.
fn get(gateway: &Gateway, request: &str) -> String {
    let mut client = gateway.connect();
    client.send(request);
    client.answer(2)
}

#[test]
fn only_pages_of_allowed_origins_open_tunnels() {
    let backend = opener();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        let allowed = [
            "https://app.example.com",
            "https://*.example.org:8443",
            "null",
        ];
        web_socket(config).origins = origins(&allowed, OriginPolicy::Enforce);
    });
    let rows = [
        ("Origin: https://app.example.com\r\n", 101),
        ("Origin: https://APP.example.com:443\r\n", 101),
        ("Origin: https://a.b.example.org:8443\r\n", 101),
        ("Origin: null\r\n", 101),
        ("", 101),
        ("Origin: http://app.example.com\r\n", 403),
        ("Origin: https://app.example.com.evil.example\r\n", 403),
        ("Origin: https://example.org:8443\r\n", 403),
        ("Origin: \r\n", 403),
        (
            "Origin: https://app.example.com\r\nOrigin: https://app.example.com\r\n",
            403,
        ),
        (
            "Origin: https://evil.example\r\nOrigin: https://app.example.com\r\n",
            403,
        ),
        (
            "Origin: https://app.example.com, https://evil.example\r\n",
            403,
        ),
    ];
    for (fields, expected) in rows {
        assert_eq!(status(&gateway, fields), expected, "{fields:?}");
    }
    let through = rows.iter().filter(|(_, status)| *status == 101).count();
    assert_eq!(backend.requests(), through);
}

#[test]
fn a_refusal_says_why_and_leaves_the_connection() {
    let backend = opener();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        web_socket(config).origins = origins(&["https://a"], OriginPolicy::Enforce);
    });
    let mut client = gateway.connect();
    client.send(handshake("Origin: https://b\r\n"));
    let reason = "pages of this origin may not open WebSockets here\n";
    let answer = client.answer(reason.len());
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.ends_with(reason), "{answer}");
    // What is no handshake is asked for no origin.
    client.send("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\n\r\n");
    assert!(client.answer(2).ends_with("ok"));
}

#[test]
fn listener_and_settings_must_both_allow_an_origin() {
    let backend = opener();
    let enforce = |texts: &[&str]| origins(texts, OriginPolicy::Enforce);
    let report = |texts: &[&str]| origins(texts, OriginPolicy::ReportOnly);
    let rows = [
        // (listener, settings, of a, of b)
        (
            enforce(&["https://a", "https://b"]),
            enforce(&["https://a"]),
            101,
            403,
        ),
        (
            enforce(&["https://a"]),
            enforce(&["https://a", "https://b"]),
            101,
            403,
        ),
        (enforce(&[]), enforce(&["https://a"]), 101, 403),
        (report(&["https://a"]), enforce(&[]), 101, 101),
        (report(&["https://a"]), report(&["https://a"]), 101, 101),
        (report(&["https://a"]), enforce(&["https://a"]), 101, 403),
        (enforce(&["https://a"]), report(&["https://a"]), 101, 403),
    ];
    let gateway = Gateway::start(&[backend.address]);
    for (listener, backend_settings, of_a, of_b) in rows {
        let mut config = config(gateway.address.port(), &[backend.address]);
        let told = format!("{listener:?} {backend_settings:?}");
        web_socket(&mut config).origins = listener;
        settings(&mut config).web_socket.origins = backend_settings;
        gateway.apply(&config);
        assert_eq!(status(&gateway, "Origin: https://a\r\n"), of_a, "{told}");
        assert_eq!(status(&gateway, "Origin: https://b\r\n"), of_b, "{told}");
    }
}

#[test]
fn a_required_subprotocol_must_be_offered() {
    let backend = opener();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        web_socket(config).required_subprotocols = vec!["chat".to_owned(), "v2.chat".to_owned()];
    });
    let rows = [
        ("Sec-WebSocket-Protocol: chat\r\n", 101),
        ("Sec-WebSocket-Protocol: other, v2.chat\r\n", 101),
        (
            "Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: chat\r\n",
            101,
        ),
        ("", 400),
        ("Sec-WebSocket-Protocol: Chat\r\n", 400),
        ("Sec-WebSocket-Protocol: chatter, superchat\r\n", 400),
    ];
    for (fields, expected) in rows {
        assert_eq!(status(&gateway, fields), expected, "{fields:?}");
    }
}

#[test]
fn leniency_puts_right_what_old_clients_get_wrong() {
    let backend = Backend::start(|mut peer| {
        let Some(head) = peer.until("\r\n\r\n") else {
            return;
        };
        let head = head.to_lowercase();
        // What the backend sees is right, whatever came.
        assert!(head.contains("connection: upgrade\r\n"), "{head}");
        let short = head.contains("sec-websocket-key: abc\r\n");
        // RFC 6455 section 4.2.2, item 5.4, of `abc`.
        let of_abc = "zwKd5BnoWxQ6GxTxxSmBSHGHX9M=";
        peer.send(accepted(if short { of_abc } else { ACCEPT }));
        peer.drain();
    });
    let short_key = handshake("").replace("dGhlIHNhbXBsZSBub25jZQ==", "abc");
    let no_connection = handshake("Connection: keep-alive\r\n");
    let gateway = Gateway::start_with(&[backend.address], |config| {
        web_socket(config).handshake = HandshakeMode::Lenient;
    });
    for request in [&no_connection, &short_key] {
        let mut client = gateway.connect();
        client.send(request);
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{request}{head}");
    }

    let plain = Backend::ok();
    let gateway = Gateway::start(&[plain.address]);
    let mut client = gateway.connect();
    client.send(&short_key);
    assert!(client.head().starts_with("HTTP/1.1 400 "));
    // Strictly, no attempt at all: it goes on as plain HTTP.
    assert!(get(&gateway, &no_connection).starts_with("HTTP/1.1 200 "));
    assert!(!plain.seen().concat().to_lowercase().contains("upgrade"));
}
