//! Each clause of section 4.2.1, and properties against a naive reading and against tungstenite.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Request, Response};
use proptest::prelude::*;
use tungstenite::ClientHandshake;
use tungstenite::handshake::server::{create_response, write_response};

use super::*;
use crate::websocket::confirm;

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

/// Section 4.2.1 word for word, with strings and without economy.
fn naive(head: &request::Parts, has_body: bool) -> Result<bool, u16> {
    let lines = |name: &str| -> Vec<String> {
        let is_it = |other: &HeaderName| other.as_str().eq_ignore_ascii_case(name);
        let lines = head.headers.iter().filter(|(name, _)| is_it(name));
        lines
            .map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect()
    };
    let includes = |name: &str, token: &str| {
        let joined = lines(name).join(",").to_ascii_lowercase();
        joined
            .split(',')
            .any(|part| part.trim_matches([' ', '\t']) == token)
    };
    if head.method.as_str() != "GET" || format!("{:?}", head.version) != "HTTP/1.1" {
        return Ok(false);
    }
    if !includes("Upgrade", "websocket") || !includes("Connection", "upgrade") {
        return Ok(false);
    }
    if lines("Sec-WebSocket-Version") != ["13"] {
        return Err(426);
    }
    let keys = lines("Sec-WebSocket-Key");
    let decoded = keys.first().map(|key| STANDARD.decode(key.trim()));
    match decoded {
        Some(Ok(key)) if key.len() == 16 && keys.len() == 1 && !has_body => Ok(true),
        _ => Err(400),
    }
}

/// Mostly good values, so that good attempts are common.
fn value(good: &'static [&'static str], bad: &'static str) -> impl Strategy<Value = String> {
    let good = prop::sample::select(good).prop_map(String::from);
    prop_oneof![4 => good, 1 => bad]
}

fn fields() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let connection = value(
        &[
            "Upgrade",
            "keep-alive, upgrade",
            "close",
            "\tUPGRADE ,",
            "keep-alive",
        ],
        "[a-z ,\t]{0,12}",
    );
    let upgrade = value(
        &["websocket", "WebSocket", "h2c, websocket"],
        "[a-z/ ,]{0,12}",
    );
    let key = value(&[KEY, "AQIDBAUGBwgJCgsMDQ4PEA=="], "[A-Za-z0-9+/=]{20,26}");
    let version = value(&["13"], "[0-9, ]{0,4}");
    let protocol = value(&["chat", "chat, superchat", "mqtt"], "[!-~ ,]{0,12}");
    let line = |name, value| prop::collection::vec((Just(name), value), 0..3);
    let once = |name, value| prop::collection::vec((Just(name), value), 1..2);
    (
        line("Connection", connection.boxed()),
        line("Upgrade", upgrade.boxed()),
        prop_oneof![8 => once("Sec-WebSocket-Key", key.boxed()), 1 => line("Sec-WebSocket-Key", "=".boxed())],
        prop_oneof![8 => once("Sec-WebSocket-Version", version.boxed()), 1 => line("Sec-WebSocket-Version", "13".boxed())],
        line("Sec-WebSocket-Protocol", protocol.boxed()),
    )
        .prop_map(|(a, b, c, d, e)| [vec![("Host", "a.test".into())], a, b, c, d, e].concat())
}

/// What goes to the backend: the client's head with the hop-by-hop fields written by us.
fn forwarded(head: &request::Parts) -> Request<()> {
    let mut request = Request::builder().uri("ws://a.test/chat").body(()).unwrap();
    *request.headers_mut() = head.headers.clone();
    write_upgrade(request.headers_mut());
    request
}

/// Answers whatever is written with one head.
struct Answer(io::Cursor<Vec<u8>>);

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Answer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn agrees_with_a_naive_reading(
        fields in fields(),
        method in prop::sample::select(&["GET", "GET", "GET", "POST", "get"][..]),
        version in prop::sample::select(&[Version::HTTP_11, Version::HTTP_11, Version::HTTP_10][..]),
        has_body in prop::bool::weighted(0.1),
    ) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut head = parts(&fields);
        head.method = method.parse().unwrap();
        head.version = version;
        let judged = accept(&head, has_body)
            .map(|upgrade| upgrade != Upgrade::None)
            .map_err(|error| error.status().as_u16());
        prop_assert_eq!(judged, naive(&head, has_body));
    }

    /// Both ends of a good handshake are tungstenite: it takes our request, we confirm its answer,
    /// and it takes ours.
    #[test]
    fn tungstenite_takes_every_head_that_we_emit(fields in fields(), chosen in any::<prop::sample::Index>()) {
        // White space around a value is none of it: whoever parsed the head has dropped it.
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| (*name, value.trim_matches([' ', '\t']))).collect();
        let head = parts(&fields);
        let Ok(Upgrade::WebSocket(offer)) = accept(&head, false) else {
            return Ok(());
        };
        let request = forwarded(&head);
        let mut answer = create_response(&request).expect("a handshake that tungstenite takes");
        if !offer.protocols.is_empty() {
            let protocol = HeaderValue::from_str(&offer.protocols[chosen.index(offer.protocols.len())]);
            answer.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol.unwrap());
        }
        let (answer, ()) = answer.into_parts();
        confirm(&offer, &answer).expect("tungstenite's answer");

        let mut ours = Response::from_parts(answer, ());
        write_upgrade(ours.headers_mut());
        let mut bytes = Vec::new();
        write_response(&mut bytes, &ours).unwrap();
        // Tungstenite's client knows one line of subprotocols, and takes only what is on it.
        let mut asked = request;
        asked.headers_mut().remove(header::SEC_WEBSOCKET_PROTOCOL);
        if !offer.protocols.is_empty() {
            let all = HeaderValue::from_str(&offer.protocols.join(", ")).unwrap();
            asked.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, all);
        }
        let stream = Answer(io::Cursor::new(bytes));
        let ended = ClientHandshake::start(stream, asked, None).unwrap().handshake();
        prop_assert!(ended.is_ok(), "{:?}", ended.err().map(|error| error.to_string()));
    }
}

