//! What a probe asks: the reference's default and custom probes, resolved for one backend.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::time::Duration;

use crate::config::{
    BackendHost, BackendProtocol, HttpSettings, Probe, ProbeAsks, ProbeHost, ProbeMatch,
    StatusRange, TargetHost,
};
use crate::snapshot::Target;

/// The default probe's interval and its timeout.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
/// The default probe's threshold.
const DEFAULT_THRESHOLD: NonZeroU8 = NonZeroU8::new(3).expect("three is not zero");
/// The default probe's `Host`, where the HTTP settings name none.
const DEFAULT_HOST: &str = "127.0.0.1";

/// How a backend's targets are probed: its custom probe, or the default one (reference section 5).
#[derive(Debug, Clone, PartialEq)]
pub struct ProbePlan {
    /// Over TLS, not in the clear.
    pub tls: bool,
    /// What is asked, and which answers are healthy.
    pub asks: ProbeAsks,
    /// Where, on the target.
    pub path: String,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// How long one probe may take.
    pub timeout: Duration,
    /// Consecutive failures until a target is down.
    pub unhealthy_threshold: NonZeroU8,
    /// So many members are always treated as healthy.
    pub min_servers: usize,
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
    /// The `Host` header: no port, as with the HTTP settings' `hostName`; IPv6 in brackets.
    pub host: String,
    /// The name for SNI and for the certificate, over TLS; never an address. `None`: no SNI.
    pub server_name: Option<String>,
}

impl ProbePlan {
    /// The plan for `settings`, with its custom probe if it has one.
    pub fn new(settings: &HttpSettings, custom: Option<&Probe>) -> Self {
        match custom {
            Some(probe) => Self::custom(settings, probe),
            None => Self::default_for(settings),
        }
    }

    fn custom(settings: &HttpSettings, probe: &Probe) -> Self {
        let host = match (&probe.host, &settings.host) {
            (ProbeHost::Fixed(host), _)
            | (ProbeHost::FromHttpSettings, BackendHost::Fixed(host)) => Some(host.clone()),
            (ProbeHost::FromHttpSettings, BackendHost::FromClient | BackendHost::FromTarget) => {
                None
            }
        };
        Self {
            tls: probe.speaks_tls(settings),
            asks: probe.asks.clone(),
            path: probe.path.clone(),
            interval: probe.interval,
            timeout: probe.timeout,
            unhealthy_threshold: probe.unhealthy_threshold,
            min_servers: probe.min_servers,
            port: probe.port.map(Into::into),
            host,
        }
    }

    fn default_for(settings: &HttpSettings) -> Self {
        Self {
            tls: matches!(settings.protocol, BackendProtocol::Https(_)),
            asks: ProbeAsks::Get(ProbeMatch {
                statuses: vec![StatusRange {
                    first: 200,
                    last: 399,
                }],
                body: String::new(),
            }),
            path: "/".into(),
            interval: DEFAULT_INTERVAL,
            timeout: DEFAULT_INTERVAL,
            unhealthy_threshold: DEFAULT_THRESHOLD,
            min_servers: 0,
            port: None,
            host: match &settings.host {
                BackendHost::Fixed(host) => Some(host.clone()),
                BackendHost::FromTarget => None,
                BackendHost::FromClient => Some(DEFAULT_HOST.into()),
            },
        }
    }

    /// What to send to `target`. `settings` are those that the plan was made for.
    pub fn request(&self, settings: &HttpSettings, target: &Target) -> ProbeRequest {
        let mut address = target.address;
        if let Some(port) = self.port {
            address.set_port(port);
        }
        let host = self.host.clone();
        ProbeRequest {
            address,
            host: host.unwrap_or_else(|| host_field(&target.host)),
            server_name: self.server_name(settings, target),
        }
    }

    /// The first that is a name: probe's host, the settings', the member's (reference section 8).
    /// `sniName` goes before all of them.
    fn server_name(&self, settings: &HttpSettings, target: &Target) -> Option<String> {
        if let BackendProtocol::Https(tls) = &settings.protocol
            && let Some(name) = &tls.server_name
        {
            return Some(name.clone());
        }
        let from_settings = match &settings.host {
            BackendHost::Fixed(host) => Some(host.as_str()),
            BackendHost::FromClient | BackendHost::FromTarget => None,
        };
        let from_member = match &target.host {
            TargetHost::Fqdn(name) => Some(&**name),
            TargetHost::Ip(_) => None,
        };
        [self.host.as_deref(), from_settings, from_member]
            .into_iter()
            .flatten()
            .find(|host| !is_address(host))
            .map(Into::into)
    }
}

/// A member as a `Host` field has it (RFC 3986 section 3.2.2).
fn host_field(host: &TargetHost) -> String {
    match host {
        TargetHost::Ip(IpAddr::V6(address)) => format!("[{address}]"),
        TargetHost::Ip(IpAddr::V4(address)) => address.to_string(),
        TargetHost::Fqdn(name) => name.to_string(),
    }
}

fn is_address(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests;
