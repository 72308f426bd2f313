//! The rules of RFC 6455 that a gateway keeps: handshakes on both sides, and frame boundaries.

mod backend_response;
mod client_request;
mod close_code;
mod fields;
mod frames;
mod handshake_bucket;
mod key;
mod message_rate;
mod origin;
mod pong;

pub use backend_response::{ConfirmError, Confirmed, confirm};
pub use client_request::{HandshakeError, Offer, Upgrade, accept, accept_leniently};
pub use close_code::{LONGEST_REASON, may_be_sent};
pub use fields::write_upgrade;
pub use frames::{
    CloseFrame, Direction, FrameError, FrameEvent, FrameRules, FrameTracker, Opcode, encode_close,
    encode_ping, encode_pong,
};
pub use handshake_bucket::HandshakeBucket;
pub use key::{AcceptKey, WebSocketKey};
pub use message_rate::MessageRate;
pub use origin::{OriginHost, OriginPattern, may_come_from_there};
pub use pong::{Heard, PongError, PongWait};
