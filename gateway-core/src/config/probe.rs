//! Custom probes: what is asked, how often, and which answers count as healthy.

use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use super::{BackendProtocol, HttpSettings};

/// `probes[]`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Plain or TLS.
    pub protocol: ProbeProtocol,
    /// What is asked, and which answers are healthy.
    pub asks: ProbeAsks,
    /// The host asked for.
    pub host: ProbeHost,
    /// Begins with `/`.
    pub path: String,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// How long one probe may take; may exceed the interval.
    pub timeout: Duration,
    /// Consecutive failures until a target is down.
    pub unhealthy_threshold: NonZeroU8,
    /// So many members are always treated as healthy.
    pub min_servers: usize,
    /// The probe's own port; otherwise the target's.
    pub port: Option<NonZeroU16>,
}

impl Probe {
    /// Whether a probe under `settings` goes over TLS.
    pub fn speaks_tls(&self, settings: &HttpSettings) -> bool {
        match self.protocol {
            ProbeProtocol::Http => false,
            ProbeProtocol::Https => true,
            ProbeProtocol::AsHttpSettings => matches!(settings.protocol, BackendProtocol::Https(_)),
        }
    }
}

/// What a probe is spoken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeProtocol {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
    /// As live traffic under the HTTP settings: a WebSocket probe names none of its own.
    AsHttpSettings,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeAsks {
    /// A `GET`; which answers to it are healthy.
    Get(ProbeMatch),
    /// A WebSocket handshake and a Ping: healthy is a valid 101 and the Ping's own Pong.
    WebSocket {
        /// Offered, and then to be agreed to (`webSocket.subprotocol`, extension).
        subprotocol: Option<Box<str>>,
    },
}

/// Where a probe's `Host` comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeHost {
    /// `host`.
    Fixed(String),
    /// `pickHostNameFromBackendHttpSettings`: the settings' `hostName`, else the member's FQDN.
    FromHttpSettings,
}

/// Which answers are healthy: a status in one of the ranges, and a body that holds the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeMatch {
    /// At least one range.
    pub statuses: Vec<StatusRange>,
    /// A substring of the body; empty matches all.
    pub body: String,
}

/// `"200-399"` or `"204"`: both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// The lowest status.
    pub first: u16,
    /// The highest status.
    pub last: u16,
}
