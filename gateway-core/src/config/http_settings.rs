//! HTTP settings: how a pool is spoken to.

use std::num::NonZeroU16;
use std::time::Duration;

use super::TunnelSettings;
use crate::name::{ProbeName, TrustedRootName};

/// `backendHttpSettingsCollection[]`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSettings {
    /// The targets' port, where a target has none of its own.
    pub port: NonZeroU16,
    /// Plain or TLS towards the backend.
    pub protocol: BackendProtocol,
    /// How long a backend may take to begin its answer; for an upgrade, until the answer to the
    /// handshake. No bound on an open tunnel.
    pub request_timeout: Duration,
    /// The `Host` that the backend sees.
    pub host: BackendHost,
    /// Put before the request's path (`path`); begins and ends with `/`.
    pub path_prefix: Option<String>,
    /// The custom probe, if one is set; otherwise the default probe asks.
    pub probe: Option<ProbeName>,
    /// How long requests and tunnels of a removed target may go on
    /// (`connectionDraining.drainTimeoutInSec`; 30 s when off).
    pub drain_timeout: Duration,
    /// The status when no target can be had: 502, or 503 (`unavailableStatus`, extension).
    pub unavailable_status: http::StatusCode,
    /// How tunnels are looked after (`webSocket`, extension).
    pub web_socket: TunnelSettings,
}

/// How backends are spoken to.
#[derive(Debug, Clone, PartialEq)]
pub enum BackendProtocol {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https(BackendTls),
}

/// How a backend's certificate is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendTls {
    /// Roots to chain to; the platform's when empty.
    pub trusted_roots: Vec<TrustedRootName>,
    /// Chain and expiry are verified (`validateCertChainAndExpiry`).
    pub verify_chain: bool,
    /// The certificate must bear the server's name (`validateSNI`).
    pub verify_name: bool,
    /// The name sent and verified, whatever the host (`sniName`).
    pub server_name: Option<String>,
}

/// The `Host` that a backend sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendHost {
    /// The client's, unchanged.
    FromClient,
    /// `hostName`.
    Fixed(String),
    /// The member's FQDN or address (`pickHostNameFromBackendAddress`).
    FromTarget,
}
