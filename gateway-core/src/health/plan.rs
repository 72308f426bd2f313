//! What a probe asks: the reference's default and custom probes, resolved for one backend.

use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use crate::config::{HttpSettings, Probe, ProbeMatch, ProbeProtocol};
use crate::snapshot::Target;

/// How a backend's targets are probed: its custom probe, or the default one (reference section 5).
#[derive(Debug, Clone, PartialEq)]
pub struct ProbePlan {
    /// Plain or TLS.
    pub protocol: ProbeProtocol,
    /// `GET` this.
    pub path: String,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// How long one probe may take.
    pub timeout: Duration,
    /// Consecutive failures until a target is down.
    pub unhealthy_threshold: NonZeroU8,
    /// So many members are always treated as healthy.
    pub min_servers: usize,
    /// Which answers are healthy.
    pub matches: ProbeMatch,
    /// The probe's own port.
    pub port: Option<u16>,
    /// The `Host`, where it does not depend on the target.
    pub host: Option<String>,
}

/// One probe of one target, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeRequest {
    /// Where to connect.
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// The name for SNI and for the certificate, over TLS; never an address.
    pub server_name: Option<String>,
}

impl ProbePlan {
    /// The plan for `settings`, with its custom probe if it has one.
    pub fn new(settings: &HttpSettings, custom: Option<&Probe>) -> Self {
        let _ = (settings, custom);
        unimplemented!()
    }

    /// What to send to `target`.
    pub fn request(&self, settings: &HttpSettings, target: &Target) -> ProbeRequest {
        let _ = (settings, target);
        unimplemented!()
    }
}
