//! Frames inside an open tunnel: RFC 6455 section 5, with both ends by hand. What peers may send
//! arrives byte for byte; what no peer may send ends the tunnel with Close 1002.

mod cuts;
mod fragments;
mod offences;
mod shapes;

use super::handshake::{RFC, SWITCH, and};
use super::rows::{Row, row};
use crate::harness::frames::{End, Frame};
use crate::harness::recorder::Then;
use crate::scenario::{Scenario, Transport};

const GROUP: &str = "frames";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let rows = shapes::rows()
        .chain(fragments::rows())
        .chain(cuts::rows())
        .chain(offences::rows().map(Row::ours));
    let both = rows.flat_map(|row| [row.clone(), row.over(Transport::Tls)]);
    both.map(|row| row.into_scenario(GROUP)).collect()
}

/// An open tunnel whose both ends the scenario plays.
pub(super) fn tunnel(clause: &'static str, name: impl Into<String>) -> Row {
    row(clause, name)
        .reply(SWITCH, Then::HandOver)
        .send(RFC)
        .answer(&[101])
}

/// An open tunnel with an extension that the gateway does not know.
fn extended(clause: &'static str, name: impl Into<String>) -> Row {
    let offer = and("Sec-WebSocket-Extensions: x-odd; level=3");
    let choice = SWITCH.replace(
        "Sec-WebSocket-Protocol:",
        "Sec-WebSocket-Extensions: x-odd; level=3\r\nSec-WebSocket-Protocol:",
    );
    row(clause, name)
        .reply(choice, Then::HandOver)
        .send(offer)
        .answer(&[101])
        .field("sec-websocket-extensions", "x-odd; level=3")
}

/// These frames pass as they are: first from the client, then from the backend.
fn both_ways(row: Row, frames: &[Frame]) -> Row {
    row.passes(End::Client, frames).passes(End::Backend, frames)
}
