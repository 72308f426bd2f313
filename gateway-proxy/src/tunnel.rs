//! What a connection becomes after its 101: two legs, and bytes between them, for as long as both want.
//!
//! [`machine`] decides and is pure; [`driver`] reads and writes; [`set`] knows all tunnels of a worker
//! and drains them. Not here: handshakes, which are over by then, and requests.

mod driver;
mod leg;
mod machine;
mod per_client;
mod set;

pub(crate) use driver::TunnelAbout;
pub(crate) use leg::Leg;
pub(crate) use machine::{EndCause, Side, TunnelEnd};
pub(crate) use per_client::{ClientPermit, TunnelsByClient};
pub(crate) use set::TunnelSet;
