//! The backend's half of the opening handshake (RFC 6455 section 4.1, last list).

use http::response;

use super::Offer;

/// A 101 that may go to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    /// The subprotocol agreed on.
    pub protocol: Option<Box<str>>,
}

/// Why a 101 is not passed on; the client gets 502.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmError {
    /// No `Upgrade: websocket`, or another one.
    #[error("the backend's 101 does not upgrade to websocket")]
    Upgrade,
    /// `Connection` lacks `upgrade`.
    #[error("the backend's 101 has no Connection: upgrade")]
    Connection,
    /// `Sec-WebSocket-Accept` is missing, repeated, or for another key.
    #[error("the backend's Sec-WebSocket-Accept is not for this key")]
    Accept,
    /// A subprotocol that was not offered, or two.
    #[error("the backend chose a subprotocol that was not offered")]
    Protocol,
    /// An extension though none was offered.
    #[error("the backend chose an extension that was not offered")]
    Extension,
}

/// Judges a 101 against what was offered.
pub fn confirm(offer: &Offer, head: &response::Parts) -> Result<Confirmed, ConfirmError> {
    let _ = (offer, head);
    unimplemented!()
}
