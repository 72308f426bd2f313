//! One client's connection: who it is, hyper's server on it, and what becomes of it.

mod closing;
mod driver;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Instant;

use gateway_core::config::Limits;
use gateway_core::snapshot::{EndpointId, Snapshot};
use http::{HeaderValue, Request, StatusCode};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::body::{RequestBody, Upload};
use crate::client_io::{ClientIo, ClientStream, Interim, Watch};
use crate::error::ProxyError;
use crate::forwarded_headers::client_value;
use crate::limits::ConnectionPermit;
use crate::listener::EndpointDrain;
use crate::proxy_protocol::{self, ProxyProtocolError};
use crate::serve::serve;
use crate::timer::Timer;
use crate::tls::TlsAcceptError;
use crate::upgrade::PendingTunnel;
use crate::upstream::expect::Opener;
use crate::view::View;
use crate::worker::Worker;
use closing::close;
use driver::{Driver, Ended};

/// What the requests of one connection share.
pub(crate) struct Context {
    pub(crate) worker: Rc<Worker>,
    pub(crate) endpoint: EndpointId,
    /// The client: of the socket, or as a PROXY header says.
    pub(crate) client: SocketAddr,
    /// The client, as `X-Forwarded-For` has it.
    pub(crate) client_value: HeaderValue,
    /// It is a TLS connection.
    pub(crate) secure: bool,
    pub(crate) watch: Rc<Watch>,
    pub(crate) interim: Arc<Interim>,
    /// The body of requests that have none.
    pub(crate) no_upload: Rc<Upload>,
    answer_timer: RefCell<Timer>,
    drain: Rc<EndpointDrain>,
    reset: Cell<bool>,
    cut_at: Cell<Option<Instant>>,
    breaks_off: Cell<Option<BreakOff>>,
    tunnel: RefCell<Option<PendingTunnel>>,
    permit: Cell<Option<ConnectionPermit>>,
}

impl Context {
    /// For a connection of `client` at `endpoint`; it drains when `drain` says so.
    pub(crate) fn new(
        worker: Rc<Worker>,
        endpoint: EndpointId,
        client: SocketAddr,
        secure: bool,
        permit: ConnectionPermit,
        drain: Rc<EndpointDrain>,
    ) -> Self {
        let now = Instant::now();
        Self {
            worker,
            endpoint,
            client,
            client_value: client_value(client),
            secure,
            watch: Rc::new(Watch::new(now)),
            interim: Arc::default(),
            no_upload: Upload::new(now),
            answer_timer: RefCell::default(),
            drain,
            reset: Cell::new(false),
            cut_at: Cell::new(None),
            breaks_off: Cell::new(None),
            tunnel: RefCell::default(),
            permit: Cell::new(Some(permit)),
        }
    }

    /// Whether what the peer says of those before it is kept: everybody's, unless there is a list of
    /// those who may say so.
    pub(crate) fn is_believed(&self, snapshot: &Snapshot) -> bool {
        snapshot.trusted_proxies.is_empty() || snapshot.trusts(self.client.ip())
    }

    /// Whether this connection ends with the answer under way.
    pub(crate) fn is_draining(&self) -> bool {
        self.drain.has_begun()
    }

    /// What the next request is served by.
    pub(crate) fn view(&self) -> Rc<View> {
        let last = self.drain.last_view();
        last.unwrap_or_else(|| self.worker.view())
    }

    /// The bounds on clients as they are now.
    pub(crate) fn limits(&self) -> Limits {
        self.view().snapshot.limits.clone()
    }

    /// Ready when `deadline` has passed. One request at a time asks.
    pub(crate) fn poll_answer_deadline(
        &self,
        cx: &mut task::Context<'_>,
        deadline: Instant,
    ) -> Poll<()> {
        self.answer_timer.borrow_mut().poll_at(cx, Some(deadline))
    }

    /// Passes the interim answers to `request` on to the client (RFC 9110 section 15.2); a 100 that
    /// an `opener` waits for lets the body through.
    pub(crate) fn relay_interim(&self, request: &mut Request<RequestBody>, opener: Option<Opener>) {
        let interim = Arc::clone(&self.interim);
        hyper::ext::on_informational(request, move |head| match &opener {
            // hyper's server says 100 by itself as soon as the body is asked for.
            Some(opener) if head.status() == StatusCode::CONTINUE => {
                opener.open();
            }
            _ => interim.push(head.status(), head.headers()),
        });
    }

