//! A request's record.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version};
use serde::Serialize;

use super::{Client, Line, RouteLabels};
use crate::forwarded_headers::TraceId;

/// What is kept of a request until it is written. Nothing is formatted on a worker.
#[derive(Debug)]
pub(crate) struct RequestRecord {
    began: SystemTime,
    client: SocketAddr,
    secure: bool,
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    end: Option<RequestEnd>,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) struct RequestEnd {
    pub(crate) trace_id: TraceId,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) target: Option<SocketAddr>,
    pub(crate) route: Option<Arc<RouteLabels>>,
    pub(crate) error_info: &'static str,
}

impl RequestRecord {
    /// Remembers a head; the values share its bytes.
    pub(crate) fn begin<B>(client: SocketAddr, secure: bool, request: &Request<B>) -> Self {
        Self {
            began: SystemTime::now(),
            client,
            secure,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: request.headers().get(HOST).cloned(),
            user_agent: request.headers().get(USER_AGENT).cloned(),
            end: None,
        }
    }

    /// Remembers the end.
    pub(crate) fn end(&mut self, end: RequestEnd) {
        self.end = Some(end);
    }

    /// As it is written.
    pub(super) fn line(&self) -> Line<'_, Properties<'_>> {
        let end = self.end.as_ref();
        let route = end.and_then(|end| end.route.as_deref());
        let properties = Properties::from(self);
        Line::new(self.began, "ApplicationGatewayAccess", route, properties)
    }
}

/// What is said of a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Properties<'a> {
    #[serde(flatten)]
    client: Client,
    http_method: &'a str,
    request_uri: &'a str,
    request_query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<Cow<'a, str>>,
    http_status: u16,
    http_version: &'static str,
    received_bytes: u64,
    sent_bytes: u64,
    time_taken: f64,
    transaction_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_routed: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Cow<'a, str>>,
    #[serde(rename = "error_info")]
    error_info: &'static str,
}

impl<'a> From<&'a RequestRecord> for Properties<'a> {
    fn from(record: &'a RequestRecord) -> Self {
        let end = record.end.as_ref();
        let text = |value: &'a HeaderValue| String::from_utf8_lossy(value.as_bytes());
        Self {
            client: Client::new(record.client, record.secure),
            http_method: record.method.as_str(),
            request_uri: record.uri.path(),
            request_query: record.uri.query().unwrap_or(""),
            user_agent: record.user_agent.as_ref().map(text),
            http_status: end.map_or(0, |end| end.status.as_u16()),
            http_version: if record.version == Version::HTTP_10 {
                "HTTP/1.0"
            } else {
                "HTTP/1.1"
            },
            received_bytes: end.map_or(0, |end| end.received),
            sent_bytes: end.map_or(0, |end| end.sent),
            time_taken: end.map_or(0.0, |end| end.took.as_secs_f64()),
            transaction_id: end.map_or("", |end| end.trace_id.as_str()),
            server_routed: end.and_then(|end| end.target),
            host: record.host.as_ref().map(text),
            error_info: end.map_or("ERRORINFO_NO_ERROR", |end| end.error_info),
        }
    }
}
