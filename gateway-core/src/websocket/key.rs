//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` (RFC 6455 sections 4.1 and 4.2.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sha1::{Digest as _, Sha1};

/// What a key is joined with (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The longest key that is taken from a client that has none of 16 bytes: base64 of 96 bytes.
const LONGEST_TOKEN: usize = 128;

/// A key that decodes to 16 bytes, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebSocketKey([u8; 24]);

/// The answer to a key: 28 bytes of base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptKey([u8; 28]);

impl WebSocketKey {
    /// Takes base64 of exactly 16 bytes (section 4.2.1, item 5), as RFC 4648 has it written: with
    /// padding, and zeros in the four bits of the last character that belong to no byte. Servers
    /// refuse what is written otherwise, so that passing it on would help nobody.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: [u8; 24] = text.try_into().ok()?;
        let mut decoded = [0; 18];
        let length = STANDARD.decode_slice(text, &mut decoded).ok()?;
        (length == 16).then_some(Self(text))
    }

    /// A client's own key, of 16 random bytes (section 4.1, item 7).
    pub fn from_nonce(nonce: [u8; 16]) -> Self {
        let mut text = [0; 24];
        STANDARD
            .encode_slice(nonce, &mut text)
            .expect("16 bytes are 24 of base64");
        Self(text)
    }

    /// As a header's value.
    pub fn to_header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("base64 is visible ASCII")
    }

    /// The accept value of this key (section 4.2.2, item 5.4).
    pub fn accept(&self) -> AcceptKey {
        AcceptKey::of(&self.0)
    }
}

impl AcceptKey {
    /// The accept value of what some clients send for a key: any one token, in which base64's `/`
    /// and `=` may be, too. `None` for what is none, or is longer than anybody's.
    pub(super) fn of_token(key: &[u8]) -> Option<Self> {
        let is_token =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/=".contains(byte);
        let fits = (1..=LONGEST_TOKEN).contains(&key.len());
        (fits && key.iter().all(is_token)).then(|| Self::of(key))
    }

    fn of(key: &[u8]) -> Self {
        let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        let mut accept = [0; 28];
        STANDARD
            .encode_slice(digest, &mut accept)
            .expect("20 bytes are 28 of base64");
        Self(accept)
    }

    /// Its text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a header's value.
    pub fn to_header_value(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).expect("base64 is visible ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_16_decoded_bytes() {
        let rows = [
            // (clause, text, is a key)
            ("1.3, the RFC's example", "dGhlIHNhbXBsZSBub25jZQ==", true),
            (
                "RFC 4648 3.5, loose last bits",
                "dGhlIHNhbXBsZSBub25jZR==",
                false,
            ),
            ("4.2.1 (5) + and /", "++//AAAAAAAAAAAAAAAAAA==", true),
            ("4.2.1 (5) 15 bytes", "AAAAAAAAAAAAAAAAAAAA", false),
            ("4.2.1 (5) 17 bytes", "AAAAAAAAAAAAAAAAAAAAAAA=", false),
            ("4.2.1 (5) 18 bytes", "AAAAAAAAAAAAAAAAAAAAAAAA", false),
            ("RFC 4648 3.2, no padding", "dGhlIHNhbXBsZSBub25jZQ", false),
            ("RFC 4648 3.2, half of it", "dGhlIHNhbXBsZSBub25jZQ=", false),
            (
                "RFC 4648 4, URL alphabet",
                "--__AAAAAAAAAAAAAAAAAA==",
                false,
            ),
            (
                "RFC 4648 3.3, white space",
                "dGhlIHNhbXBs ZSBub25jZQ=",
                false,
            ),
            ("empty", "", false),
        ];
        for (clause, text, expected) in rows {
            let parsed = WebSocketKey::parse(text.as_bytes());
            assert_eq!(parsed.is_some(), expected, "{clause}: {text}");
        }
        assert_eq!(WebSocketKey::parse(&[0xff; 24]), None);
    }

    #[test]
    fn a_key_of_our_own_is_a_key() {
        let key = WebSocketKey::from_nonce(*b"the sample nonce");
        assert_eq!(key.to_header_value(), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(
            WebSocketKey::parse(key.to_header_value().as_bytes()),
            Some(key)
        );
    }

    #[test]
    fn accept_is_the_rfcs() {
        let key = WebSocketKey::parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(
            key.accept().to_header_value(),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
