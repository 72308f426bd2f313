//! Reading header fields that are lists: all lines of a name, element by element.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The elements of a comma-separated list over all lines, trimmed, without the empty ones
/// (RFC 9110 section 5.6.1). For lists of tokens: a comma inside quotes separates as well.
pub(super) fn elements<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'h [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Whether a list has the token, in any case.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// The value of a field that must come once; `Err` with how often it came.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h [u8], usize> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.count()) {
        (Some(value), 0) => Ok(trim(value.as_bytes())),
        (first, more) => Err(usize::from(first.is_some()) + more),
    }
}

/// The names of the extensions in a `Sec-WebSocket-Extensions` list (RFC 6455 section 9.1): what
/// stands before the parameters of each element. A comma in a quoted parameter does not separate.
pub(super) fn extension_names(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(header::SEC_WEBSOCKET_EXTENSIONS)
        .iter()
        .flat_map(|line| {
            let mut quoted = false;
            line.as_bytes().split(move |&byte| {
                quoted ^= byte == b'"';
                byte == b',' && !quoted
            })
        })
        .filter_map(|element| element.split(|&byte| byte == b';').next())
        .map(trim)
        .filter(|name| !name.is_empty())
}

/// Writes `Connection: Upgrade` and `Upgrade: websocket` in place of whatever was there: for the
/// handshake that goes to a backend, and for the 101 that goes to a client.
pub fn write_upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Without optional white space: space and tab (RFC 9110 section 5.6.3).
fn trim(bytes: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(is_text).unwrap_or(bytes.len());
    let end = bytes
        .iter()
        .rposition(is_text)
        .map_or(start, |last| last + 1);
    &bytes[start..end]
}
