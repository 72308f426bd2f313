//! The rules of RFC 6455 that a gateway keeps: handshakes on both sides, and frame boundaries.

mod backend_response;
mod client_request;
mod fields;
mod frames;
mod key;

pub use backend_response::{ConfirmError, Confirmed, confirm};
pub use client_request::{HandshakeError, Offer, Upgrade, accept};
pub use fields::write_upgrade;
pub use frames::{
    CloseFrame, Direction, FrameError, FrameEvent, FrameTracker, Opcode, encode_close, encode_ping,
};
pub use key::{AcceptKey, WebSocketKey};
