//! Serving a router on a socket: bounded in connections and in time, ended gracefully.
//!
//! `axum::serve` has neither time-outs nor a bound, and this API must answer while the data plane
//! is under attack, or itself: connections that ask nothing make room for others.

mod patient;
mod seats;

use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use patient::Patient;
use seats::{Seat, Seats};

/// What one listener of the API may take.
#[derive(Debug, Clone)]
pub struct ServeLimits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// How long they wait, before connections without a request are closed to make room.
    pub patience: Duration,
    /// For a TLS handshake, and for a head: from its connection's opening, or from the answer
    /// before it. An idle connection is closed after this.
    pub head_timeout: Duration,
    /// How long a client may take nothing of what is written to it.
    pub write_timeout: Duration,
    /// For requests in flight, after the shutdown was asked for.
    pub shutdown_timeout: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            patience: Duration::from_secs(1),
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
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
    let cut = CancellationToken::new();
    let seats = Seats::new(limits.connections, limits.patience, &cut);
    let server = Server {
        tls,
        router,
        head_timeout: limits.head_timeout,
        write_timeout: limits.write_timeout,
        shutdown: shutdown.clone(),
    };
    loop {
        // The seat comes first: what is not accepted waits in the kernel, not in our memory.
        let accepted = async {
            let seat = seats.free().await;
            (seat, listener.accept().await.0)
        };
        let (seat, stream) = tokio::select! {
            accepted = accepted => accepted,
            () = shutdown.cancelled() => break,
        };
        let server = server.clone();
        connections.spawn(async move {
            let left = seat.left();
            let served = server.connection(stream, &seat);
            left.run_until_cancelled(served).await;
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
    write_timeout: Duration,
    shutdown: CancellationToken,
}

impl Server {
    async fn connection(self, stream: impl AsyncRead + AsyncWrite + Unpin, seat: &Seat) {
        let Some(tls) = &self.tls else {
            return self.http(stream, seat).await;
        };
        match tokio::time::timeout(self.head_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream, seat).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake with the API failed"),
            Err(_) => tracing::debug!("TLS handshake with the API timed out"),
        }
    }

    async fn http(self, stream: impl AsyncRead + AsyncWrite + Unpin, seat: &Seat) {
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(|request: Request<Incoming>| {
            let (busy, response) = (seat.busy(), router.call(request));
            async move {
                response
                    .await
                    .map(|response| response.map(|body| busy.until_end_of(body)))
            }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .serve_connection(
                TokioIo::new(Patient::new(stream, self.write_timeout)),
                service,
            );
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
