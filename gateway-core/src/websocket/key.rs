//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` (RFC 6455 sections 4.1 and 4.2.2).

use http::HeaderValue;

/// A key that decodes to 16 bytes, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketKey([u8; 24]);

/// The answer to a key: 28 bytes of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptKey([u8; 28]);

impl WebSocketKey {
    /// Takes base64 of exactly 16 bytes (section 4.2.1, item 5).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let _ = text;
        unimplemented!()
    }

    /// The accept value of this key (section 4.2.2, item 5.4).
    pub fn accept(&self) -> AcceptKey {
        let _ = self.0;
        unimplemented!()
    }
}

impl AcceptKey {
    /// As a header's value.
    pub fn to_header_value(self) -> HeaderValue {
        let _ = self.0;
        unimplemented!()
    }
}
