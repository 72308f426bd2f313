//! Sockets that listen: bound by the supervisor, one for each worker, and accepted from by workers.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use gateway_core::snapshot::EndpointId;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::view::View;
use crate::worker::Worker;

/// Connections that the kernel holds for a worker that is busy.
const BACKLOG: i32 = 4096;
/// How long accepting rests when descriptors or memory run out.
const REST: Duration = Duration::from_millis(50);
/// A silent peer is asked after 30 s, then thrice in 10 s steps: dead after 60 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// What the kernel holds for a client at most that it may not send yet. Otherwise it calls a socket
/// writable again when a third of its buffer is free, which may be a megabyte: a slow client would seem
/// to take nothing for minutes.
const MAX_UNSENT: u32 = 128 * 1024;

/// Whether somebody else listens on `address`. `SO_REUSEPORT` would hide that: another process of the
/// same user would share our port.
pub(crate) fn find_other_owner(address: SocketAddr) -> io::Result<()> {
    let socket = new_socket(address)?;
    // Connections of an earlier run that linger in TIME_WAIT are no owner.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

/// One socket of a group that shares `address`; bound, not listening yet.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = new_socket(address)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit these.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(MAX_UNSENT)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Starts to listen, on the worker's own runtime.
pub(crate) fn listen(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What the connections of one endpoint share: whether it drains, and by what they are served when the
/// endpoint is in no snapshot any more.
#[derive(Default)]
pub(crate) struct EndpointDrain {
    begun: CancellationToken,
    last_view: RefCell<Option<Rc<View>>>,
}

impl EndpointDrain {
    /// The endpoint is in none of the views after `last_view`.
    pub(crate) fn serve_by(&self, last_view: Rc<View>) {
        *self.last_view.borrow_mut() = Some(last_view);
    }

    /// The last view that has the endpoint; `None` while all have it.
    pub(crate) fn last_view(&self) -> Option<Rc<View>> {
        self.last_view.borrow().clone()
    }

    /// Lets the connections end.
    pub(crate) fn begin(&self) {
        self.begun.cancel();
    }

    /// Whether the connections are to end.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Ready when they are.
    pub(crate) fn wait(&self) -> impl Future<Output = ()> + use<> {
        self.begun.clone().cancelled_owned()
    }
}

/// Accepts until `stop`, then what the kernel has accepted before the socket goes.
pub(crate) async fn accept_all(
    worker: Rc<Worker>,
    endpoint: EndpointId,
    listener: TcpListener,
    stop: CancellationToken,
    drain: Rc<EndpointDrain>,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&worker, &listener) => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let permit = tokio::select! {
                    permit = worker.budget().acquire() => permit,
                    // Whoever publishes waits for this task: who is in comes in.
                    () = stop.cancelled() => worker.budget().take(),
                };
                worker.start_connection(endpoint, stream, peer, permit, Rc::clone(&drain));
            }
            Err(error) => {
                worker.metrics().accept_errors.add(1);
                tracing::warn!(%error, "accepting connections rests for a moment");
                tokio::time::sleep(REST).await;
            }
        }
    }
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok((stream, peer)) = listener.accept() {
        let permit = worker.budget().take();
        if let Ok(stream) = adopt(stream) {
            worker.start_connection(endpoint, stream, peer, permit, Rc::clone(&drain));
        }
    }
}

/// Waits for a connection that may come in, or wait for room: that it waits is known only when it has
/// been accepted.
async fn accept(worker: &Worker, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        worker.budget().may_accept().await;
        match listener.accept().await {
            Ok(accepted) => return Ok(accepted),
            // The client left before its turn: nothing is wrong here.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

fn adopt(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}
