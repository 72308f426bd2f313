//! One thread, one runtime, one socket for each endpoint, one pool: what a request needs is here, and
//! no other thread writes it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gateway_core::snapshot::{EndpointId, Target};
use socket2::Socket;
use tokio::net::TcpStream;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::{Record, RequestRecord, TunnelRecord};
use crate::client_connection::welcome;
use crate::gate::Rate;
use crate::guests::Guests;
use crate::in_flight::InFlight;
use crate::limits::{ConnectionBudget, ConnectionPermit};
use crate::listener::{EndpointDrain, accept_all, listen};
use crate::metrics::WorkerCounts;
use crate::proxy::Shared;
use crate::tunnel::{TunnelSet, TunnelsByClient};
use crate::tunnel_control::TunnelCommand;
use crate::upstream::{Pool, Unreachable};
use crate::view::{Published, View};

/// How often idle connections to backends are looked over.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How many sockets a worker looks after before it asks the kernel for more. What was read from one
/// socket is written to another in the same turn: after more of them, with bodies, it may have left the
/// processor's cache by then (`docs/decisions/0024-eight-sockets-a-turn.md`).
const EVENTS_PER_TURN: usize = 8;

/// Of what pages may do again and again, the log tells once in so long.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How often tunnels are looked over for those that are to be told of: the shortest interval.
const PROGRESS_LOOK: Duration = Duration::from_secs(1);

/// What a cut tunnel has for its last FINs.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a worker is told.
pub(crate) enum Command {
    /// Serve by this from now on; listen on `sockets`, stop listening where it has no endpoint.
    Publish {
        published: Arc<Published>,
        sockets: Vec<(EndpointId, Socket)>,
        done: oneshot::Sender<()>,
    },
    /// Show tunnels, or end some.
    Tunnels(TunnelCommand),
    /// Finish what is under way, within `deadline`, and end.
    Drain {
        deadline: Duration,
        done: oneshot::Sender<()>,
    },
}

/// What everything on one worker's thread shares.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) pool: Rc<Pool>,
    pub(crate) unreachable: Unreachable,
    pub(crate) tunnels: Rc<TunnelSet>,
    pub(crate) in_flight: InFlight,
    pub(crate) guests: Rc<Guests>,
    /// When an origin was last told of that is only reported.
    reported_at: Cell<Option<Instant>>,
    view: RefCell<Rc<View>>,
    shared: Arc<Shared>,
    connections: TaskTracker,
    listeners: RefCell<HashMap<EndpointId, Listening>>,
}

struct Listening {
    stop: CancellationToken,
    drain: Rc<EndpointDrain>,
    accepting: JoinHandle<()>,
}

/// Runs a worker on the current thread until it has drained or its commands end.
pub(crate) fn run(
    index: usize,
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_io_events_per_tick(EVENTS_PER_TURN)
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let worker = Rc::new(Worker::new(index, shared));
        if worker.access_log() {
            // It ends with the runtime.
            drop(tokio::task::spawn_local(Rc::clone(&worker).tell_progress()));
        }
        worker.obey(commands).await;
    });
    Ok(())
}

impl Worker {
    fn new(index: usize, shared: Arc<Shared>) -> Self {
        let view = View::new(shared.published(), index);
        let log = shared.options.access_log.clone();
        let tunnels = TunnelSet::new(Arc::clone(&shared.drains))
            .metered_by(Arc::clone(&shared.meters[index]))
            .telling(move |id, tunnel, news| {
                if let Some(sink) = &log {
                    sink.send(Record::Tunnel(Box::new(TunnelRecord {
                        tunnel: Arc::clone(tunnel),
                        id,
                        at: SystemTime::now(),
                        news,
                    })));
                }
            });
        Self {
            index,
            pool: Rc::new(Pool::new(shared.budget.idle_share(shared.options.workers))),
            unreachable: Unreachable::default(),
            tunnels: Rc::new(tunnels),
            in_flight: InFlight::default(),
            guests: Rc::default(),
            reported_at: Cell::default(),
            view: RefCell::new(view),
            shared,
            connections: TaskTracker::new(),
            listeners: RefCell::default(),
        }
    }

