//! From a handshake to a tunnel: who may try, whether the backend's 101 is one, and both connections
//! taken out of hyper's hands.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use gateway_core::config::HandshakeRate;
use gateway_core::snapshot::{Route, Target};
use gateway_core::websocket::{Offer, confirm, write_upgrade};
use gateway_net::dial::BackendStream;
use http::{Response, Version, header, request};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use crate::body::ResponseBody;
use crate::client_connection::Context;
use crate::error::ProxyError;
use crate::exchange::Exchange;
use crate::forwarded_headers;
use crate::gate::{self, TunnelShare, Verdict};
use crate::refusal::HandshakeRefusal;
use crate::tunnel::{Asked, TunnelAbout, TunnelIdentity};
use crate::upstream::{BackendIo, Lease};
use crate::view::View;

/// A tunnel whose 101 is on its way to the client.
pub(crate) struct PendingTunnel {
    pub(crate) backend: BackendStream,
    /// What came behind the backend's head.
    pub(crate) backend_first: Vec<u8>,
    pub(crate) about: TunnelAbout,
}

/// A good attempt at a WebSocket that has taken its share of what is limited.
pub(crate) struct Attempt {
    offer: Offer,
    host: Box<str>,
    path: Box<str>,
    share: TunnelShare,
}

/// Judges a handshake and takes its share of what is limited, before anything is sent on.
///
/// Room comes before rates: who is refused for want of room takes nothing from others' rate.
pub(crate) fn admit(
    context: &Context,
    view: &View,
    route: &Route,
    head: &request::Parts,
    offer: Offer,
    host: &str,
) -> Result<Attempt, HandshakeRefusal> {
    let (worker, limits) = (&context.worker, &view.snapshot.limits);
    let now = Instant::now();
    match gate::judge(route, head, &offer)? {
        Verdict::Fine => {}
        Verdict::ForeignOrigin => {
            let counts = view.tunnels(route.index).of(worker.index);
            counts.foreign_origins.add(1);
            report_origin(context, route, head, now);
        }
    }
    let client = context.client.ip();
    let share = limits.max_tunnels_per_client.map(|max| {
        let permit = worker.tunnels_by_client().admit(client, max);
        let permit = permit.ok_or(HandshakeRefusal::ClientTunnels);
        permit.map(Box::new)
    });
    let share = TunnelShare {
        _client: share.transpose()?,
        _listener: view.gates().listener(route).enter(route, client)?,
        target: None,
        _connection: None,
    };
    if let Some(max) = limits.max_handshakes_per_second
        && !worker.handshakes().admit(now, HandshakeRate::level(max))
    {
        return Err(HandshakeRefusal::GatewayRate);
    }
    view.gates().listener(route).pass(route, now)?;
    let backend = &route.backend;
    view.gates().pool(backend).pass(backend, now)?;
    Ok(Attempt {
        offer,
        host: host.into(),
        path: head.uri.path().into(),
        share,
    })
}

impl Attempt {
    /// Takes a place at `target` in exchange for that at another one, unless all are taken.
    pub(crate) fn sit(&mut self, view: &View, route: &Route, target: &Target) -> bool {
        let most = route.backend.settings.web_socket.max_connections;
        let seat = view.gates().target(target).take(most);
        let sits = seat.is_some();
        if sits {
            self.share.target = seat;
        }
        sits
    }
}

/// Tells of what `ReportOnly` lets pass, but not so often that a page could fill a disk.
fn report_origin(context: &Context, route: &Route, head: &request::Parts, now: Instant) {
    if context.worker.may_report(now) {
        let origin = head.headers.get(header::ORIGIN);
        tracing::warn!(
            listener = %route.listener,
            settings = %route.backend.settings_name,
            client = %context.client.ip(),
            ?origin,
            "a page of this origin may open WebSockets only because `originPolicy` is `ReportOnly`"
        );
    }
}

/// Judges a backend's 101 and leaves a tunnel for the connection's task to open as soon as hyper has
/// written the 101 that this returns.
pub(crate) async fn switch(
    context: &Rc<Context>,
    route: &Route,
    target: &Arc<Target>,
    attempt: Attempt,
    answer: (Response<Incoming>, Lease),
    exchange: &Exchange,
) -> Result<Response<ResponseBody>, ProxyError> {
    let (mut response, lease) = answer;
    let upgraded = hyper::upgrade::on(&mut response);
    let (mut head, _) = response.into_parts();
    let confirmed = confirm(&attempt.offer, &head)?;
    let upgraded = upgraded.await.map_err(|_| ProxyError::BackendClosed)?;
    // Its task has let go of the socket, and may end.
    drop(lease);
    let parts = upgraded
        .downcast::<TokioIo<BackendIo>>()
        .expect("connections to backends are made in one place, of this type");
    let about = TunnelAbout {
        listener: route.listener_id,
        settings: Arc::clone(&route.backend.settings),
        identity: Arc::new(TunnelIdentity {
            trace_id: *exchange.trace_id(),
            client: context.client,
            secure: context.secure,
            asked: Asked::new(&attempt.host, &attempt.path, confirmed.protocol.as_deref()),
            target: Arc::clone(target),
            route: exchange.labels(),
            opened_at: SystemTime::now(),
        }),
        worker: context.worker.index,
        share: Some(TunnelShare {
            _connection: context.take_permit(),
            ..attempt.share
        }),
        counts: Arc::clone(exchange.view().tunnels(route.index)),
    };
    context.leave_tunnel(PendingTunnel {
        backend: parts.io.into_inner().into_stream(),
        // A copy: the original would pin hyper's read buffer for as long as the tunnel lives.
        backend_first: parts.read_buf.to_vec(),
        about,
    });
    forwarded_headers::to_client(&mut head);
    write_upgrade(&mut head.headers);
    head.version = Version::HTTP_11;
    Ok(Response::from_parts(head, ResponseBody::empty()))
}