#[test]
fn what_is_lenient_is_two_things_and_no_more() {
    let example_offer = offer(&example(&[]));
    let taken = Ok(Upgrade::WebSocket(example_offer));
    let plain = Ok(Upgrade::None);
    let rows: &[(&str, Lines<'_>, &Result<Upgrade, HandshakeError>)] = &[
        ("as it should be", &[], &taken),
        ("no Connection", &[("Connection", "(absent)")], &taken),
        (
            "another Connection",
            &[("Connection", "keep-alive")],
            &taken,
        ),
        ("a connection that ends", &[("Connection", "close")], &plain),
        (
            "somebody is between",
            &[("Connection", "(absent)"), ("Via", "1.1 front")],
            &plain,
        ),
        (
            "somebody is between and knows",
            &[("Connection", "upgrade"), ("Via", "1.1 front")],
            &taken,
        ),
        (
            "somebody is between and counts",
            &[
                ("Connection", "keep-alive"),
                ("X-Forwarded-For", "10.0.0.1"),
            ],
            &plain,
        ),
        // Two mistakes at once are no handshake that was meant well.
        (
            "no Connection, and no such key",
            &[("Connection", "(absent)"), ("Sec-WebSocket-Key", "abc")],
            &plain,
        ),
        (
            "no Connection, and an old version",
            &[("Connection", "(absent)"), ("Sec-WebSocket-Version", "8")],
            &plain,
        ),
        (
            "no Connection, no key",
            &[
                ("Connection", "(absent)"),
                ("Sec-WebSocket-Key", "(absent)"),
            ],
            &plain,
        ),
        ("no Upgrade", &[("Upgrade", "(absent)")], &plain),
        (
            "another protocol, no Connection",
            &[("Upgrade", "h2c"), ("Connection", "(absent)")],
            &plain,
        ),
        (
            "an old version",
            &[("Sec-WebSocket-Version", "8")],
            &Err(HandshakeError::Version),
        ),
        (
            "no key",
            &[("Sec-WebSocket-Key", "(absent)")],
            &Err(HandshakeError::MissingKey),
        ),
        (
            "two keys",
            &[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)],
            &Err(HandshakeError::RepeatedKey),
        ),
        (
            "a list of keys",
            &[("Sec-WebSocket-Key", "abc, def")],
            &Err(HandshakeError::BadKey),
        ),
        (
            "words for a key",
            &[("Sec-WebSocket-Key", "abc def")],
            &Err(HandshakeError::BadKey),
        ),
        (
            "an empty key",
            &[("Sec-WebSocket-Key", "")],
            &Err(HandshakeError::BadKey),
        ),
    ];
    for (what, changed, expected) in rows {
        assert_eq!(
            accept_leniently(&example(changed), false),
            **expected,
            "{what}"
        );
    }
    assert_eq!(
        accept_leniently(&example(&[]), true),
        Err(HandshakeError::Body)
    );
    let loose = example(&[("Connection", "(absent)")]);
    assert_eq!(accept_leniently(&loose, true), Ok(Upgrade::None));
    let mut post = example(&[("Connection", "(absent)")]);
    post.method = Method::POST;
    assert_eq!(accept_leniently(&post, false), Ok(Upgrade::None));
}

#[test]
fn any_key_gets_the_accept_value_that_its_backend_would_give() {
    let longest = "k".repeat(128);
    for key in [
        "abc",
        "x",
        "AAAAAAAAAAAAAAAAAAAA",
        "dGhlIHNhbXBsZSBub25jZQ",
        "--__=/+",
        &longest,
    ] {
        let head = example(&[("Sec-WebSocket-Key", key)]);
        let Ok(Upgrade::WebSocket(offer)) = accept_leniently(&head, false) else {
            panic!("{key} is refused");
        };
        let expected = tungstenite::handshake::derive_accept_key(key.as_bytes());
        assert_eq!(offer.accept.as_bytes(), expected.as_bytes(), "{key}");
        assert_eq!(accept(&head, false), Err(HandshakeError::BadKey), "{key}");
    }
    let too_long = example(&[("Sec-WebSocket-Key", &*"k".repeat(129))]);
    assert_eq!(
        accept_leniently(&too_long, false),
        Err(HandshakeError::BadKey)
    );
}

proptest! {
    /// Leniency only adds: what is good is judged the same.
    #[test]
    fn who_is_strict_is_lenient_too(connection in "(upgrade|keep-alive|close|Upgrade, x)", key in "[A-Za-z0-9+/=]{0,26}") {
        let head = example(&[("Connection", &*connection), ("Sec-WebSocket-Key", &*key)]);
        if let Ok(Upgrade::WebSocket(offer)) = accept(&head, false) {
            prop_assert_eq!(accept_leniently(&head, false), Ok(Upgrade::WebSocket(offer)));
        }
    }
}
