//! The configuration when it has been checked: no dangling name, no impossible pair.
//!
//! Everything past `parse` sees this form and never the document. Collections are keyed by
//! name, so that equality does not depend on the order in which resources were written; the one
//! place where order matters, rules without a priority, is kept in [`RoutingRule::position`].

mod backend_pool;
mod collector;
mod diff;
mod http_settings;
mod limits;
mod listener;
mod parse;
mod probe;
mod problems;
mod routing_rule;
mod tls;
mod websocket;

use std::collections::BTreeMap;

use ipnet::IpNet;

pub use backend_pool::{BackendPool, BackendTarget, TargetHost};
pub use diff::{Change, apply, diff};
pub use http_settings::{BackendHost, BackendProtocol, BackendTls, HttpSettings};
pub use limits::Limits;
pub use listener::{FrontendAddress, HostNames, HostPattern, Listener, ListenerProtocol};
pub use parse::{Parsed, parse, parse_in};
pub use probe::{Probe, ProbeAsks, ProbeHost, ProbeMatch, ProbeProtocol, StatusRange};
pub use problems::{ConfigProblem, ConfigProblems, Position, Severity};
pub use routing_rule::{Balancing, RoutingRule};
pub use tls::{Certificate, CertificateSource, Secret, TrustedRoot};
pub use websocket::{
    DrainCode, Frames, HandshakeMode, HandshakeRate, ListenerWebSocket, OnUnhealthy, OriginPolicy,
    Origins, Rebalance, TunnelSettings,
};

pub(crate) use collector::{Collector, Found};
pub(crate) use parse::{parse_less, parse_put, references};
pub(crate) use problems::position;

use crate::name::{
    CertificateName, HttpSettingsName, ListenerName, PoolName, ProbeName, RuleName, TrustedRootName,
};

/// A whole gateway, checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// The gateway's own name.
    pub name: String,
    /// Where requests come in.
    pub listeners: BTreeMap<ListenerName, Listener>,
    /// What HTTPS listeners show their clients.
    pub certificates: BTreeMap<CertificateName, Certificate>,
    /// What HTTPS backends are verified against.
    pub trusted_roots: BTreeMap<TrustedRootName, TrustedRoot>,
    /// Where requests go.
    pub pools: BTreeMap<PoolName, BackendPool>,
    /// How a pool is spoken to.
    pub http_settings: BTreeMap<HttpSettingsName, HttpSettings>,
    /// How a pool's targets are asked for their health.
    pub probes: BTreeMap<ProbeName, Probe>,
    /// Which listener's requests go to which pool.
    pub rules: BTreeMap<RuleName, RoutingRule>,
    /// What a client may take (`properties.limits`).
    pub limits: Limits,
    /// Peers whose `X-Forwarded-For` is kept; empty for everybody's (`properties.trustedProxies`).
    pub trusted_proxies: Vec<IpNet>,
}
