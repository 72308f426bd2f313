//! The client's half of the opening handshake (RFC 6455 section 4.2.1).

use http::request;

use super::AcceptKey;

/// What a request wants to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upgrade {
    /// No attempt at WebSocket: goes on as plain HTTP, without its `Upgrade` (RFC 9110 section 7.8).
    None,
    /// A good attempt.
    WebSocket(Offer),
}

/// What a good attempt offers, kept until the backend's answer is confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The accept value that the answer must bear.
    pub accept: AcceptKey,
    /// The subprotocols offered, in order, as written (`Sec-WebSocket-Protocol`, all lines).
    pub protocols: Vec<Box<str>>,
    /// Whether extensions were offered (`Sec-WebSocket-Extensions`).
    pub extensions: bool,
}

/// Why an attempt is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// 400.
    #[error("Sec-WebSocket-Key is missing")]
    MissingKey,
    /// 400.
    #[error("Sec-WebSocket-Key is sent more than once")]
    RepeatedKey,
    /// 400.
    #[error("Sec-WebSocket-Key is not base64 of 16 bytes")]
    BadKey,
    /// 400: a handshake has no body.
    #[error("a WebSocket handshake has no body")]
    Body,
    /// 426 with `Sec-WebSocket-Version: 13`.
    #[error("Sec-WebSocket-Version is not 13")]
    Version,
}

impl HandshakeError {
    /// 400, or 426 for another version.
    pub fn status(self) -> http::StatusCode {
        match self {
            Self::Version => http::StatusCode::UPGRADE_REQUIRED,
            Self::MissingKey | Self::RepeatedKey | Self::BadKey | Self::Body => {
                http::StatusCode::BAD_REQUEST
            }
        }
    }
}

/// Judges a request head. `has_body`: the request's framing announces a body.
pub fn accept(head: &request::Parts, has_body: bool) -> Result<Upgrade, HandshakeError> {
    let _ = (head, has_body);
    unimplemented!()
}
