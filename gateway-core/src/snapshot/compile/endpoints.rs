//! Listeners gathered by the address that they are bound to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::CompileOptions;
use crate::config::{HostNames, Listener, ListenerProtocol};
use crate::name::{CertificateName, ListenerName};
use crate::snapshot::identities::Identities;
use crate::snapshot::{
    Endpoint, EndpointId, EndpointProtocol, HostRoute, Route, Snapshot, UnservedListener,
};

/// Endpoints in the making. Listeners come in by rank, so that the first on an address decides what
/// is spoken there: one that differs cannot share it.
pub(super) struct Endpoints<'c> {
    options: &'c CompileOptions,
    ids: BTreeMap<SocketAddr, EndpointId>,
    by_bind: BTreeMap<SocketAddr, usize>,
    drafts: Vec<Draft<'c>>,
    unserved: Vec<UnservedListener>,
}

struct Draft<'c> {
    bind: SocketAddr,
    listeners: Vec<(&'c ListenerName, &'c Listener)>,
    hosts: Vec<HostRoute>,
}

impl<'c> Endpoints<'c> {
    pub(super) fn new(options: &'c CompileOptions, previous: Option<&Snapshot>) -> Self {
        let endpoints = previous.map_or(&[][..], |previous| &previous.endpoints);
        Self {
            options,
            ids: endpoints.iter().map(|old| (old.bind, old.id)).collect(),
            by_bind: BTreeMap::new(),
            drafts: Vec::new(),
            unserved: Vec::new(),
        }
    }

    /// Puts a listener where it is bound; `false` where it cannot be served there.
    pub(super) fn add(
        &mut self,
        name: &'c ListenerName,
        listener: &'c Listener,
        route: Option<Arc<Route>>,
    ) -> bool {
        let bind = self.options.bind(listener.address, listener.port);
        let at = *self.by_bind.entry(bind).or_insert(self.drafts.len());
        if at == self.drafts.len() {
            self.drafts.push(Draft {
                bind,
                listeners: Vec::new(),
                hosts: Vec::new(),
            });
        }
        let draft = &mut self.drafts[at];
        if let Some((holder, held)) = draft.listeners.first()
            && let Some(difference) = difference(held, listener)
        {
            self.unserved.push(UnservedListener {
                listener: name.clone(),
                holder: (*holder).clone(),
                bind,
                difference,
            });
            return false;
        }
        draft.listeners.push((name, listener));
        draft.hosts.push(HostRoute {
            hosts: listener.hosts.clone(),
            route,
        });
        true
    }

    /// The endpoints, sorted by id, and who has no place on them.
    pub(super) fn finish(
        self,
        identities: &mut Identities,
    ) -> (Vec<Arc<Endpoint>>, Vec<UnservedListener>) {
        let mut endpoints: Vec<Arc<Endpoint>> = self
            .drafts
            .into_iter()
            .filter_map(|draft| {
                let known = self.ids.get(&draft.bind).copied();
                let id = known.unwrap_or_else(|| EndpointId(identities.fresh()));
                draft.finish(id)
            })
            .map(Arc::new)
            .collect();
        endpoints.sort_unstable_by_key(|endpoint| endpoint.id);
        (endpoints, self.unserved)
    }
}

impl Draft<'_> {
    fn finish(self, id: EndpointId) -> Option<Endpoint> {
        let (_, first) = self.listeners.first()?;
        Some(Endpoint {
            id,
            bind: self.bind,
            frontend_port: first.port,
            protocol: protocol(&self.listeners),
            proxy_protocol: first.proxy_protocol,
            hosts: self.hosts,
        })
    }
}

/// What keeps two listeners from sharing a socket: both are settled before a host is known.
fn difference(held: &Listener, other: &Listener) -> Option<&'static str> {
    let is_http = |listener: &Listener| listener.protocol == ListenerProtocol::Http;
    if is_http(held) != is_http(other) {
        return Some("protocol");
    }
    (held.proxy_protocol != other.proxy_protocol).then_some("proxyProtocol")
}

/// Plain, or TLS with the certificates of the listeners in their order (reference section 8).
fn protocol(listeners: &[(&ListenerName, &Listener)]) -> EndpointProtocol {
    let mut certificates = Vec::with_capacity(listeners.len());
    let mut fallback: Option<(bool, &CertificateName)> = None;
    for (_, listener) in listeners {
        let ListenerProtocol::Https {
            certificate,
            require_sni,
        } = &listener.protocol
        else {
            return EndpointProtocol::Http;
        };
        certificates.push((listener.hosts.clone(), certificate.clone()));
        let is_basic = listener.hosts == HostNames::Any;
        let is_better = fallback.is_none_or(|(has_basic, _)| is_basic && !has_basic);
        if !require_sni && is_better {
            fallback = Some((is_basic, certificate));
        }
    }
    EndpointProtocol::Https {
        certificates,
        fallback: fallback.map(|(_, certificate)| certificate.clone()),
    }
}
