//! One client's connection: TLS where it is asked for, HTTP, and what takes over from HTTP.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::answer::{Answer, answer};
use crate::backend::Shared;
use crate::misbehave::{Stream, Takeover, take_over};
use crate::tls::TlsIdentity;

/// At which of its ports a backend of several answers.
const PORT: HeaderName = HeaderName::from_static("x-backend-port");
const TLS_HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves one connection. When `idle` is cancelled, it ends as soon as it has no request.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    id: u64,
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    idle: CancellationToken,
) {
    let port = shared.port_to_say(&tcp);
    let stream = match tls.map(|acceptor| shown(&shared, acceptor)) {
        None => Either::Left(tcp),
        Some(acceptor) => match tokio::time::timeout(TLS_HANDSHAKE, acceptor.accept(tcp)).await {
            Ok(Ok(stream)) => Either::Right(Box::new(stream)),
            // A client that does not speak TLS, or does not trust the certificate, is no news.
            Ok(Err(_)) | Err(_) => return,
        },
    };
    let stopped = shared.stop.clone();
    tokio::select! {
        biased;
        () = speak_http(&shared, id, port, stream, &idle) => {}
        () = stopped.cancelled() => {}
    }
}

/// What shakes hands: with the backend's own certificate, or with the wrong one that it is to show.
fn shown(shared: &Shared, own: TlsAcceptor) -> TlsAcceptor {
    let wrong = shared.faults.peek(|set| {
        let text = set.certificate.as_deref();
        text.and_then(|text| TlsIdentity::from_pem(text.as_bytes()).ok())
    });
    wrong.map_or(own, |identity| TlsAcceptor::from(identity.0))
}

/// Why the service ends HTTP: the connection is taken over.
#[derive(Debug)]
struct TakenOver;

impl std::fmt::Display for TakenOver {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the connection is taken over")
    }
}

impl std::error::Error for TakenOver {}

async fn speak_http(
    shared: &Arc<Shared>,
    id: u64,
    port: Option<u16>,
    stream: Stream,
    idle: &CancellationToken,
) {
    let slot: Arc<Mutex<Option<Takeover>>> = Arc::default();
    let service = service_fn(|request| {
        let (shared, slot) = (Arc::clone(shared), Arc::clone(&slot));
        // hyper gives the connection back only from services whose futures can be moved.
        Box::pin(async move {
            match answer(&shared, id, request).await {
                Answer::Response(mut response) => {
                    let field = |port| (PORT, HeaderValue::from(port));
                    response.headers_mut().extend(port.map(field));
                    Ok(response)
                }
                Answer::Takeover(takeover) => {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(takeover);
                    Err(TakenOver)
                }
            }
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .half_close(true)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        _ = poll_fn(|context| connection.poll_without_shutdown(context)) => {}
        () = idle.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            let _ = poll_fn(|context| connection.poll_without_shutdown(context)).await;
        }
    }
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    let takeover = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    match takeover {
        Some(takeover) => take_over(shared, stream, parts.read_buf.to_vec(), takeover, port).await,
        // The peer may be gone already.
        None => drop(stream.shutdown().await),
    }
}
