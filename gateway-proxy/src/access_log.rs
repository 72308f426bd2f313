//! JSON records of requests and of tunnels, off the workers: they put them in a bounded queue and go on;
//! what does not fit is counted and dropped. Fields are Application Gateway's (reference section 13).

mod request;
mod timestamp;
mod tunnel;

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::SystemTime;

use gateway_core::snapshot::Route;
use serde::Serialize;

pub(crate) use request::{RequestEnd, RequestRecord};
use timestamp::timestamp;
pub(crate) use tunnel::{TunnelNews, TunnelRecord};

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
    /// A tunnel that opened, goes on, or ended.
    Tunnel(Box<TunnelRecord>),
}

impl Record {
    fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        match self {
            Self::Request(record) => serde_json::to_vec(&record.line()),
            Self::Tunnel(record) => serde_json::to_vec(&record.line()),
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

    /// Those of listener, rule, pool and HTTP settings.
    pub(crate) fn names(&self) -> [&str; 4] {
        [&self.listener, &self.rule, &self.pool, &self.settings].map(|name| &**name)
    }
}

/// A record as it is written; what it is about is in its properties.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a, P> {
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
    properties: P,
}

impl<'a, P> Line<'a, P> {
    fn new(
        at: SystemTime,
        operation_name: &'static str,
        route: Option<&'a RouteLabels>,
        properties: P,
    ) -> Self {
        Self {
            time_stamp: timestamp(at),
            operation_name,
            category: "ApplicationGatewayAccessLog",
            listener_name: route.map(|route| &*route.listener),
            rule_name: route.map(|route| &*route.rule),
            backend_pool_name: route.map(|route| &*route.pool),
            backend_setting_name: route.map(|route| &*route.settings),
            properties,
        }
    }
}

/// Who asked: what every record's properties begin with.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    #[serde(rename = "clientIP")]
    client_ip: IpAddr,
    client_port: u16,
    ssl_enabled: &'static str,
}

impl Client {
    fn new(address: SocketAddr, secure: bool) -> Self {
        Self {
            client_ip: address.ip(),
            client_port: address.port(),
            ssl_enabled: if secure { "on" } else { "off" },
        }
    }
}
