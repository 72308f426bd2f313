//! What hyper's parser lets through and a gateway must not: the last checks of a request's head, and
//! the host that it is for.
//!
//! hyper refuses by itself: obs-fold, NUL and bare CR, white space before a colon, a bad or conflicting
//! Content-Length, a Transfer-Encoding that does not end in chunked, HTTP/0.9 and what it cannot parse.

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Version, request};

use crate::error::ProxyError;

/// What a checked head says beyond its fields.
#[derive(Debug)]
pub(crate) struct CheckedHead {
    /// The authority that the request is for; `None` for HTTP/1.0 without one. The head holds it
    /// as its only `Host`.
    pub(crate) authority: Option<HeaderValue>,
    /// The body waits for a 100.
    pub(crate) expects_continue: bool,
}

impl CheckedHead {
    /// The host without its port, to route by.
    pub(crate) fn host(&self) -> &str {
        let authority = self.authority.as_ref().map(HeaderValue::as_bytes);
        // The check has let through ASCII only.
        str::from_utf8(without_port(authority.unwrap_or_default())).unwrap_or_default()
    }
}

/// Checks `head`, and makes its `Host` the one that counts (RFC 9112 section 3.2.2).
pub(crate) fn check(head: &mut request::Parts) -> Result<CheckedHead, ProxyError> {
    check_method(&head.method)?;
    if head.version != Version::HTTP_11 && head.version != Version::HTTP_10 {
        return Err(ProxyError::BadRequest(
            "only HTTP/1.1 and HTTP/1.0 are served",
        ));
    }
    check_framing(head)?;
    let authority = check_host(head)?;
    let expects_continue = check_expect(head)?;
    check_target(head)?;
    Ok(CheckedHead {
        authority,
        expects_continue,
    })
}

fn check_method(method: &Method) -> Result<(), ProxyError> {
    match *method {
        Method::CONNECT => Err(ProxyError::Method("CONNECT")),
        Method::TRACE => Err(ProxyError::Method("TRACE")),
        _ => Ok(()),
    }
}

/// RFC 9112 section 6.1: the one transfer coding that is understood is `chunked`, once.
fn check_framing(head: &mut request::Parts) -> Result<(), ProxyError> {
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        _ => {
            return Err(ProxyError::BadRequest(
                "the only Transfer-Encoding that is understood is chunked",
            ));
        }
    }
    write_length_anew(&mut head.headers)
}

/// Leading zeros are allowed, and so is the same length again (RFC 9110 section 8.6); but 010 is octal to
/// some, and of two lines some take the other.
fn write_length_anew(headers: &mut HeaderMap) -> Result<(), ProxyError> {
    const BAD: ProxyError = ProxyError::BadRequest("Content-Length is not a number");
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lines.next() else {
        return Ok(());
    };
    let length = number(first).ok_or(BAD)?;
    let mut is_canonical = first.len() == 1 || first.as_bytes()[0] != b'0';
    for other in lines {
        if number(other) != Some(length) {
            return Err(ProxyError::BadRequest("more than one Content-Length"));
        }
        is_canonical = false;
    }
    if !is_canonical {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    Ok(())
}

/// A length: digits, and nothing else.
fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes().iter().all(u8::is_ascii_digit);
    digits.then(|| value.to_str().ok()?.parse().ok())?
}

/// Exactly one `Host`; a target in absolute form has the last word (RFC 9112 section 3.2.2).
fn check_host(head: &mut request::Parts) -> Result<Option<HeaderValue>, ProxyError> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(ProxyError::BadRequest("Host is sent more than once")),
        (Some(host), None) => Some(host),
        (None, _) if head.version == Version::HTTP_10 => None,
        (None, _) => return Err(ProxyError::BadRequest("Host is missing")),
    };
    if host.is_some_and(|host| !is_authority(host.as_bytes())) {
        return Err(ProxyError::BadRequest("Host is not a host"));
    }
    let Some(authority) = head.uri.authority() else {
        return Ok(host.cloned());
    };
    let authority = authority_value(authority)?;
    head.headers.insert(HOST, authority.clone());
    Ok(Some(authority))
}

