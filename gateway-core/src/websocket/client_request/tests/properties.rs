//! Random heads, against a naive reading and against tungstenite.

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Request, Response};
use proptest::prelude::*;
use tungstenite::ClientHandshake;
use tungstenite::handshake::server::{create_response, write_response};

use super::*;
use crate::websocket::confirm;

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
