//! One JSON record for each request, off the workers: they put it in a bounded queue and go on; what
//! does not fit is counted and dropped. Fields are Application Gateway's (reference section 13).

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use gateway_core::snapshot::Route;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version};
use serde::Serialize;

use crate::exchange::Exchange;
use crate::forwarded_headers::TraceId;
use crate::metrics::{TUNNEL_ENDS, tunnel_end};
use crate::tunnel::{Side, TunnelEnd};

/// How many records may wait for the writer.
const QUEUE: usize = 8192;

/// Takes access records off the workers; never blocks.
#[derive(Debug, Clone)]
pub struct AccessSink {
    queue: SyncSender<Record>,
    dropped: Arc<AtomicU64>,
}

impl AccessSink {
    /// Writes to `writer` from a thread of its own, flushed whenever the queue is empty.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn to_writer(writer: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, records) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_all(&records, writer))?;
        Ok(Self {
            queue,
            dropped: Arc::default(),
        })
    }

    /// How many records did not fit.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn send(&self, record: Record) {
        if self.queue.try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes until all senders are gone. A destination that fails (a full disk) loses its records, not
/// the process.
fn write_all(records: &Receiver<Record>, mut writer: impl Write) {
    while let Ok(first) = records.recv() {
        let mut next = Some(first);
        while let Some(record) = next {
            if let Ok(mut line) = record.to_json() {
                line.push(b'\n');
                let _ = writer.write_all(&line);
            }
            next = records.try_recv().ok();
        }
        let _ = writer.flush();
    }
}

/// What is written: a line each.
#[derive(Debug)]
pub(crate) enum Record {
    /// A request; a handshake that opened a tunnel is one, too.
    Request(Box<RequestRecord>),
    /// A tunnel that ended.
    Tunnel(Box<TunnelRecord>),
}

impl Record {
    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Request(record) => serde_json::to_vec(&Line::from(&**record)),
            Self::Tunnel(record) => serde_json::to_vec(&TunnelLine::from(&**record)),
        }
    }
}

/// A route's names, shared by its records.
#[derive(Debug)]
pub(crate) struct RouteLabels {
    listener: Arc<str>,
    rule: Arc<str>,
    pool: Arc<str>,
    settings: Arc<str>,
}

impl RouteLabels {
    pub(crate) fn new(route: &Route) -> Self {
        Self {
            listener: route.listener.to_shared(),
            rule: route.rule.to_shared(),
            pool: route.backend.pool.to_shared(),
            settings: route.backend.settings_name.to_shared(),
        }
    }
}

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
}

/// What is kept of a handshake for as long as its tunnel lives: copies, since a head's own bytes would
/// pin the buffer that it was read into.
#[derive(Debug)]
pub(crate) struct TunnelRecord {
    trace_id: TraceId,
    client: SocketAddr,
    secure: bool,
    path: Box<str>,
    target: SocketAddr,
    route: Option<Arc<RouteLabels>>,
    end: Option<(SystemTime, TunnelEnd)>,
}

impl TunnelRecord {
    /// For the tunnel that `exchange` opens to `target`.
    pub(crate) fn begin(exchange: &Exchange, target: SocketAddr) -> Self {
        let request = exchange.record();
        Self {
            trace_id: *exchange.trace_id(),
            client: exchange.client(),
            secure: exchange.is_secure(),
            path: request.map_or("", |request| request.uri.path()).into(),
            target,
            route: exchange.labels(),
            end: None,
        }
    }

    /// Remembers the end.
    pub(crate) fn end(&mut self, end: TunnelEnd) {
        self.end = Some((SystemTime::now(), end));
    }
}

