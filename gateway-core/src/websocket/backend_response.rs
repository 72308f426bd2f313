//! The backend's half of the opening handshake (RFC 6455 section 4.1, last list).

use http::{HeaderMap, header, response};

use super::Offer;
use super::fields::{elements, extension_names, has_token, only};

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

/// Judges a 101 against what was offered. Its status is the caller's to look at.
pub fn confirm(offer: &Offer, head: &response::Parts) -> Result<Confirmed, ConfirmError> {
    let headers = &head.headers;
    if !upgrades_to_websocket_alone(headers) {
        return Err(ConfirmError::Upgrade);
    }
    if !has_token(headers, &header::CONNECTION, "upgrade") {
        return Err(ConfirmError::Connection);
    }
    if only(headers, &header::SEC_WEBSOCKET_ACCEPT) != Ok(offer.accept.as_bytes()) {
        return Err(ConfirmError::Accept);
    }
    if !extension_names(headers).all(|name| is_among(&offer.extensions, name)) {
        return Err(ConfirmError::Extension);
    }
    Ok(Confirmed {
        protocol: agreed_protocol(offer, headers)?,
    })
}

fn upgrades_to_websocket_alone(headers: &HeaderMap) -> bool {
    let mut protocols = elements(headers, &header::UPGRADE).peekable();
    protocols.peek().is_some() && protocols.all(|name| name.eq_ignore_ascii_case(b"websocket"))
}

/// One line with one of the subprotocols offered, compared exactly, or no line (item 6).
fn agreed_protocol(offer: &Offer, headers: &HeaderMap) -> Result<Option<Box<str>>, ConfirmError> {
    match only(headers, &header::SEC_WEBSOCKET_PROTOCOL) {
        Err(0) => Ok(None),
        Err(_) => Err(ConfirmError::Protocol),
        Ok(chosen) => {
            let mut offered = offer.protocols.iter();
            let agreed = offered.find(|name| name.as_bytes() == chosen);
            agreed.cloned().map(Some).ok_or(ConfirmError::Protocol)
        }
    }
}

fn is_among(names: &[Box<str>], name: &[u8]) -> bool {
    names.iter().any(|known| known.as_bytes() == name)
}

#[cfg(test)]
mod tests;
