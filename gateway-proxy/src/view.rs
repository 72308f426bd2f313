//! What is published, and one worker's own copy of what it reads of it for every request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use gateway_core::config::{BackendHost, TargetHost};
use gateway_core::snapshot::{Backend, EndpointId, PerWorker, Snapshot, Target, TargetId};
use gateway_net::backend_tls::live_server_name;
use gateway_net::material::Material;
use http::HeaderValue;
use tokio_rustls::rustls::ClientConfig;

use crate::access_log::RouteLabels;
use crate::gate::{Gates, PublishedGates};
use crate::metrics::{RequestCell, TunnelBook, TunnelCells};
use crate::tls::{EndpointTls, TlsSetupError, TlsShared};
use crate::upstream::BackendTls;

/// One immutable value for all workers: the snapshot, and what only the proxy knows.
pub(crate) struct Published {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) material: Arc<Material>,
    /// By [`Route::index`](gateway_core::snapshot::Route::index).
    pub(crate) requests: Vec<PerWorker<RequestCell>>,
    /// By [`Route::index`](gateway_core::snapshot::Route::index).
    tunnels: Vec<Arc<TunnelCells>>,
    /// By an endpoint's place in the snapshot; `None` for plain ones.
    tls: Vec<Option<EndpointTls>>,
    pub(crate) gates: PublishedGates,
}

/// What is kept apart from any snapshot, and is taken over from one to the next.
pub(crate) struct Books<'b> {
    /// Limits on handshakes and tunnels.
    pub(crate) gates: &'b Gates,
    /// What is counted of tunnels.
    pub(crate) tunnels: &'b TunnelBook,
}

impl Published {
    /// Sets up TLS, and carries over the cells of rules and the gates of listeners and targets that
    /// stay.
    pub(crate) fn new(
        snapshot: Arc<Snapshot>,
        material: Arc<Material>,
        tls: &TlsShared,
        books: &Books<'_>,
        previous: Option<&Self>,
    ) -> Result<Self, (SocketAddr, TlsSetupError)> {
        let endpoints = snapshot.endpoints.iter();
        let tls = endpoints.map(|endpoint| {
            let tls = tls.endpoint(&endpoint.protocol, &material);
            tls.map_err(|error| (endpoint.bind, error))
        });
        let tls = tls.collect::<Result<_, _>>()?;
        let mut known: HashMap<_, _> = previous.map_or_else(HashMap::new, |previous| {
            let routes = previous.snapshot.routes.iter();
            routes
                .zip(&previous.requests)
                .map(|(route, cells)| ((route.listener.clone(), route.rule.clone()), cells.clone()))
                .collect()
        });
        let requests = snapshot
            .routes
            .iter()
            .map(|route| {
                known
                    .remove(&(route.listener.clone(), route.rule.clone()))
                    .unwrap_or_else(|| PerWorker::new(snapshot.workers))
            })
            .collect();
        let gates = books.gates.of(&snapshot);
        let routes = snapshot.routes.iter();
        let pairs = routes.map(|route| (&route.listener, &route.backend.pool));
        let tunnels = books.tunnels.enter(pairs, snapshot.workers);
        Ok(Self {
            snapshot,
            material,
            requests,
            tunnels,
            tls,
            gates,
        })
    }
}

/// A worker's own copy: reading it touches no count that another worker writes.
pub(crate) struct View {
    worker: usize,
    published: Arc<Published>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) names: Names,
    ports: Vec<HeaderValue>,
    /// By [`Backend::index`]; `None` where TLS is not spoken.
    backend_tls: Vec<Option<Arc<ClientConfig>>>,
    labels: Vec<Arc<RouteLabels>>,
}

/// `Host` values of the worker's own.
pub(crate) struct Names {
    /// By [`Backend::index`].
    fixed: Vec<HeaderValue>,
    /// Where requests are named by their target. Elsewhere, only HTTP/1.0 without `Host` needs one.
    targets: HashMap<TargetId, HeaderValue>,
}

