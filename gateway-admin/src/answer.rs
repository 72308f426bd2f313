//! How answers look: JSON that a person can read, entity tags, and the revision they speak of.

use std::time::{Duration, SystemTime};

use axum::response::{IntoResponse, Response};
use gateway_core::resource::ApplicationGateway;
use http::header::{CONTENT_TYPE, ETAG, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::control::Published;

pub(crate) const GATEWAY_REVISION: HeaderName = HeaderName::from_static("gateway-revision");
pub(crate) const GATEWAY_GENERATION: HeaderName = HeaderName::from_static("gateway-generation");
pub(crate) const GATEWAY_WARNINGS: HeaderName = HeaderName::from_static("gateway-warnings");
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Indented, and with a newline at its end, since its reader sits at a terminal.
pub(crate) fn json_text<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value)
        .expect("answers have string keys and no failing Serialize");
    text.push('\n');
    text
}

/// The whole document, without secrets.
pub(crate) fn document_json(document: &ApplicationGateway) -> Value {
    serde_json::to_value(document).expect("documents have string keys and finite numbers only")
}

/// An answer of JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [content_type], json_text(value)).into_response()
}

/// A strong entity tag, quoted (RFC 9110 section 8.8.3).
pub(crate) fn entity_tag(tag: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{tag}\"")).expect("tags are hexadecimal")
}

/// Says which revision an answer speaks of, so that the header and the body are of one moment.
pub(crate) fn of_revision(mut response: Response, published: &Published) -> Response {
    add_revision(response.headers_mut(), published);
    response
}

/// As [`of_revision`], where the handler has not said it.
pub(crate) fn add_revision(headers: &mut HeaderMap, published: &Published) {
    headers
        .entry(GATEWAY_REVISION)
        .or_insert_with(|| published.revision.into());
    headers
        .entry(GATEWAY_GENERATION)
        .or_insert_with(|| published.generation.into());
}

/// Adds the tag of what the answer shows.
pub(crate) fn tagged(mut response: Response, tag: &str) -> Response {
    response.headers_mut().insert(ETAG, entity_tag(tag));
    response
}

/// What a write took, for humans and for a browser's developer tools (`Server-Timing`).
pub(crate) fn timing(apply: Duration, store: Duration) -> HeaderValue {
    let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
    let text = format!(
        "apply;dur={:.3}, store;dur={:.3}",
        milliseconds(apply),
        milliseconds(store)
    );
    HeaderValue::from_str(&text).expect("digits and ASCII punctuation")
}

/// RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    // The format reaches from 1970 to 9999; a clock set before that must not take the page down.
    let at = at.max(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_millis(at).to_string()
}
