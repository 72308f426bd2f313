//! From a checked configuration to a snapshot; carries over the cells of what did not change.

mod backends;
mod endpoints;
mod rank;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use self::backends::Backends;
use self::endpoints::Endpoints;
use super::identities::Identities;
use super::{Generation, Revision, Route, Snapshot};
use crate::config::{Config, FrontendAddress};
use crate::routing::Policy;

/// What DNS says of each FQDN in the configuration.
pub type Resolutions = BTreeMap<Arc<str>, Resolution>;

/// What DNS last said of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The last good answer, sorted; never empty.
    Addresses(Vec<IpAddr>),
    /// There has been no good answer yet; why.
    Failed(String),
}

/// What the command line adds to the document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompileOptions {
    /// `--map-port`: the document's port to the one bound.
    pub port_map: BTreeMap<u16, u16>,
    /// `--map-address`: the document's address to the one bound.
    pub address_map: BTreeMap<IpAddr, IpAddr>,
    /// How many workers the cells are for.
    pub workers: usize,
}

impl CompileOptions {
    /// Where a frontend address and port are bound. `--map-address` knows the frontends that bind
    /// all addresses as `0.0.0.0` and `::`.
    pub fn bind(&self, address: FrontendAddress, port: u16) -> SocketAddr {
        let address = match address {
            FrontendAddress::Private(address) => address,
            FrontendAddress::AllIpv4 => Ipv4Addr::UNSPECIFIED.into(),
            FrontendAddress::AllIpv6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        SocketAddr::new(
            *self.address_map.get(&address).unwrap_or(&address),
            *self.port_map.get(&port).unwrap_or(&port),
        )
    }
}

/// Compiles `config`. Ids and cells of what `previous` already had are carried over.
///
/// Total: a name that leads nowhere, which `parse` does not let through, is skipped.
pub fn compile(
    config: &Config,
    resolutions: &Resolutions,
    options: &CompileOptions,
    previous: Option<&Snapshot>,
    generation: Generation,
    revision: Revision,
) -> Snapshot {
    let mut identities = Identities::next(config, resolutions, previous, options.workers);
    let mut backends = Backends::new(config, resolutions, options.workers, previous);
    let mut endpoints = Endpoints::new(options, previous);
    let mut routes = Vec::new();
    for ranked in rank::listeners(config) {
        let route = ranked.rule.and_then(|(name, rule)| {
            let backend = backends.reach(&rule.pool, &rule.http_settings, &mut identities)?;
            Some(Arc::new(Route {
                index: routes.len(),
                listener: ranked.name.clone(),
                listener_id: identities.listener(ranked.name),
                web_socket: Arc::new(ranked.listener.web_socket.clone()),
                rule: name.clone(),
                policy: Policy {
                    balancing: rule.balancing,
                    slow_start: rule.slow_start,
                },
                backend,
            }))
        });
        if endpoints.add(ranked.name, ranked.listener, route.clone()) {
            routes.extend(route);
        }
    }
    let (endpoints, unserved) = endpoints.finish(&mut identities);
    Snapshot {
        generation,
        revision,
        endpoints,
        routes,
        backends: backends.into_list(),
        limits: config.limits.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        workers: options.workers,
        unserved,
        identities,
    }
}

#[cfg(test)]
mod tests;
