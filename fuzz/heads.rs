//! Heads out of bytes, as hyper makes them: by httparse, with the types of `http`.

use http::{HeaderMap, HeaderName, HeaderValue, Version};

/// More than any seed has.
const FIELDS: usize = 64;

/// The request head that `bytes` begin with, and what is behind it.
#[allow(dead_code, reason = "not every target reads both kinds")]
pub fn request(bytes: &[u8]) -> Option<(http::request::Parts, &[u8])> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(end) = request.parse(bytes).ok()? else {
        return None;
    };
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = http::Method::from_bytes(request.method?.as_bytes()).ok()?;
    head.uri = request.path?.parse().ok()?;
    head.version = version(request.version?);
    head.headers = headers(request.headers)?;
    Some((head, &bytes[end..]))
}

/// The response head that `bytes` begin with, and what is behind it.
#[allow(dead_code, reason = "not every target reads both kinds")]
pub fn response(bytes: &[u8]) -> Option<(http::response::Parts, &[u8])> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(end) = response.parse(bytes).ok()? else {
        return None;
    };
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = http::StatusCode::from_u16(response.code?).ok()?;
    head.version = version(response.version?);
    head.headers = headers(response.headers)?;
    Some((head, &bytes[end..]))
}

fn version(minor: u8) -> Version {
    if minor == 0 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    }
}

fn headers(fields: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(headers)
}