    async fn obey(self: &Rc<Self>, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Publish { published, sockets, done }) => {
                        self.publish(published, sockets).await;
                        // Whoever asked may have given up waiting; what was asked is done.
                        let _ = done.send(());
                    }
                    Some(Command::Tunnels(command)) => self.start_command(command),
                    Some(Command::Drain { deadline, done }) => {
                        tokio::select! {
                            () = self.drain(deadline) => {}
                            () = self.obey_last(commands) => {}
                        }
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
                () = self.budget().asks(self.index) => self.make_room(),
                _ = sweep.tick() => self.pool.sweep(Instant::now()),
            }
        }
    }

    /// Obeys while the worker drains: tunnels can be seen and ended to the last.
    async fn obey_last(&self, mut commands: mpsc::UnboundedReceiver<Command>) {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Tunnels(command) => self.start_command(command),
                // Too late: whoever asked hears that the worker is ending.
                Command::Publish { .. } | Command::Drain { .. } => {}
            }
        }
        std::future::pending().await
    }

    /// Carries out what concerns tunnels, while other commands are obeyed.
    fn start_command(&self, command: TunnelCommand) {
        let tunnels = Rc::clone(&self.tunnels);
        // It ends by itself, or with the worker.
        drop(tokio::task::spawn_local(async move {
            command.carry_out(&tunnels).await;
        }));
    }

    /// Clients wait for room: lets idle connections go.
    fn make_room(&self) {
        let wanted = self.budget().waiting();
        if wanted > 0 {
            let left = self.guests.make_room(wanted as usize, Instant::now());
            self.metrics().made_room.add(left as u64);
        }
    }

    async fn publish(
        self: &Rc<Self>,
        published: Arc<Published>,
        sockets: Vec<(EndpointId, Socket)>,
    ) {
        let view = View::new(published, self.index);
        let last = self.view.replace(Rc::clone(&view));
        let mut gone = Vec::new();
        for (id, listening) in &*self.listeners.borrow() {
            if view.snapshot.endpoint(*id).is_none() {
                listening.drain.serve_by(Rc::clone(&last));
                gone.push(*id);
            }
        }
        self.stop_listening(gone).await;
        for (endpoint, socket) in sockets {
            self.start_listening(endpoint, socket);
        }
        let targets = view.snapshot.backends.iter();
        let targets = targets.flat_map(|backend| &backend.targets);
        self.pool.keep_only(targets.map(|target| target.health.id));
        self.in_flight.refresh(&view.snapshot);
        self.tunnels.refresh(&view.snapshot).await;
    }

    fn start_listening(self: &Rc<Self>, endpoint: EndpointId, socket: Socket) {
        let listener = match listen(socket) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "a bound socket does not listen");
                return;
            }
        };
        let (stop, drain) = (CancellationToken::new(), Rc::<EndpointDrain>::default());
        let accepting = tokio::task::spawn_local(accept_all(
            Rc::clone(self),
            endpoint,
            listener,
            stop.clone(),
            Rc::clone(&drain),
        ));
        let listening = Listening {
            stop,
            drain,
            accepting,
        };
        self.listeners.borrow_mut().insert(endpoint, listening);
    }

    /// Accepts what the kernel has, closes the sockets, and lets their connections end in good order.
    async fn stop_listening(&self, endpoints: Vec<EndpointId>) {
        for endpoint in endpoints {
            let listening = self.listeners.borrow_mut().remove(&endpoint);
            let Some(listening) = listening else { continue };
            listening.stop.cancel();
            if let Err(error) = listening.accepting.await {
                tracing::error!(%error, "accepting connections failed");
            }
            listening.drain.begin();
        }
    }

    async fn drain(self: &Rc<Self>, deadline: Duration) {
        let all = self.listeners.borrow().keys().copied().collect();
        self.stop_listening(all).await;
        self.connections.close();
        let (connections, tunnels) = (self.connections.len(), self.tunnels.len());
        tracing::info!(worker = self.index, connections, tunnels, "draining");
        let end = tokio::time::Instant::now() + deadline;
        let ended = async {
            tokio::join!(self.connections.wait(), self.tunnels.drain_all(deadline));
            // A handshake that was under way may have opened one more.
            let left = end.saturating_duration_since(tokio::time::Instant::now());
            self.tunnels.drain_all(left).await;
        };
        // What is left after the deadline is cut when the worker ends.
        let _ = tokio::time::timeout_at(end + LAST_WORDS, ended).await;
    }

    /// Serves a connection that was accepted at `endpoint`, as a task of its own.
    pub(crate) fn start_connection(
        self: &Rc<Self>,
        endpoint: EndpointId,
        stream: TcpStream,
        peer: SocketAddr,
        permit: ConnectionPermit,
        drain: Rc<EndpointDrain>,
    ) {
        self.metrics().accepted.add(1);
        let connection = welcome(Rc::clone(self), endpoint, stream, peer, permit, drain);
        // The tracker is the task's owner.
        drop(self.connections.spawn_local(connection));
    }

    /// The generation to serve by now.
    pub(crate) fn view(&self) -> Rc<View> {
        Rc::clone(&self.view.borrow())
    }

    /// This worker's counts.
    pub(crate) fn metrics(&self) -> &WorkerCounts {
        self.shared.counts.of(self.index)
    }

    /// The bound on client connections.
    pub(crate) fn budget(&self) -> &Arc<ConnectionBudget> {
        &self.shared.budget
    }

    /// How many handshakes there were lately, at all listeners.
    pub(crate) fn handshakes(&self) -> &Rate {
        &self.shared.handshakes
    }

    /// Who holds how many tunnels.
    pub(crate) fn tunnels_by_client(&self) -> &Arc<TunnelsByClient> {
        &self.shared.tunnels_by_client
    }

    /// Whether there was no report for [`REPORT_INTERVAL`]; there is one now.
    pub(crate) fn may_report(&self, now: Instant) -> bool {
        let last = self.reported_at.get();
        let may = last.is_none_or(|last| now.saturating_duration_since(last) >= REPORT_INTERVAL);
        if may {
            self.reported_at.set(Some(now));
        }
        may
    }

    /// Tells of tunnels that stay open, where their settings ask for it.
    async fn tell_progress(self: Rc<Self>) {
        let mut looks = tokio::time::interval(PROGRESS_LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            looks.tick().await;
            last = self.tunnels.look_for_progress(last).await;
        }
    }

    /// A target refused a connection, or reset one before answering.
    pub(crate) fn suspect(&self, target: &Target) {
        (self.shared.options.on_suspect)(target.health.id);
    }

    /// Whether requests are logged.
    pub(crate) fn access_log(&self) -> bool {
        self.shared.options.access_log.is_some()
    }

    /// Hands a request's record to the writer.
    pub(crate) fn log(&self, record: Box<RequestRecord>) {
        if let Some(sink) = &self.shared.options.access_log {
            sink.send(Record::Request(record));
        }
    }
}
