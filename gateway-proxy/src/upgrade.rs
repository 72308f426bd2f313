//! From a handshake to a tunnel: who may try, whether the backend's 101 is one, and both connections
//! taken out of hyper's hands.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use gateway_core::config::Limits;
use gateway_core::snapshot::{Route, Target};
use gateway_core::websocket::{Offer, confirm, write_upgrade};
use gateway_net::dial::BackendStream;
use http::{Response, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use crate::access_log::TunnelRecord;
use crate::body::ResponseBody;
use crate::client_connection::Context;
use crate::error::ProxyError;
use crate::exchange::Exchange;
use crate::forwarded_headers;
use crate::tunnel::{ClientPermit, TunnelAbout};
use crate::upstream::{BackendIo, Lease};

/// A tunnel whose 101 is on its way to the client.
pub(crate) struct PendingTunnel {
    pub(crate) backend: BackendStream,
    /// What came behind the backend's head.
    pub(crate) backend_first: Vec<u8>,
    pub(crate) about: TunnelAbout,
}

/// Takes this handshake's share of the limits, before anything is sent on.
pub(crate) fn admit(
    context: &Context,
    limits: &Limits,
) -> Result<Option<ClientPermit>, ProxyError> {
    if let Some(max) = limits.max_handshakes_per_second
        && !context.worker.handshakes().admit(Instant::now(), max)
    {
        return Err(ProxyError::TooManyHandshakes);
    }
    limits
        .max_tunnels_per_client
        .map(|max| {
            let tunnels = context.worker.tunnels_by_client();
            tunnels
                .admit(context.client.ip(), max)
                .ok_or(ProxyError::TooManyTunnels)
        })
        .transpose()
}

/// Judges a backend's 101 and leaves a tunnel for the connection's task to open as soon as hyper has
/// written the 101 that this returns.
pub(crate) async fn switch(
    context: &Rc<Context>,
    route: &Route,
    target: &Arc<Target>,
    permit: Option<ClientPermit>,
    offer: &Offer,
    answer: (Response<Incoming>, Lease),
    exchange: &Exchange,
) -> Result<Response<ResponseBody>, ProxyError> {
    let (mut response, lease) = answer;
    let upgraded = hyper::upgrade::on(&mut response);
    let (mut head, _) = response.into_parts();
    confirm(offer, &head)?;
    let upgraded = upgraded.await.map_err(|_| ProxyError::BackendClosed)?;
    // Its task has let go of the socket, and may end.
    drop(lease);
    let parts = upgraded
        .downcast::<TokioIo<BackendIo>>()
        .expect("connections to backends are made in one place, of this type");
    let record = context
        .worker
        .access_log()
        .then(|| Box::new(TunnelRecord::begin(exchange, target.address)));
    let worker = Rc::clone(&context.worker);
    let connection_permit = context.take_permit();
    let about = TunnelAbout {
        listener: route.listener_id,
        target: target.id,
        load: target.load.clone(),
        worker: context.worker.index,
        permit: permit.map(Box::new),
        drain_timeout: route.backend.settings.drain_timeout,
        on_end: Box::new(move |end| {
            drop(connection_permit);
            worker.tunnel_ended(record, end);
        }),
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
