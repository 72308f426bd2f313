//! What a connection becomes after its 101: two legs, and bytes between them, for as long as both want.
//!
//! [`machine`] decides and is pure; [`driver`] reads and writes; [`set`] knows all tunnels of a worker
//! and ends them; [`drains`] counts how far all workers have come. Not here: handshakes, which are over by then, and requests.

mod drains;
mod driver;
mod leg;
mod machine;
mod meter;
mod per_client;
mod set;
mod state;
mod timers;
mod unhealthy;

pub use drains::DrainOrder;
pub(crate) use drains::{Drain, DrainBook, DrainKey};
pub(crate) use driver::TunnelAbout;
pub(crate) use leg::Leg;
pub(crate) use machine::{EndCause, Side, Traffic, TunnelEnd};
pub(crate) use meter::{DirectionMeter, KINDS, ROUND_TRIPS, SIZES, TunnelMeter};
pub(crate) use per_client::{ClientPermit, TunnelsByClient};
pub use set::pace::Pace;
pub(crate) use set::{TunnelFilter, TunnelSet};
pub(crate) use state::{Asked, TunnelIdentity};
