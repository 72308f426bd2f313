//! The snapshot's types.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use ipnet::IpNet;

use super::identities::Identities;
use super::{DrainCell, LoadCell, PerWorker};
use crate::config::{HostNames, HttpSettings, Limits, ListenerWebSocket, TargetHost};
use crate::health::{HealthCell, ProbePlan};
use crate::name::{CertificateName, HttpSettingsName, ListenerName, PoolName, RuleName};
use crate::routing::{Policy, lost};
use crate::tunnels::AddressPattern;

/// Counts what users changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

/// Counts every publication: revisions, DNS answers, reloaded certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

/// Names one bound address for as long as it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(pub u64);

/// Names one listener for as long as one of that name is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u64);

/// Names one (pool, address, port) for as long as it is configured. Load, drains and tunnels hang on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u64);

/// One generation of a gateway, ready to route by.
#[derive(Debug)]
pub struct Snapshot {
    /// This publication's number.
    pub generation: Generation,
    /// The user's revision that it shows.
    pub revision: Revision,
    /// What is bound, sorted by id.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Each (listener, rule) that can be reached; [`Route::index`] points here.
    pub routes: Vec<Arc<Route>>,
    /// Each (pool, settings) that a rule reaches; [`Backend::index`] points here.
    pub backends: Vec<Arc<Backend>>,
    /// Bounds on clients.
    pub limits: Limits,
    /// Peers whose `X-Forwarded-For` is kept; empty for everybody's.
    pub trusted_proxies: Vec<IpNet>,
    /// The number of workers that the cells were made for.
    pub workers: usize,
    /// Listeners that cannot be served beside those that came before them on the same address.
    /// Such a snapshot should not be published; a document without mapped addresses has none.
    pub unserved: Vec<UnservedListener>,
    /// Who has which id, for the next compilation and for whoever holds one.
    pub(super) identities: Identities,
}

/// A listener whose address is taken by one that speaks otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("listener {listener} and listener {holder} both bind {bind}, but differ in {difference}")]
pub struct UnservedListener {
    /// The one that is not served.
    pub listener: ListenerName,
    /// The one that is.
    pub holder: ListenerName,
    /// Where both would be bound.
    pub bind: SocketAddr,
    /// What they disagree on.
    pub difference: &'static str,
}

/// One bound address with everything that is decided there.
#[derive(Debug)]
pub struct Endpoint {
    /// Stays the same while the address is bound.
    pub id: EndpointId,
    /// What is bound, after `--map-port` and `--map-address`.
    pub bind: SocketAddr,
    /// The frontend port that the document names: `X-Forwarded-Port`.
    pub frontend_port: u16,
    /// Plain or TLS.
    pub protocol: EndpointProtocol,
    /// Connections open with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// Who answers for which host, the winner first.
    pub hosts: Vec<HostRoute>,
}

/// Plain or TLS, with what a `ClientHello` is judged by.
#[derive(Debug, Clone, PartialEq)]
pub enum EndpointProtocol {
    /// HTTP in the clear.
    Http,
    /// HTTP over TLS.
    Https {
        /// Certificates by server name, the winner first (reference section 8, frontend SNI).
        certificates: Vec<(HostNames, CertificateName)>,
        /// For a client that names no server, or one that nobody has; `None` refuses it.
        fallback: Option<CertificateName>,
    },
}

/// The hosts of one listener, and its rule.
#[derive(Debug)]
pub struct HostRoute {
    /// Which `Host`s.
    pub hosts: HostNames,
    /// Where to; `None` for a listener without a rule.
    pub route: Option<Arc<Route>>,
}

/// One rule at one listener.
#[derive(Debug)]
pub struct Route {
    /// Its place in [`Snapshot::routes`]; good for this snapshot only.
    pub index: usize,
    /// The listener.
    pub listener: ListenerName,
    /// The listener's id; tunnels drain when it goes.
    pub listener_id: ListenerId,
    /// Which WebSocket handshakes the listener takes.
    pub web_socket: Arc<ListenerWebSocket>,
    /// The rule.
    pub rule: RuleName,
    /// How a target is chosen.
    pub policy: Policy,
    /// Where to.
    pub backend: Arc<Backend>,
}

/// One pool as spoken to by one set of HTTP settings.
#[derive(Debug)]
pub struct Backend {
    /// Its place in [`Snapshot::backends`]; good for this snapshot only.
    pub index: usize,
    /// The pool.
    pub pool: PoolName,
    /// The settings' name.
    pub settings_name: HttpSettingsName,
    /// The settings.
    pub settings: Arc<HttpSettings>,
    /// What its targets are asked for their health.
    pub probe: Arc<ProbePlan>,
    /// The members that have an address, in the order written.
    pub targets: Vec<Arc<Target>>,
    /// The members that DNS has no address for.
    pub unresolved: Vec<UnresolvedMember>,
    /// The order in which round robin visits `targets`.
    pub cycle: crate::routing::Cycle,
    /// Where balancing stands, by worker.
    pub turn: PerWorker<crate::routing::Turn>,
}

