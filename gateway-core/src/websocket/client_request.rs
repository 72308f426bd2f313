//! The client's half of the opening handshake (RFC 6455 section 4.2.1).

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request};

use super::fields::{elements, extension_names, has_token, only};
use super::{AcceptKey, WebSocketKey, write_upgrade};

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
    /// The names of the extensions offered, without their parameters (`Sec-WebSocket-Extensions`).
    pub extensions: Vec<Box<str>>,
}

impl Offer {
    /// A client's own offer: one subprotocol or none, and no extension.
    pub fn of(key: &WebSocketKey, subprotocol: Option<&str>) -> Self {
        Self {
            accept: key.accept(),
            protocols: subprotocol.into_iter().map(Into::into).collect(),
            extensions: Vec::new(),
        }
    }
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

    /// Adds the fields that the refusal needs beside its status: for a 426 the version that would
    /// do (section 4.4), and `Upgrade`, which RFC 9110 section 15.5.22 demands.
    pub fn write_fields(self, headers: &mut HeaderMap) {
        if self == Self::Version {
            headers.insert(
                header::SEC_WEBSOCKET_VERSION,
                HeaderValue::from_static("13"),
            );
            write_upgrade(headers);
        }
    }
}

/// Judges a request head. `has_body`: the request's framing announces a body.
///
/// The version is judged first, so that a client of an early draft, whose key looks different,
/// learns which version would do.
pub fn accept(head: &request::Parts, has_body: bool) -> Result<Upgrade, HandshakeError> {
    if !is_attempt(head) {
        return Ok(Upgrade::None);
    }
    judge(head, has_body, strict)
}

/// As [`accept`], but for two mistakes of old clients: the key may be any one token, and `Connection`
/// need not name `Upgrade`.
///
/// The accept value is made of the key as it came and as it is passed on, so that it is right
/// whatever the key. Where `Connection` does not name `Upgrade`, somebody between may have passed the
/// field on without knowing it, and would take what follows the 101 for HTTP. So such a request is
/// an attempt only if all else is right, and nothing says that somebody is between.
pub fn accept_leniently(head: &request::Parts, has_body: bool) -> Result<Upgrade, HandshakeError> {
    if is_attempt(head) {
        return judge(head, has_body, AcceptKey::of_token);
    }
    let is_direct = || !RELAYED.iter().any(|name| head.headers.contains_key(name));
    let closes = || has_token(&head.headers, &header::CONNECTION, "close");
    if !asks_for_websocket(head) || closes() || !is_direct() {
        return Ok(Upgrade::None);
    }
    Ok(judge(head, has_body, strict).unwrap_or(Upgrade::None))
}

/// What those between a client and us tell of themselves.
const RELAYED: [HeaderName; 5] = [
    header::VIA,
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

fn strict(key: &[u8]) -> Option<AcceptKey> {
    WebSocketKey::parse(key).map(|key| key.accept())
}

fn judge(
    head: &request::Parts,
    has_body: bool,
    accept_of: fn(&[u8]) -> Option<AcceptKey>,
) -> Result<Upgrade, HandshakeError> {
    let headers = &head.headers;
    if only(headers, &header::SEC_WEBSOCKET_VERSION) != Ok(b"13".as_slice()) {
        return Err(HandshakeError::Version);
    }
    let accept = match only(headers, &header::SEC_WEBSOCKET_KEY) {
        Ok(text) => accept_of(text).ok_or(HandshakeError::BadKey)?,
        Err(0) => return Err(HandshakeError::MissingKey),
        Err(_) => return Err(HandshakeError::RepeatedKey),
    };
    if has_body {
        return Err(HandshakeError::Body);
    }
    Ok(Upgrade::WebSocket(Offer {
        accept,
        protocols: texts(elements(headers, &header::SEC_WEBSOCKET_PROTOCOL)),
        extensions: texts(extension_names(headers)),
    }))
}

/// `GET`, HTTP/1.1, and both fields that ask for it, whichever lines they stand on
/// (section 4.2.1, items 1, 3 and 4).
fn is_attempt(head: &request::Parts) -> bool {
    asks_for_websocket(head) && has_token(&head.headers, &header::CONNECTION, "upgrade")
}

fn asks_for_websocket(head: &request::Parts) -> bool {
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && has_token(&head.headers, &header::UPGRADE, "websocket")
}

/// What is not ASCII is no token, so that nobody can agree on it.
fn texts<'h>(names: impl Iterator<Item = &'h [u8]>) -> Vec<Box<str>> {
    names
        .filter(|name| name.is_ascii())
        .filter_map(|name| str::from_utf8(name).ok())
        .map(Into::into)
        .collect()
}

#[cfg(test)]
mod tests;
