//! The one place where a failure becomes an answer.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response};

use crate::body::ResponseBody;
use crate::error::{ProxyError, Side};
use crate::refusal::HandshakeRefusal;

/// Seconds until a client may reasonably ask again: a few probes later.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// The answer to a request that failed: status, and the reason in words.
pub(crate) fn respond(error: &ProxyError) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(Bytes::from(format!("{error}\n"))));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if let ProxyError::Handshake(HandshakeRefusal::Malformed(error)) = error {
        error.write_fields(headers);
    }
    if let ProxyError::Method(_) = error {
        // RFC 9110 section 15.5.6.
        let served = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        headers.insert(ALLOW, HeaderValue::from_static(served));
    }
    if let Some(seconds) = come_back(error) {
        headers.insert(RETRY_AFTER, seconds);
    }
    if closes(error) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// 502 and 503 for want of a target or of room pass by themselves.
fn come_back(error: &ProxyError) -> Option<HeaderValue> {
    if let ProxyError::NoTarget { .. } = error {
        return Some(RETRY_AFTER_SECONDS);
    }
    let ProxyError::Handshake(refusal) = error else {
        return None;
    };
    let seconds = refusal.retry_after()?;
    Some(HeaderValue::from(fastrand::u32(seconds)))
}

/// After a request that may have been understood in two ways, nothing more is read.
fn closes(error: &ProxyError) -> bool {
    error.side() == Side::Client && !matches!(error, ProxyError::Handshake(_))
}