    /// What this connection becomes when the 101 under way is written.
    pub(crate) fn leave_tunnel(&self, tunnel: PendingTunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    /// The connection's share of `maxConnections`, for the tunnel that goes on with it.
    pub(crate) fn take_permit(&self) -> Option<ConnectionPermit> {
        self.permit.take()
    }

    /// The request under way has until `deadline`; an earlier deadline stays.
    pub(crate) fn cut_at(&self, deadline: Instant) {
        if self.cut_at.get().is_none() {
            self.cut_at.set(Some(deadline));
            self.interim.wake();
        }
    }

    /// The request that had a deadline is over.
    pub(crate) fn cut_never(&self) {
        self.cut_at.set(None);
    }

    /// Why the gateway breaks the exchange under way off, if it does.
    pub(crate) fn breaks_off(&self) -> Option<ProxyError> {
        self.breaks_off.get().map(|why| match why {
            BreakOff::Stalled => ProxyError::ClientStalled,
            BreakOff::TakenOut => ProxyError::TakenOut,
        })
    }

    /// The connection must end as an error: its client cannot tell a truncated answer otherwise.
    pub(crate) fn reset_at_end(&self) {
        self.reset.set(true);
    }
}

/// Why the gateway does not wait for the end of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakOff {
    /// The client takes nothing.
    Stalled,
    /// The listener or the target is gone, and so is the time that it left.
    TakenOut,
}

/// Finds out who a fresh connection is, by a PROXY header and TLS where its endpoint wants them, and
/// serves it. Both have the time that a head has.
pub(crate) async fn welcome(
    worker: Rc<Worker>,
    endpoint: EndpointId,
    mut stream: TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
    drain: Rc<EndpointDrain>,
) {
    let view = drain.last_view().unwrap_or_else(|| worker.view());
    let Some(at) = view.snapshot.endpoint(endpoint) else {
        return;
    };
    let limit = view.snapshot.limits.request_head_timeout;
    let greeting = async {
        let mut client = peer;
        if at.proxy_protocol
            && let Some(proxied) = proxy_protocol::read(&mut stream).await?
        {
            client = proxied.source;
        }
        let stream = match view.endpoint_tls(endpoint) {
            Some(tls) => ClientStream::Tls(tls.accept(stream).await?),
            None => ClientStream::Plain(stream),
        };
        Ok::<_, GreetingError>((stream, client))
    };
    match tokio::time::timeout(limit, greeting).await {
        Ok(Ok((stream, client))) => {
            drop(view);
            let secure = matches!(stream, ClientStream::Tls(_));
            let context = Context::new(worker, endpoint, client, secure, permit, drain);
            serve_connection(stream, context).await;
        }
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error);
            tracing::debug!(%peer, %error, cause, "a connection ended before its first request");
        }
        Err(_) => tracing::debug!(%peer, "a connection brought nothing in time"),
    }
}

/// Why a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
enum GreetingError {
    #[error(transparent)]
    Proxy(#[from] ProxyProtocolError),
    #[error(transparent)]
    Tls(#[from] TlsAcceptError),
}

/// Serves a connection to its end.
async fn serve_connection(stream: ClientStream, context: Context) {
    let context = Rc::new(context);
    let limits = context.limits();
    let _entry = context
        .worker
        .guests
        .enter(Rc::clone(&context.watch), Arc::clone(&context.interim));
    let io = ClientIo::new(
        stream,
        Rc::clone(&context.watch),
        Arc::clone(&context.interim),
    );
    let service = {
        let context = Rc::clone(&context);
        service_fn(move |request| serve(Rc::clone(&context), request))
    };
    let mut server = hyper::server::conn::http1::Builder::new();
    server
        .pipeline_flush(false)
        .max_buf_size(limits.max_request_head_bytes.max(MIN_BUFFER))
        .max_header_size(limits.max_request_head_bytes);
    if limits.max_request_headers != HYPER_MAX_HEADERS {
        server.max_headers(limits.max_request_headers);
    }
    let mut connection = server.serve_connection(TokioIo::new(io), service);
    let mut driver = Driver::new(&context, &limits, context.drain.wait());
    let ended = std::future::poll_fn(|cx| driver.poll(cx, &mut connection)).await;
    let parts = connection.into_parts();
    let io = parts.io.into_inner();
    match (context.tunnel.take(), &ended) {
        (Some(tunnel), Ended::Closed) => {
            let (client, backend) = (io.into_stream().into(), tunnel.backend.into());
            context.worker.tunnels.open(
                client,
                &parts.read_buf,
                backend,
                &tunnel.backend_first,
                tunnel.about,
            );
        }
        _ => close(io, ended, context.reset.get()).await,
    }
}

/// hyper's own bound on header fields. Told nothing, it keeps that many on its stack; told any
/// number, it allocates for each head.
const HYPER_MAX_HEADERS: usize = 100;

/// The smallest buffer that hyper takes.
const MIN_BUFFER: usize = 8192;
