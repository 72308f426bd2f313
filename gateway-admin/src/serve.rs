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
        let (tls, router) = (tls.clone(), router.clone());
        let (head_timeout, shutdown) = (limits.head_timeout, shutdown.clone());
        connections.spawn(async move {
            match tls {
                None => connection(stream, router, head_timeout, shutdown).await,
                Some(tls) => match tokio::time::timeout(head_timeout, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, router, head_timeout, shutdown).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS handshake with the API failed"),
                    Err(_) => tracing::debug!("TLS handshake with the API timed out"),
                },
            }
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(limits.shutdown_timeout, connections.wait())
        .await
        .is_err()
    {
        let open = connections.len();
        tracing::warn!(open, "requests to the API were cut off by the shutdown");
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    router: Router,
    head_timeout: Duration,
    shutdown: CancellationToken,
) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let result = tokio::select! {
        result = &mut served => result,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection to the API ended early");
    }
}
