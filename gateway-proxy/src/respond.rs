//! The one place where a failure becomes an answer.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION};
use http::{HeaderValue, Response, StatusCode};

use crate::body::ResponseBody;
use crate::error::{ProxyError, Side};

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
    match error.status() {
        StatusCode::UPGRADE_REQUIRED => {
            // RFC 6455 section 4.4, and RFC 9110 section 15.5.22: name what would be right.
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            headers.insert(http::header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(
                ALLOW,
                HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            );
        }
        _ => {}
    }
    if asks_to_come_back(error) {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    if closes(error) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// 502 and 503 for want of a target or of room pass by themselves.
fn asks_to_come_back(error: &ProxyError) -> bool {
    matches!(
        error,
        ProxyError::NoTarget { .. } | ProxyError::TooManyHandshakes | ProxyError::TooManyTunnels
    )
}

/// After a request that may have been understood in two ways, nothing more is read.
fn closes(error: &ProxyError) -> bool {
    error.side() == Side::Client && !matches!(error, ProxyError::Handshake(_))
}
