//! Serving a router on a socket: bounded in connections and in time, ended gracefully.
//!
//! `axum::serve` has neither time-outs nor a bound, and this API must answer while the data plane
//! is under attack.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What one listener of the API may take.
#[derive(Debug, Clone)]
pub struct ServeLimits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// For a TLS handshake, and for a head: from its connection's opening, or from the answer
    /// before it. An idle connection is closed after this.
    pub head_timeout: Duration,
    /// For requests in flight, after the shutdown was asked for.
    pub shutdown_timeout: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            head_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// Serves `router` until `shutdown`, then lets requests in flight finish.
///
/// `listener` is a `TcpListener` or a `UnixListener` of tokio; with `tls`, each connection begins
/// with its handshake.
pub async fn serve<L: Listener>(
    mut listener: L,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: ServeLimits,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(limits.connections));
    let cut = CancellationToken::new();
    let server = Server {
        tls,
        router,
        head_timeout: limits.head_timeout,
        shutdown: shutdown.clone(),
    };
    loop {
        // The permit comes first: what is not accepted waits in the kernel, not in our memory.
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            (permit, listener.accept().await.0)
        };
        let (permit, stream) = tokio::select! {
            accepted = accepted => accepted,
            () = shutdown.cancelled() => break,
        };
        let (server, cut) = (server.clone(), cut.clone());
        connections.spawn(async move {
            cut.run_until_cancelled(server.connection(stream)).await;
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    let finished = tokio::time::timeout(limits.shutdown_timeout, connections.wait()).await;
    if finished.is_err() {
        let open = connections.len();
        tracing::warn!(open, "requests to the API are cut off by the shutdown");
        cut.cancel();
        connections.wait().await;
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Server {
    tls: Option<TlsAcceptor>,
    router: Router,
    head_timeout: Duration,
    shutdown: CancellationToken,
}

impl Server {
    async fn connection(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Some(tls) = &self.tls else {
            return self.http(stream).await;
        };
        match tokio::time::timeout(self.head_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake with the API failed"),
            Err(_) => tracing::debug!("TLS handshake with the API timed out"),
        }
    }

    async fn http(self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.router));
        let mut served = std::pin::pin!(served);
        let result = tokio::select! {
            result = &mut served => result,
            () = self.shutdown.cancelled() => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a connection to the API ended early");
        }
    }
}