/// A request's record as it is written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    time_stamp: String,
    operation_name: &'static str,
    category: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend_pool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend_setting_name: Option<&'a str>,
    properties: Properties<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Properties<'a> {
    #[serde(rename = "clientIP")]
    client_ip: std::net::IpAddr,
    client_port: u16,
    http_method: &'a str,
    request_uri: &'a str,
    request_query: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<std::borrow::Cow<'a, str>>,
    http_status: u16,
    http_version: &'static str,
    received_bytes: u64,
    sent_bytes: u64,
    time_taken: f64,
    transaction_id: &'a str,
    ssl_enabled: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_routed: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<std::borrow::Cow<'a, str>>,
    #[serde(rename = "error_info")]
    error_info: &'static str,
}

impl<'a> From<&'a RequestRecord> for Line<'a> {
    fn from(record: &'a RequestRecord) -> Self {
        let end = record.end.as_ref();
        let route = end.and_then(|end| end.route.as_deref());
        let text = |value: &'a HeaderValue| String::from_utf8_lossy(value.as_bytes());
        Self {
            time_stamp: timestamp(record.began),
            operation_name: "ApplicationGatewayAccess",
            category: "ApplicationGatewayAccessLog",
            listener_name: route.map(|route| &*route.listener),
            rule_name: route.map(|route| &*route.rule),
            backend_pool_name: route.map(|route| &*route.pool),
            backend_setting_name: route.map(|route| &*route.settings),
            properties: Properties {
                client_ip: record.client.ip(),
                client_port: record.client.port(),
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
                ssl_enabled: on_off(record.secure),
                server_routed: end.and_then(|end| end.target),
                host: record.host.as_ref().map(text),
                error_info: end.map_or("ERRORINFO_NO_ERROR", |end| end.error_info),
            },
        }
    }
}

/// A tunnel's record as it is written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TunnelLine<'a> {
    time_stamp: String,
    operation_name: &'static str,
    category: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend_pool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend_setting_name: Option<&'a str>,
    properties: TunnelProperties<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TunnelProperties<'a> {
    #[serde(rename = "clientIP")]
    client_ip: std::net::IpAddr,
    client_port: u16,
    request_uri: &'a str,
    transaction_id: &'a str,
    ssl_enabled: &'static str,
    server_routed: SocketAddr,
    ended_by: &'static str,
    cause: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    close_code: Option<u16>,
    received_messages: u64,
    received_bytes: u64,
    sent_messages: u64,
    sent_bytes: u64,
    time_taken: f64,
}

impl<'a> From<&'a TunnelRecord> for TunnelLine<'a> {
    fn from(record: &'a TunnelRecord) -> Self {
        let route = record.route.as_deref();
        let (at, end) = match &record.end {
            Some((at, end)) => (*at, Some(end)),
            None => (SystemTime::now(), None),
        };
        let (up, down) = end.map_or_else(Default::default, |end| (end.to_backend, end.to_client));
        Self {
            time_stamp: timestamp(at),
            operation_name: "TunnelEnd",
            category: "ApplicationGatewayAccessLog",
            listener_name: route.map(|route| &*route.listener),
            rule_name: route.map(|route| &*route.rule),
            backend_pool_name: route.map(|route| &*route.pool),
            backend_setting_name: route.map(|route| &*route.settings),
            properties: TunnelProperties {
                client_ip: record.client.ip(),
                client_port: record.client.port(),
                request_uri: &record.path,
                transaction_id: record.trace_id.as_str(),
                ssl_enabled: on_off(record.secure),
                server_routed: record.target,
                ended_by: match end.and_then(|end| end.by) {
                    Some(Side::Client) => "client",
                    Some(Side::Backend) => "backend",
                    None => "gateway",
                },
                cause: end.map_or("", |end| TUNNEL_ENDS[tunnel_end(&end.cause)]),
                close_code: end.and_then(|end| end.close_code),
                received_messages: up.messages,
                received_bytes: up.bytes,
                sent_messages: down.messages,
                sent_bytes: down.bytes,
                time_taken: end.map_or(0.0, |end| end.age.as_secs_f64()),
            },
        }
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// RFC 3339 in UTC, to the millisecond.
fn timestamp(at: SystemTime) -> String {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The Gregorian date of a day since 1970-01-01, by eras of 400 years that begin in March.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(timestamp(at), text);
        }
    }
}
