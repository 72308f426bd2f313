//! Moves bytes: one thread per core, each with its own runtime, sockets, upstream pools and counters.
//!
//! Knows nothing of documents, probes or the admin API: it gets a [`Snapshot`] and serves by it.

#![forbid(unsafe_code)]

mod proxy_protocol;
mod tls;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use gateway_core::snapshot::Snapshot;
use gateway_net::material::Material;

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

/// Takes access records off the workers: must never block. See `access_log.rs`.
pub struct AccessSink;

/// Running workers.
pub struct Proxy;

/// Sockets bound and TLS built for a snapshot that is not yet published. Dropping it unbinds.
pub struct Prepared;

/// Why a snapshot cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// An address cannot be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which.
        address: std::net::SocketAddr,
        /// In use, not permitted, not an address of this machine ...
        #[source]
        source: std::io::Error,
    },
}

impl Proxy {
    /// Starts the workers; they serve nothing yet.
    pub fn start(options: ProxyOptions) -> std::io::Result<Self> {
        let _ = options;
        unimplemented!()
    }

    /// Binds what is new in `snapshot`, one `SO_REUSEPORT` socket per worker, without listening.
    /// A plain bind first finds another process that holds the port.
    pub fn prepare(
        &self,
        snapshot: Arc<Snapshot>,
        material: Arc<Material>,
    ) -> Result<Prepared, PrepareError> {
        let _ = (snapshot, material);
        unimplemented!()
    }

    /// Makes it live: returns when every worker listens and serves by it. What is gone is drained
    /// in the background.
    pub async fn publish(&self, prepared: Prepared) {
        let _ = prepared;
        unimplemented!()
    }

    /// Stops accepting, finishes requests, closes tunnels with 1001 spread over a window, cuts what
    /// is left at `deadline`; returns when nothing is left.
    pub async fn drain(&self, deadline: Duration) {
        let _ = deadline;
        unimplemented!()
    }
}
