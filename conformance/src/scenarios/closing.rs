//! How tunnels end: the closing handshake in every order, and all that can happen instead of it
//! (RFC 6455 sections 5.5.1 and 7).

mod endings;
mod handshakes;

use super::frames::tunnel;
use super::rows::Row;
use crate::scenario::{Scenario, Transport};

const GROUP: &str = "closing";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let rows = handshakes::rows().chain(endings::rows());
    let both = rows.flat_map(|row| [row.clone(), row.over(Transport::Tls)]);
    let all = both.chain(endings::in_one_transport().map(Row::ours));
    all.map(|row| row.into_scenario(GROUP)).collect()
}