fn authority_value(authority: &Authority) -> Result<HeaderValue, ProxyError> {
    const BAD: ProxyError = ProxyError::BadRequest("the request target's authority is not a host");
    if !is_authority(authority.as_str().as_bytes()) {
        return Err(BAD);
    }
    HeaderValue::from_str(authority.as_str()).map_err(|_| BAD)
}

/// `host [":" port]` (RFC 9110 section 7.2), without what no host on the web has: user information,
/// percent-encoding, sub-delimiters.
fn is_authority(bytes: &[u8]) -> bool {
    let host_end = if bytes.first() == Some(&b'[') {
        let Some(close) = bytes.iter().position(|&byte| byte == b']') else {
            return false;
        };
        let literal = std::str::from_utf8(&bytes[1..close]).ok();
        if literal
            .and_then(|text| text.parse::<std::net::Ipv6Addr>().ok())
            .is_none()
        {
            return false;
        }
        close + 1
    } else {
        let end = bytes.iter().position(|&byte| byte == b':');
        let end = end.unwrap_or(bytes.len());
        let is_host_byte =
            |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if end == 0 || !bytes[..end].iter().all(is_host_byte) {
            return false;
        }
        end
    };
    match &bytes[host_end..] {
        [] | [b':'] => true,
        [b':', port @ ..] => {
            port.len() <= 5
                && port.iter().all(u8::is_ascii_digit)
                && std::str::from_utf8(port).is_ok_and(|port| port.parse::<u16>().is_ok())
        }
        _ => false,
    }
}

fn without_port(authority: &[u8]) -> &[u8] {
    let literal_end = authority.iter().rposition(|&byte| byte == b']');
    let after_literal = literal_end.map_or(0, |close| close + 1);
    let colon = authority[after_literal..]
        .iter()
        .position(|&byte| byte == b':');
    match colon {
        Some(colon) => &authority[..after_literal + colon],
        None => authority,
    }
}

/// An HTTP/1.0 client's `Expect` means nothing (RFC 9110 section 10.1.1).
fn check_expect(head: &mut request::Parts) -> Result<bool, ProxyError> {
    if head.version == Version::HTTP_10 {
        head.headers.remove(EXPECT);
        return Ok(false);
    }
    let mut expectations = head.headers.get_all(EXPECT).iter();
    match (expectations.next(), expectations.next()) {
        (None, _) => Ok(false),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(ProxyError::Expectation),
    }
}

/// Origin form, absolute form of http or https, or `OPTIONS *` (RFC 9112 section 3.2).
fn check_target(head: &request::Parts) -> Result<(), ProxyError> {
    const BAD: ProxyError = ProxyError::BadRequest("the request target is not understood");
    let target = &head.uri;
    match (target.scheme(), target.authority()) {
        (None, None) if target.path() == "*" => {
            if head.method == Method::OPTIONS {
                Ok(())
            } else {
                Err(BAD)
            }
        }
        (None, None) if target.path().starts_with('/') => Ok(()),
        (Some(scheme), Some(_)) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => Ok(()),
        _ => Err(BAD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_host_and_port_only() {
        for good in [
            "a",
            "a.example",
            "a_b:80",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:443",
            "a:",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "u@a", "a b", "a,b", "a:80:80", "a:x", "a:65536", "[::1", "[a]", "a/b",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn a_length_goes_on_without_leading_zeros() {
        for (sent, goes_on) in [
            ("5", Some("5")),
            ("0", Some("0")),
            ("000", Some("0")),
            ("0000000000000000000000046", Some("46")),
            ("", None),
            ("+5", None),
            ("0018446744073709551616", None),
            ("5|0005", Some("5")),
            ("0005|5", Some("5")),
            ("6|0005", None),
            ("5|x", None),
        ] {
            let mut headers = HeaderMap::new();
            for line in sent.split('|') {
                headers.append(CONTENT_LENGTH, line.parse().unwrap());
            }
            let outcome = write_length_anew(&mut headers);
            assert_eq!(outcome.is_ok(), goes_on.is_some(), "{sent:?}");
            if let Some(expected) = goes_on {
                let lines: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().collect();
                assert_eq!(lines, [expected], "{sent:?}");
            }
        }
    }

    #[test]
    fn a_host_is_routed_by_without_its_port() {
        for (authority, host) in [
            ("a:80", "a"),
            ("a", "a"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
        ] {
            assert_eq!(without_port(authority.as_bytes()), host.as_bytes());
        }
    }
}