/// One address that requests can be sent to.
#[derive(Debug)]
pub struct Target {
    /// Identity of (pool, address, port).
    pub id: TargetId,
    /// The member as written.
    pub host: TargetHost,
    /// Where to connect.
    pub address: SocketAddr,
    /// Its share.
    pub weight: NonZeroU16,
    /// What its probes say; belongs to (pool, settings, target).
    pub health: Arc<HealthCell>,
    /// What is open there; belongs to (pool, address, port), so settings share it.
    pub load: PerWorker<LoadCell>,
    /// Whether an operator drains it; belongs to (pool, address, port).
    pub drain: Arc<DrainCell>,
}

/// A member that DNS has no address for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnresolvedMember {
    /// The FQDN.
    pub fqdn: Arc<str>,
    /// Why, for `healthProbeLog`.
    pub reason: String,
}

impl EndpointProtocol {
    /// The certificate to show a client that asks for `server_name`; `None` refuses the handshake.
    /// `None` too where there is no TLS.
    pub fn certificate(&self, server_name: Option<&str>) -> Option<&CertificateName> {
        let Self::Https {
            certificates,
            fallback,
        } = self
        else {
            return None;
        };
        server_name
            .and_then(|name| certificates.iter().find(|(hosts, _)| hosts.matches(name)))
            .map(|(_, certificate)| certificate)
            .or(fallback.as_ref())
    }
}

impl Snapshot {
    /// The endpoint of that id, if it is still bound.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        let at = self
            .endpoints
            .binary_search_by_key(&id, |endpoint| endpoint.id)
            .ok()?;
        Some(&self.endpoints[at])
    }

    /// Whether a listener of that id is still configured, wherever it listens now.
    pub fn has_listener(&self, id: ListenerId) -> bool {
        self.identities.has_listener(id)
    }

    /// Whether a target of that id is still configured, though perhaps no rule leads to it.
    pub fn has_target(&self, id: TargetId) -> bool {
        self.identities.has_target(id)
    }

    /// Whether an operator drains the target of that id.
    pub fn is_draining(&self, id: TargetId) -> bool {
        self.identities.is_draining(id)
    }

    /// The targets of a pool that `member` names: an FQDN or an address as the document has it, an
    /// address that it stands for, either with or without a port. Those too that no rule leads to
    /// any more. `None` for a pool without targets.
    pub fn targets_named(
        &self,
        pool: &PoolName,
        member: &str,
    ) -> Option<Vec<(SocketAddr, TargetId, Arc<DrainCell>)>> {
        let known = self.identities.targets_of(pool)?;
        let by_address = AddressPattern::parse(member);
        let backends = self.backends.iter().filter(|backend| backend.pool == *pool);
        let targets = backends.flat_map(|backend| &backend.targets);
        let by_name: Vec<TargetId> = targets
            .filter(|target| target.is_called(member))
            .map(|target| target.id)
            .collect();
        let is_named = |address, id| {
            by_address.is_some_and(|pattern| pattern.matches(address)) || by_name.contains(&id)
        };
        Some(
            known
                .filter(|(address, id, _)| is_named(*address, *id))
                .map(|(address, id, drain)| (address, id, Arc::clone(drain)))
                .collect(),
        )
    }

    /// The addresses of a pool's targets, those too that no rule leads to any more.
    pub fn targets_of(&self, pool: &PoolName) -> impl Iterator<Item = SocketAddr> {
        let targets = self.identities.targets_of(pool).into_iter().flatten();
        targets.map(|(address, ..)| address)
    }

    /// Whether every listener and target that `other` has is configured here too.
    pub fn has_all_of(&self, other: &Self) -> bool {
        self.identities.has_all_of(&other.identities)
    }

    /// Whether the target of that id is down under these HTTP settings, and not served in spite of
    /// that.
    pub fn has_lost(&self, id: TargetId, settings: &HttpSettingsName) -> bool {
        let mut backends = self.backends.iter();
        backends.any(|backend| {
            backend.settings_name == *settings && lost(backend).any(|target| target.id == id)
        })
    }

    /// Whether `peer` may say for whom it speaks.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

impl Target {
    /// Whether its member is an FQDN that is `name`, perhaps with its port.
    fn is_called(&self, name: &str) -> bool {
        let TargetHost::Fqdn(fqdn) = &self.host else {
            return false;
        };
        let rest = name
            .get(..fqdn.len())
            .filter(|start| start.eq_ignore_ascii_case(fqdn));
        rest.is_some_and(|_| match &name[fqdn.len()..] {
            "" => true,
            port => port.strip_prefix(':') == Some(&self.address.port().to_string()),
        })
    }

    /// Requests in flight and open tunnels, all workers together.
    pub fn load(&self) -> u32 {
        self.load
            .iter()
            .map(|cell| cell.requests().wrapping_add(cell.tunnels()))
            .sum()
    }
}
