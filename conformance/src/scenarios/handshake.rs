//! The opening handshake: every clause of RFC 6455 section 4 that a gateway can keep or break, good
//! and bad, on a plain and on a TLS listener.

mod backends;
mod clients;
mod dialling;
mod negotiation;
mod tunnels;

use super::rows::{Row, row};
use crate::harness::recorder::Then;
use crate::scenario::{Saw, Scenario, Transport};

const GROUP: &str = "handshake";

/// The accept value of the RFC's own key.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The handshake of section 1.3, with the host that the gateway listens for.
pub(super) const RFC: &str = "GET /chat HTTP/1.1\r\n\
    Host: gateway.test\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A correct answer to it.
pub(in crate::scenarios) const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: {accept}\r\n\
    Sec-WebSocket-Protocol: chat\r\n\r\n";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let rows = clients::rows()
        .chain(backends::rows())
        .chain(negotiation::rows())
        .chain(tunnels::rows());
    let both = rows.flat_map(|row| [row.clone(), row.over(Transport::Tls)]);
    let mut all: Vec<Scenario> = both.map(|row| row.into_scenario(GROUP)).collect();
    all.extend(dialling::stories());
    all
}

/// The RFC's handshake with one text replaced.
fn but(from: &str, to: &str) -> String {
    assert!(RFC.contains(from), "the handshake has no {from:?}");
    RFC.replace(from, to)
}

/// The RFC's handshake with these lines more.
pub(super) fn and(lines: &str) -> String {
    but("Origin:", &format!("{lines}\r\nOrigin:"))
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

/// The same, where the RFC binds the server alone: the gateway spares it the attempt.
fn spared(clause: &'static str, name: &'static str, request: impl AsRef<[u8]>) -> Row {
    refused(clause, name, request).ours()
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
