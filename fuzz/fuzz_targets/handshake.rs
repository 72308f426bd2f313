//! Both halves of the opening handshake: a client's head, and behind it a backend's. What is let through
//! is judged again by a naive reading of RFC 6455 sections 4.2.1 and 4.1, and of what leniency forgives.

#![no_main]

use gateway_core::websocket::{
    ConfirmError, Offer, Upgrade, accept, accept_leniently, confirm,
};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, Method, Response, Version};
use libfuzzer_sys::fuzz_target;
use tungstenite::handshake::derive_accept_key;

#[path = "../heads.rs"]
mod heads;

fuzz_target!(|bytes: &[u8]| {
    let Some((head, rest)) = heads::request(bytes) else {
        return;
    };
    let has_body = rest.first().is_some_and(|byte| byte & 1 == 1);
    let fields = &head.headers;
    let attempt = head.method == Method::GET
        && head.version == Version::HTTP_11
        && has_token(fields, &UPGRADE, "websocket")
        && has_token(fields, &CONNECTION, "upgrade");
    let judged = accept(&head, has_body);
    judge_leniency(&head, has_body, judged.as_ref().ok());
    if !attempt {
        assert_eq!(judged, Ok(Upgrade::None), "{head:?}");
        return;
    }
    let key = only(fields, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
    let version = only(fields, &SEC_WEBSOCKET_VERSION) == Some(b"13");
    let good = key.filter(|_| version && !has_body);
    let offer = match (judged, good) {
        (Ok(Upgrade::WebSocket(offer)), Some(_)) => offer,
        (Err(error), None) => {
            assert!(error.status().is_client_error());
            return;
        }
        (judged, good) => panic!("{judged:?}, but the key is {good:?}: {head:?}"),
    };
    let expected = derive_accept_key(good.expect("it was good"));
    assert_eq!(offer.accept.as_bytes(), expected.as_bytes());
    the_plainest_answer_is_confirmed(&offer);
    if let Some((answer, _)) = heads::response(rest) {
        judge_answer(&offer, &answer, &expected);
    }
});

/// What strictness lets through, leniency lets through as it is; beside it only a key that is any
/// token, or a head that nothing but its `Connection` and nobody in between spoils.
fn judge_leniency(head: &http::request::Parts, has_body: bool, strict: Option<&Upgrade>) {
    let fields = &head.headers;
    let has = |name| has_token(fields, &CONNECTION, name);
    let asks = head.method == Method::GET
        && head.version == Version::HTTP_11
        && has_token(fields, &UPGRADE, "websocket");
    let key = only(fields, &SEC_WEBSOCKET_KEY);
    let version = only(fields, &SEC_WEBSOCKET_VERSION) == Some(b"13");
    let tells = "via forwarded x-forwarded-for x-forwarded-proto x-real-ip";
    let relayed = tells.split(' ').any(|name| fields.contains_key(name));
    let good = match has("upgrade") {
        true => key.filter(|key| is_any_token(key)),
        false => key.filter(|key| is_key(key) && !has("close") && !relayed),
    };
    let good = good.filter(|_| asks && version && !has_body);
    match accept_leniently(head, has_body) {
        Ok(Upgrade::WebSocket(offer)) => {
            let expected = derive_accept_key(good.expect("it is let through"));
            assert_eq!(offer.accept.as_bytes(), expected.as_bytes());
            if let Some(Upgrade::WebSocket(strict)) = strict {
                assert_eq!(&offer, strict);
            }
        }
        Ok(Upgrade::None) => {
            assert!(good.is_none() && !(asks && has("upgrade")), "{head:?}");
        }
        Err(error) => {
            assert!(good.is_none() && asks && has("upgrade"), "{head:?}");
            assert!(error.status().is_client_error());
        }
    }
}

fn is_any_token(text: &[u8]) -> bool {
    let others = b"!#$%&'*+-.^_`|~/=";
    (1..=128).contains(&text.len())
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || others.contains(byte))
}

fn the_plainest_answer_is_confirmed(offer: &Offer) {
    let (head, ()) = Response::builder()
        .status(101)
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "Upgrade")
        .header(SEC_WEBSOCKET_ACCEPT, offer.accept.as_bytes())
        .body(())
        .expect("its fields are good")
        .into_parts();
    let confirmed = confirm(offer, &head).expect("nothing is wrong with it");
    assert_eq!(confirmed.protocol, None);
}

fn judge_answer(offer: &Offer, answer: &http::response::Parts, expected: &str) {
    let fields = &answer.headers;
    let upgrades = has_token(fields, &UPGRADE, "websocket");
    let connects = has_token(fields, &CONNECTION, "upgrade");
    let accepts = only(fields, &SEC_WEBSOCKET_ACCEPT) == Some(expected.as_bytes());
    let chosen: Vec<&[u8]> = values(fields, &SEC_WEBSOCKET_PROTOCOL);
    let offered = |name: &[u8]| offer.protocols.iter().any(|known| known.as_bytes() == name);
    let agrees = match chosen.as_slice() {
        [] => true,
        [one] => offered(one),
        _ => false,
    };
    match confirm(offer, answer) {
        Ok(confirmed) => {
            assert!(upgrades && connects && accepts && agrees, "{answer:?}");
            let protocol = confirmed.protocol.as_deref().map(str::as_bytes);
            assert_eq!(protocol, chosen.first().copied());
        }
        // There may be another protocol beside websocket.
        Err(ConfirmError::Upgrade) => assert!(!upgrades || elements(fields, &UPGRADE).len() > 1),
        Err(ConfirmError::Connection) => assert!(!connects, "{answer:?}"),
        Err(ConfirmError::Accept) => assert!(!accepts, "{answer:?}"),
        Err(ConfirmError::Protocol) => assert!(!agrees, "{answer:?}"),
        Err(ConfirmError::Extension) => {
            assert!(
                fields.contains_key("sec-websocket-extensions"),
                "{answer:?}"
            );
        }
    }
}

/// Base64 of 16 bytes (RFC 4648 section 4): 22 characters, the last of which says two bits only.
fn is_key(text: &[u8]) -> bool {
    let value = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    text.len() == 24
        && text[..22].iter().all(value)
        && b"AQgw".contains(&text[21])
        && &text[22..] == b"=="
}

fn values<'h>(fields: &'h HeaderMap, name: &HeaderName) -> Vec<&'h [u8]> {
    let values = fields.get_all(name).iter();
    values.map(|value| value.as_bytes().trim_ascii()).collect()
}

fn only<'h>(fields: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    match values(fields, name).as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

fn elements<'h>(fields: &'h HeaderMap, name: &HeaderName) -> Vec<&'h [u8]> {
    let lines = values(fields, name).into_iter();
    lines
        .flat_map(|line| line.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
        .collect()
}

fn has_token(fields: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let mut elements = elements(fields, name).into_iter();
    elements.any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}
