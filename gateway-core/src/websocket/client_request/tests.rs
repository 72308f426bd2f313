//! Each clause of section 4.2.1.

mod lenient;
mod properties;

use http::Request;

use super::*;

/// Header lines, by name.
type Lines<'r> = &'r [(&'r str, &'r str)];

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn parts(fields: Lines<'_>) -> request::Parts {
    let mut request = Request::builder().uri("/chat");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// The RFC's example, section 1.3, with some lines in the place of its own.
fn example(changed: Lines<'_>) -> request::Parts {
    let own = [
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Origin", "http://example.com"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Sec-WebSocket-Version", "13"),
    ];
    let is_kept = |name: &str| !changed.iter().any(|(other, _)| *other == name);
    let kept = own.into_iter().filter(|(name, _)| is_kept(name));
    let fields: Vec<_> = kept.chain(changed.iter().copied()).collect();
    let absent = |value: &str| value == "(absent)";
    parts(
        &fields
            .into_iter()
            .filter(|(_, value)| !absent(value))
            .collect::<Vec<_>>(),
    )
}

fn offer(head: &request::Parts) -> Offer {
    match accept(head, false) {
        Ok(Upgrade::WebSocket(offer)) => offer,
        other => panic!("not a good attempt: {other:?}"),
    }
}

#[test]
fn the_rfcs_example_is_a_good_attempt() {
    let offer = offer(&example(&[]));
    assert_eq!(offer.accept.as_bytes(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(offer.protocols, ["chat".into(), "superchat".into()]);
    assert!(offer.extensions.is_empty());
}

#[test]
fn attempts_are_told_from_plain_http() {
    let rows: &[(&str, Lines<'_>, bool)] = &[
        ("4.2.1 (3) no Upgrade", &[("Upgrade", "(absent)")], false),
        ("4.2.1 (3) another protocol", &[("Upgrade", "h2c")], false),
        (
            "4.2.1 (3) with a version",
            &[("Upgrade", "websocket/13")],
            false,
        ),
        ("4.2.1 (3) any case", &[("Upgrade", "WebSocket")], true),
        (
            "4.2.1 (3) one of several",
            &[("Upgrade", "h2c, websocket")],
            true,
        ),
        (
            "4.2.1 (3) second line",
            &[("Upgrade", "h2c"), ("Upgrade", "websocket")],
            true,
        ),
        (
            "4.2.1 (4) no Connection",
            &[("Connection", "(absent)")],
            false,
        ),
        (
            "4.2.1 (4) part of a token",
            &[("Connection", "no-upgrade")],
            false,
        ),
        (
            "4.2.1 (4) two words",
            &[("Connection", "keep-alive upgrade")],
            false,
        ),
        (
            "4.2.1 (4) in a list",
            &[("Connection", "keep-alive, Upgrade")],
            true,
        ),
        (
            "4.2.1 (4) tabs",
            &[("Connection", "close\t,\tUPGRADE\t")],
            true,
        ),
        (
            "4.2.1 (4) empty elements",
            &[("Connection", ",, upgrade,")],
            true,
        ),
        (
            "4.2.1 (4) second line",
            &[("Connection", "close"), ("Connection", "upgrade")],
            true,
        ),
    ];
    for (clause, changed, is_attempt) in rows {
        let judged = accept(&example(changed), false).unwrap();
        assert_eq!(judged != Upgrade::None, *is_attempt, "{clause}");
    }

    let mut head = example(&[]);
    head.method = Method::POST;
    assert_eq!(accept(&head, true), Ok(Upgrade::None), "4.2.1 (1) POST");
    let mut head = example(&[]);
    head.version = Version::HTTP_10;
    assert_eq!(
        accept(&head, false),
        Ok(Upgrade::None),
        "4.2.1 (1) HTTP/1.0"
    );
}

#[test]
fn bad_attempts_are_refused_with_their_reason() {
    use HandshakeError::{BadKey, Body, MissingKey, RepeatedKey, Version};
    let rows: &[(&str, Lines<'_>, bool, HandshakeError, u16)] = &[
        (
            "4.2.1 (5) no key",
            &[("Sec-WebSocket-Key", "(absent)")],
            false,
            MissingKey,
            400,
        ),
        (
            "4.2.1 (5) empty key",
            &[("Sec-WebSocket-Key", "")],
            false,
            BadKey,
            400,
        ),
        (
            "4.2.1 (5) 15 bytes",
            &[("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAA")],
            false,
            BadKey,
            400,
        ),
        (
            "11.3.1 two keys",
            &[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)],
            false,
            RepeatedKey,
            400,
        ),
        (
            "11.3.1 a list of keys",
            &[("Sec-WebSocket-Key", "AA==, AA==")],
            false,
            BadKey,
            400,
        ),
        (
            "4.2.1 (6) no version",
            &[("Sec-WebSocket-Version", "(absent)")],
            false,
            Version,
            426,
        ),
        (
            "4.2.1 (6) version 8",
            &[("Sec-WebSocket-Version", "8")],
            false,
            Version,
            426,
        ),
        (
            "4.2.1 (6) 013",
            &[("Sec-WebSocket-Version", "013")],
            false,
            Version,
            426,
        ),
        (
            "4.1 (9) a list of versions",
            &[("Sec-WebSocket-Version", "13, 8")],
            false,
            Version,
            426,
        ),
        (
            "11.3.5 two versions",
            &[
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Version", "13"),
            ],
            false,
            Version,
            426,
        ),
        ("a body", &[], true, Body, 400),
        (
            "version before key",
            &[("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Key", "1 2")],
            true,
            Version,
            426,
        ),
    ];
    for (clause, changed, has_body, expected, status) in rows {
        let refused = accept(&example(changed), *has_body);
        assert_eq!(refused, Err(*expected), "{clause}");
        assert_eq!(expected.status(), *status, "{clause}");
    }
}

#[test]
fn a_426_says_what_would_do() {
    let mut headers = HeaderMap::new();
    HandshakeError::BadKey.write_fields(&mut headers);
    assert!(headers.is_empty());
    HandshakeError::Version.write_fields(&mut headers);
    assert_eq!(headers[header::SEC_WEBSOCKET_VERSION], "13");
    assert_eq!(
        headers[header::UPGRADE],
        "websocket",
        "RFC 9110 section 15.5.22"
    );
    assert_eq!(
        headers[header::CONNECTION],
        "Upgrade",
        "RFC 9110 section 7.8"
    );
}

#[test]
fn offers_are_read_over_all_lines() {
    let head = example(&[
        ("Sec-WebSocket-Protocol", "chat,, v2.chat"),
        ("Sec-WebSocket-Protocol", " mqtt "),
        (
            "Sec-WebSocket-Extensions",
            "permessage-deflate; x=\"a, b\", bbf-usp",
        ),
        ("Sec-WebSocket-Extensions", "mux;max=4"),
    ]);
    let offer = offer(&head);
    assert_eq!(
        offer.protocols,
        ["chat".into(), "v2.chat".into(), "mqtt".into()]
    );
    let names = ["permessage-deflate".into(), "bbf-usp".into(), "mux".into()];
    assert_eq!(offer.extensions, names);
}
