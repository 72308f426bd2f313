//! The workers as the supervisor sees them: start, prepare, publish, drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use gateway_core::config::Config;
use gateway_core::snapshot::{
    CompileOptions, EndpointId, Generation, PerWorker, Resolutions, Revision, Snapshot, compile,
};
use gateway_net::material::Material;
use prometheus_client::registry::Registry;
use socket2::Socket;
use tokio::sync::{mpsc, oneshot};

use crate::access_log::AccessSink;
use crate::gate::{Gates, Rate};
use crate::limits::ConnectionBudget;
use crate::listener;
use crate::metrics::{Export, HandshakeFailures, TunnelBook, WorkerCounts};
use crate::tls::{TlsSetupError, TlsShared};
use crate::tunnel::{DrainBook, TunnelMeter, TunnelsByClient};
use crate::view::{Books, Published};
use crate::worker::{self, Command};

/// How a proxy is started.
pub struct ProxyOptions {
    /// How many workers: one thread, one runtime, one socket per endpoint each.
    pub workers: usize,
    /// Called with the id of a [`HealthCell`](gateway_core::health::HealthCell) whose target refused
    /// a connection or reset one before answering. Must return at once.
    pub on_suspect: Arc<dyn Fn(u64) + Send + Sync>,
    /// Where access records go; `None` writes none.
    pub access_log: Option<AccessSink>,
}

/// Running workers. Dropping it ends them at once; [`drain`](Self::drain) is the gentle way.
pub struct Proxy {
    shared: Arc<Shared>,
    workers: Vec<mpsc::UnboundedSender<Command>>,
}

/// Sockets bound and TLS built for a snapshot that is not yet published. Dropping it unbinds.
pub struct Prepared {
    published: Arc<Published>,
    /// For each new endpoint, one socket for each worker.
    sockets: Vec<(EndpointId, Vec<Socket>)>,
}

/// Why a snapshot cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// In use, not permitted, not an address of this machine ...
        #[source]
        source: std::io::Error,
    },
    /// The TLS of an address cannot be set up.
    #[error("cannot set up TLS on {address}")]
    Tls {
        /// Which.
        address: SocketAddr,
        /// A certificate that is not loaded, or one that rustls refuses.
        #[source]
        source: TlsSetupError,
    },
}

/// What all workers share: read by each, written by none on the way of a request.
pub(crate) struct Shared {
    pub(crate) options: ProxyOptions,
    pub(crate) budget: Arc<ConnectionBudget>,
    pub(crate) handshakes: Rate,
    pub(crate) tunnels_by_client: Arc<TunnelsByClient>,
    pub(crate) drains: Arc<DrainBook>,
    gates: Gates,
    tls: TlsShared,
    pub(crate) counts: PerWorker<WorkerCounts>,
    pub(crate) tunnel_counts: TunnelBook,
    /// What tunnels carry, by worker.
    pub(crate) meters: Vec<Arc<TunnelMeter>>,
    published: ArcSwap<Published>,
}

impl Shared {
    /// What is live.
    pub(crate) fn published(&self) -> Arc<Published> {
        self.published.load_full()
    }
}

impl Proxy {
    /// Starts the workers; they serve nothing yet.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be started.
    pub fn start(options: ProxyOptions) -> std::io::Result<Self> {
        let count = options.workers.max(1);
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let tls = TlsShared::new().map_err(std::io::Error::other)?;
        let (gates, tunnel_counts) = (Gates::new(Instant::now()), TunnelBook::default());
        let nothing = Arc::new(empty(count));
        let books = Books {
            gates: &gates,
            tunnels: &tunnel_counts,
        };
        let nothing = Published::new(nothing, Arc::default(), &tls, &books, None)
            .map_err(|(_, error)| std::io::Error::other(error))?;
        let shared = Arc::new(Shared {
            options,
            budget: ConnectionBudget::new(descriptors, count),
            handshakes: Rate::new(Instant::now()),
            tunnels_by_client: Arc::default(),
            drains: Arc::default(),
            gates,
            tls,
            counts: PerWorker::new(count),
            tunnel_counts,
            meters: (0..count).map(|_| Arc::default()).collect(),
            published: ArcSwap::from_pointee(nothing),
        });
        let workers = (0..count)
            .map(|index| {
                let (sender, commands) = mpsc::unbounded_channel();
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("worker-{index}"))
                    .spawn(move || {
                        if let Err(error) = worker::run(index, shared, commands) {
                            tracing::error!(%error, index, "a worker has no runtime");
                        }
                    })?;
                Ok(sender)
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { shared, workers })
    }

