//! Each clause of section 4.1's list for the server's answer.

use http::Response;

use super::*;
use crate::websocket::WebSocketKey;

/// Header lines, by name.
type Lines<'r> = &'r [(&'r str, &'r str)];

const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const OTHER: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn confirmed(changed: Lines<'_>) -> Result<Confirmed, ConfirmError> {
    let own = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", ACCEPT),
    ];
    let is_kept = |name: &str| !changed.iter().any(|(other, _)| *other == name);
    let kept = own.into_iter().filter(|(name, _)| is_kept(name));
    let mut response = Response::builder().status(101);
    for (name, value) in kept.chain(changed.iter().copied()) {
        if value != "(absent)" {
            response = response.header(name, value);
        }
    }
    let (head, ()) = response.body(()).unwrap().into_parts();
    let key = WebSocketKey::parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
    let offer = Offer {
        accept: key.accept(),
        protocols: vec!["chat".into(), "superchat".into()],
        extensions: vec!["permessage-deflate".into()],
    };
    confirm(&offer, &head)
}

#[test]
fn answers_to_what_was_offered_pass() {
    let rows: &[(&str, Lines<'_>, Option<&str>)] = &[
        ("nothing agreed on", &[], None),
        ("4.1 (2) any case", &[("Upgrade", "WebSocket")], None),
        ("4.1 (3) any case", &[("Connection", "upgrade")], None),
        (
            "4.1 (3) among others",
            &[("Connection", "keep-alive"), ("Connection", "x, UPGRADE")],
            None,
        ),
        (
            "4.1 (6) one offered",
            &[("Sec-WebSocket-Protocol", "superchat")],
            Some("superchat"),
        ),
        (
            "4.1 (5) one offered",
            &[("Sec-WebSocket-Extensions", "permessage-deflate; a=1")],
            None,
        ),
        ("4.1 (5) none", &[("Sec-WebSocket-Extensions", "")], None),
    ];
    for (clause, changed, protocol) in rows {
        let protocol = protocol.map(Into::into);
        assert_eq!(confirmed(changed), Ok(Confirmed { protocol }), "{clause}");
    }
}

#[test]
fn answers_to_something_else_do_not_pass() {
    use ConfirmError::{Accept, Connection, Extension, Protocol, Upgrade};
    let rows: &[(&str, Lines<'_>, ConfirmError)] = &[
        ("4.1 (2) absent", &[("Upgrade", "(absent)")], Upgrade),
        ("4.1 (2) another", &[("Upgrade", "h2c")], Upgrade),
        (
            "4.1 (2) one more",
            &[("Upgrade", "websocket, h2c")],
            Upgrade,
        ),
        (
            "4.1 (2) one more line",
            &[("Upgrade", "websocket"), ("Upgrade", "h2c")],
            Upgrade,
        ),
        ("4.1 (3) absent", &[("Connection", "(absent)")], Connection),
        (
            "4.1 (3) another",
            &[("Connection", "keep-alive")],
            Connection,
        ),
        (
            "4.1 (4) absent",
            &[("Sec-WebSocket-Accept", "(absent)")],
            Accept,
        ),
        (
            "4.1 (4) another key's",
            &[("Sec-WebSocket-Accept", OTHER)],
            Accept,
        ),
        (
            "4.1 (4) twice",
            &[
                ("Sec-WebSocket-Accept", ACCEPT),
                ("Sec-WebSocket-Accept", ACCEPT),
            ],
            Accept,
        ),
        (
            "4.1 (4) exact case",
            &[("Sec-WebSocket-Accept", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=")],
            Accept,
        ),
        (
            "4.1 (6) not offered",
            &[("Sec-WebSocket-Protocol", "mqtt")],
            Protocol,
        ),
        (
            "4.1 (6) another case",
            &[("Sec-WebSocket-Protocol", "Chat")],
            Protocol,
        ),
        (
            "4.1 (6) two",
            &[("Sec-WebSocket-Protocol", "chat, superchat")],
            Protocol,
        ),
        (
            "4.1 (6) two lines",
            &[
                ("Sec-WebSocket-Protocol", "chat"),
                ("Sec-WebSocket-Protocol", "chat"),
            ],
            Protocol,
        ),
        ("4.1 (6) empty", &[("Sec-WebSocket-Protocol", "")], Protocol),
        (
            "4.1 (5) not offered",
            &[("Sec-WebSocket-Extensions", "mux")],
            Extension,
        ),
        (
            "4.1 (5) one not offered",
            &[("Sec-WebSocket-Extensions", "permessage-deflate, mux")],
            Extension,
        ),
    ];
    for (clause, changed, expected) in rows {
        assert_eq!(confirmed(changed), Err(*expected), "{clause}");
    }
}
