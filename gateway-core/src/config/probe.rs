//! Custom probes: what is asked, how often, and which answers count as healthy.

use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

/// `probes[]`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Plain or TLS.
    pub protocol: ProbeProtocol,
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
    /// Which answers are healthy.
    pub matches: ProbeMatch,
    /// The probe's own port; otherwise the target's.
    pub port: Option<NonZeroU16>,
}

/// What a probe speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeProtocol {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https,
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