    /// The drains of all workers.
    pub(crate) fn drain_book(&self) -> &DrainBook {
        &self.shared.drains
    }

    /// Where each worker takes its commands.
    pub(crate) fn workers(&self) -> &[mpsc::UnboundedSender<Command>] {
        &self.workers
    }

    /// The WebSocket handshakes that did not become tunnels since the start, by why.
    pub fn handshake_failures(&self) -> Vec<HandshakeFailures> {
        self.shared.tunnel_counts.handshake_failures()
    }

    /// Shows what the workers count, from now on.
    pub fn register_metrics(&self, registry: &mut Registry) {
        let export = Export(Arc::clone(&self.shared));
        registry.register_collector(Box::new(export));
    }

    /// Binds what is new in `snapshot`, one `SO_REUSEPORT` socket per worker, without listening.
    /// A plain bind first finds another process that holds the port.
    ///
    /// # Errors
    /// The first address that cannot be bound; nothing is bound then.
    pub fn prepare(
        &self,
        snapshot: Arc<Snapshot>,
        material: Arc<Material>,
    ) -> Result<Prepared, PrepareError> {
        let live = self.shared.published();
        let new: Vec<(EndpointId, SocketAddr)> = snapshot
            .endpoints
            .iter()
            .filter(|endpoint| live.snapshot.endpoint(endpoint.id).is_none())
            .map(|endpoint| (endpoint.id, endpoint.bind))
            .collect();
        for (_, address) in &new {
            // A port that we listen on already would only be found to be ours.
            let mut ours = live.snapshot.endpoints.iter();
            if !ours.any(|endpoint| endpoint.bind.port() == address.port()) {
                listener::find_other_owner(*address).map_err(bind_error(*address))?;
            }
        }
        let sockets = new
            .into_iter()
            .map(|(id, address)| {
                let group = (0..self.workers.len()).map(|_| listener::bind(address));
                let group: std::io::Result<Vec<Socket>> = group.collect();
                Ok((id, group.map_err(bind_error(address))?))
            })
            .collect::<Result<_, PrepareError>>()?;
        let shared = &self.shared;
        let books = Books {
            gates: &shared.gates,
            tunnels: &shared.tunnel_counts,
        };
        let published = Published::new(snapshot, material, &shared.tls, &books, Some(&live))
            .map_err(|(address, source)| PrepareError::Tls { address, source })?;
        Ok(Prepared {
            published: Arc::new(published),
            sockets,
        })
    }

    /// Makes it live: returns when every worker listens and serves by it. What is gone is drained
    /// in the background.
    pub async fn publish(&self, prepared: Prepared) {
        let Prepared {
            published,
            mut sockets,
        } = prepared;
        let limits = &published.snapshot.limits;
        self.shared.budget.configure(limits.max_connections);
        self.shared.published.store(Arc::clone(&published));
        self.health_changed();
        let mut waiting = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            let own = sockets
                .iter_mut()
                .filter_map(|(id, group)| Some((*id, group.pop()?)));
            let (done, when_done) = oneshot::channel();
            let command = Command::Publish {
                published: Arc::clone(&published),
                sockets: own.collect(),
                done,
            };
            // A worker that has ended serves nothing, by whatever generation.
            if worker.send(command).is_ok() {
                waiting.push(when_done);
            }
        }
        for done in waiting {
            let _ = done.await;
        }
    }

    /// Tells that a target's health has changed, so that it is known when a pool comes back of which
    /// no target was up: its handshakes then begin slowly (`handshakeRampInSec`).
    pub fn health_changed(&self) {
        let live = self.shared.published();
        live.gates.look(&live.snapshot, Instant::now());
    }

    /// Stops accepting, finishes requests, closes tunnels with 1001 spread over a window, cuts what
    /// is left at `deadline`; returns when nothing is left.
    pub async fn drain(&self, deadline: Duration) {
        let mut waiting = Vec::with_capacity(self.workers.len());
        for worker in &self.workers {
            let (done, when_done) = oneshot::channel();
            if worker.send(Command::Drain { deadline, done }).is_ok() {
                waiting.push(when_done);
            }
        }
        for done in waiting {
            let _ = done.await;
        }
    }
}

fn bind_error(address: SocketAddr) -> impl Fn(std::io::Error) -> PrepareError {
    move |source| PrepareError::Bind { address, source }
}

/// What is served before the first publication.
fn empty(workers: usize) -> Snapshot {
    let options = CompileOptions {
        workers,
        ..CompileOptions::default()
    };
    compile(
        &Config::default(),
        &Resolutions::default(),
        &options,
        None,
        Generation::default(),
        Revision::default(),
    )
}