impl View {
    /// The view of worker number `worker`.
    pub(crate) fn new(published: Arc<Published>, worker: usize) -> Rc<Self> {
        let snapshot = Arc::clone(&published.snapshot);
        let ports = snapshot.endpoints.iter();
        let labels = snapshot.routes.iter();
        let backends = snapshot.backends.iter();
        let material = &published.material.backend;
        Rc::new(Self {
            worker,
            names: Names::new(&snapshot),
            backend_tls: backends
                .map(|backend| material.get(&backend.settings_name).cloned())
                .collect(),
            ports: ports
                .map(|at| HeaderValue::from(at.frontend_port))
                .collect(),
            labels: labels
                .map(|route| Arc::new(RouteLabels::new(route)))
                .collect(),
            snapshot,
            published,
        })
    }

    /// The frontend port that an endpoint stands for.
    pub(crate) fn port(&self, endpoint: EndpointId) -> &HeaderValue {
        let endpoints = &self.snapshot.endpoints;
        let at = endpoints.binary_search_by_key(&endpoint, |endpoint| endpoint.id);
        &self.ports[at.expect("the caller found the endpoint in this snapshot")]
    }

    /// How an endpoint shakes hands; `None` for a plain one.
    pub(crate) fn endpoint_tls(&self, endpoint: EndpointId) -> Option<EndpointTls> {
        let endpoints = &self.snapshot.endpoints;
        let at = endpoints.binary_search_by_key(&endpoint, |endpoint| endpoint.id);
        self.published.tls[at.ok()?].clone()
    }

    /// How TLS is spoken to `target` for a client that asked for `host`.
    pub(crate) fn backend_tls(
        &self,
        backend: &Backend,
        target: &Target,
        host: &str,
    ) -> Option<BackendTls<'_>> {
        let name = live_server_name(&backend.settings, target, host)?;
        let config = self.backend_tls[backend.index].as_ref();
        let config = config.expect("material is loaded from the same configuration");
        Some(BackendTls { config, name })
    }

    /// This worker's counters of a route.
    pub(crate) fn requests(&self, route: usize) -> &RequestCell {
        self.published.requests[route].of(self.worker)
    }

    /// What handshakes have to get through.
    pub(crate) fn gates(&self) -> &PublishedGates {
        &self.published.gates
    }

    /// The counts of a route's tunnels, of all workers.
    pub(crate) fn tunnels(&self, route: usize) -> &Arc<TunnelCells> {
        &self.published.tunnels[route]
    }

    /// A route's names, for the access log.
    pub(crate) fn labels(&self, route: usize) -> Arc<RouteLabels> {
        Arc::clone(&self.labels[route])
    }
}

impl Names {
    fn new(snapshot: &Snapshot) -> Self {
        let fixed = snapshot.backends.iter().map(|backend| {
            let host = match &backend.settings.host {
                BackendHost::Fixed(host) => host.as_str(),
                BackendHost::FromClient | BackendHost::FromTarget => "",
            };
            value(host)
        });
        let by_target = |backend: &&Arc<Backend>| backend.settings.host == BackendHost::FromTarget;
        let backends = snapshot.backends.iter().filter(by_target);
        let targets = backends.flat_map(|backend| {
            let targets = backend.targets.iter();
            targets.map(|target| (target.id, value(&authority(target))))
        });
        Self {
            fixed: fixed.collect(),
            targets: targets.collect(),
        }
    }

    /// `hostName`.
    pub(crate) fn fixed(&self, backend: &Backend) -> HeaderValue {
        self.fixed[backend.index].clone()
    }

    /// The member's FQDN or address.
    pub(crate) fn of(&self, target: &Target) -> HeaderValue {
        match self.targets.get(&target.id) {
            Some(name) => name.clone(),
            None => value(&authority(target)),
        }
    }
}

/// A member as an authority; its port is the settings' business (reference section 3).
fn authority(target: &Target) -> String {
    match &target.host {
        TargetHost::Fqdn(name) => name.to_string(),
        TargetHost::Ip(std::net::IpAddr::V4(address)) => address.to_string(),
        TargetHost::Ip(std::net::IpAddr::V6(address)) => format!("[{address}]"),
    }
}

/// Names were checked with the configuration; what is no header value would be an empty one.
fn value(name: &str) -> HeaderValue {
    HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static(""))
}
