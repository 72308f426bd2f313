//! Listeners: frontend address, port, protocol and host names.

use std::net::IpAddr;

use super::ListenerWebSocket;
use crate::name::CertificateName;

/// One HTTP listener with its frontend address and port resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// The address of the frontend IP configuration.
    pub address: FrontendAddress,
    /// The frontend port, as the document names it (before any `--map-port`).
    pub port: u16,
    /// Plain or TLS.
    pub protocol: ListenerProtocol,
    /// The hosts that it answers for.
    pub hosts: HostNames,
    /// Connections open with a PROXY protocol header, version 1 or 2 (extension).
    pub proxy_protocol: bool,
    /// Which WebSocket handshakes it takes (`webSocket`, extension).
    pub web_socket: ListenerWebSocket,
}

/// What a frontend IP configuration binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrontendAddress {
    /// A private address, as it is.
    Private(IpAddr),
    /// All IPv4 addresses: a public or dynamic frontend.
    AllIpv4,
    /// All IPv6 addresses: a public or dynamic frontend of that family.
    AllIpv6,
}

/// How clients speak to a listener.
#[derive(Debug, Clone, PartialEq)]
pub enum ListenerProtocol {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS, ended here.
    Https {
        /// The certificate shown.
        certificate: CertificateName,
        /// A client that names no server, or one that no listener has, is refused.
        require_sni: bool,
    },
}

/// The hosts of a listener.
#[derive(Debug, Clone, PartialEq)]
pub enum HostNames {
    /// A basic listener: any host.
    Any,
    /// A multi-site listener: at least one pattern.
    Patterns(Vec<HostPattern>),
}

/// A host name, or a pattern with `*` and `?`, in lower case (reference section 2, `hostNames`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern(String);

impl HostPattern {
    /// Takes a pattern that has been checked; lower-cases it.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.to_ascii_lowercase())
    }

    /// The pattern, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
