//! What the driver and all clients share: the timeline, the open tunnels, and what was seen that no
//! world explains.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::client::Resumption;
use tokio::sync::Semaphore;

use super::plan::{HOST, SITE};
use super::timeline::{Asker, Mark, Seen, Ties, Timeline, explains, may_close, must_close, ties};
use super::world::{Landing, World};

/// What a drain may take beyond its time: a second for the last FINs, and a busy machine.
const GRACE: Duration = Duration::from_secs(5);

/// How many WebSockets are opened at once.
const AT_ONCE: usize = 16;

/// Where to knock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) port: u16,
    pub(super) host: &'static str,
    pub(super) tls: bool,
    /// A tunnel can be opened there.
    pub(super) has_targets: bool,
    /// Nothing happens to most of its targets.
    pub(super) is_anchored: bool,
}

/// An open tunnel.
#[derive(Debug, Clone)]
pub(super) struct Tunnel {
    place: Place,
    backend: SocketAddrV4,
    ties: Ties,
    /// The longest drain time that it may have been given.
    drain: Duration,
    mark: Mark,
    /// The revision and, by name, the rules and settings that may have led there.
    revision: u64,
    routes: Vec<String>,
    opened: Instant,
    /// It must have closed by then.
    due: Option<Instant>,
}

/// How a tunnel ended, to its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    Close(u16),
    /// Without a Close frame: 1006.
    Lost(String),
}

/// What there was, for the last line.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) messages: Cell<u64>,
    pub(super) requests: Cell<u64>,
    pub(super) opened: Cell<u64>,
    pub(super) drained: Cell<u64>,
    pub(super) longest_drain: Cell<Duration>,
    /// Requests that a change was allowed to fail, and did.
    pub(super) failed: Cell<u64>,
}

/// What everybody shares.
pub(super) struct Scene {
    timeline: RefCell<Timeline>,
    places: RefCell<Vec<Place>>,
    tunnels: RefCell<BTreeMap<u64, Tunnel>>,
    faults: RefCell<Vec<String>>,
    /// The live revision, for people.
    pub(super) revision: Cell<u64>,
    pub(super) is_ending: Cell<bool>,
    pub(super) counts: Counts,
    pub(super) client: Arc<ClientConfig>,
    /// Resumes no session: a resumed one shows the certificate of its first connection.
    pub(super) stranger: Arc<ClientConfig>,
    /// Turns of clients that open a WebSocket: not hundreds at one moment, which proves nothing here.
    pub(super) turns: Semaphore,
    numbers: Vec<u16>,
    /// Addresses by the names in `X-Backend`.
    backends: BTreeMap<String, Ipv4Addr>,
}

impl Scene {
    pub(super) fn new(
        world: World,
        numbers: Vec<u16>,
        backends: BTreeMap<String, Ipv4Addr>,
        client: Arc<ClientConfig>,
    ) -> Rc<Self> {
        let places = places(&world, &numbers);
        let mut stranger = (*client).clone();
        stranger.resumption = Resumption::disabled();
        Rc::new(Self {
            timeline: RefCell::new(Timeline::new(world)),
            places: RefCell::new(places),
            tunnels: RefCell::default(),
            faults: RefCell::default(),
            revision: Cell::new(1),
            is_ending: Cell::new(false),
            counts: Counts::default(),
            client,
            stranger: Arc::new(stranger),
            turns: Semaphore::new(AT_ONCE),
            numbers,
            backends,
        })
    }

    pub(super) fn mark(&self) -> Mark {
        self.timeline.borrow().mark()
    }

    pub(super) fn settled(&self) -> Rc<World> {
        self.timeline.borrow().settled()
    }

    pub(super) fn may_become(&self, worlds: impl IntoIterator<Item = World>) {
        self.timeline.borrow_mut().may_become(worlds);
    }

    /// `world` is live, and nothing else.
    pub(super) fn settle(&self, world: World) {
        *self.places.borrow_mut() = places(&world, &self.numbers);
        for tunnel in self.tunnels.borrow_mut().values_mut() {
            tunnel.judge(&world);
        }
        self.timeline.borrow_mut().settle(world);
    }

    pub(super) fn goes_down(&self) {
        self.timeline.borrow_mut().goes_down();
        let now = Instant::now();
        for tunnel in self.tunnels.borrow_mut().values_mut() {
            tunnel.due = Some(now + GRACE);
        }
    }

    pub(super) fn is_back(&self) {
        self.timeline.borrow_mut().is_back();
    }

    pub(super) fn is_down(&self) -> bool {
        self.timeline.borrow().is_down()
    }

    /// Something that no world explains.
    pub(super) fn fault(&self, what: String) {
        self.faults.borrow_mut().push(what);
    }

    pub(super) fn faults(&self) -> Vec<String> {
        self.faults.borrow().clone()
    }

    /// Where somebody answers now.
    pub(super) fn places(&self) -> Vec<Place> {
        self.places.borrow().clone()
    }

    /// The backend that says this of itself: `X-Backend`, `X-Backend-Port`.
    pub(super) fn backend(&self, name: Option<&str>, port: Option<&str>) -> Option<SocketAddrV4> {
        let address = self.backends.get(name?)?;
        Some(SocketAddrV4::new(*address, port?.parse().ok()?))
    }

    pub(super) fn open_tunnels(&self) -> usize {
        self.tunnels.borrow().len()
    }

    /// The tunnels that must have closed by now.
    pub(super) fn overdue(&self) -> Vec<String> {
        let now = Instant::now();
        let tunnels = self.tunnels.borrow();
        let late = tunnels
            .iter()
            .filter(|(_, tunnel)| tunnel.due.is_some_and(|due| due < now));
        late.map(|(id, tunnel)| {
            format!("WebSocket {id} must have been drained, and is open: {tunnel}")
        })
        .collect()
    }

    /// Whether some tunnel has still to close.
    pub(super) fn is_draining(&self) -> bool {
        self.tunnels
            .borrow()
            .values()
            .any(|tunnel| tunnel.due.is_some())
    }

    fn landings(&self, worlds: &[Rc<World>], place: Place) -> Vec<Landing> {
        let mut landings: Vec<Landing> = Vec::new();
        for world in worlds {
            let landing = world.landing(place.port, place.host);
            if landings.last() != Some(&landing) {
                landings.push(landing);
            }
        }
        landings
    }

    /// A tunnel was opened at `place`, to the backend at `backend`, since `mark`.
    pub(super) fn opened(&self, id: u64, place: Place, backend: SocketAddrV4, mark: Mark) {
        let timeline = self.timeline.borrow();
        let landings = self.landings(timeline.since(mark), place);
        let routes = landings.iter().filter_map(|landing| match landing {
            Landing::Open { route, .. } => route.as_ref(),
            Landing::Closed => None,
        });
        let mut tunnel = Tunnel {
            place,
            backend,
            ties: ties(&landings, backend),
            drain: routes
                .clone()
                .map(|route| route.drain)
                .max()
                .unwrap_or_default(),
            mark,
            revision: self.revision.get(),
            routes: routes
                .map(|route| format!("rule {}, settings {}", route.rule, route.settings))
                .collect(),
            opened: Instant::now(),
            due: None,
        };
        tunnel.judge(&timeline.settled());
        self.counts.opened.set(self.counts.opened.get() + 1);
        self.tunnels.borrow_mut().insert(id, tunnel);
    }

    /// A tunnel has ended.
    pub(super) fn ended(&self, id: u64, how: &Ended) {
        let Some(tunnel) = self.tunnels.borrow_mut().remove(&id) else {
            return;
        };
        let timeline = self.timeline.borrow();
        if timeline.was_down_since(tunnel.mark) {
            return;
        }
        let worlds = timeline.since(tunnel.mark);
        let was_cut = worlds.iter().any(|world| may_close(&tunnel.ties, world));
        let counts = &self.counts;
        match how {
            Ended::Close(1001) if was_cut => {
                counts.drained.set(counts.drained.get() + 1);
                if let Some(due) = tunnel.due {
                    let took = (tunnel.drain + GRACE)
                        .saturating_sub(due.saturating_duration_since(Instant::now()));
                    counts
                        .longest_drain
                        .set(counts.longest_drain.get().max(took));
                }
            }
            Ended::Close(_) | Ended::Lost(_) if was_cut => self.fault(format!(
                "WebSocket {id} may be drained, but not so: {how:?}; {tunnel}"
            )),
            Ended::Close(_) | Ended::Lost(_) => self.fault(format!(
                "WebSocket {id} may not close, and did: {how:?}; {tunnel}"
            )),
        }
    }

    /// The client itself has closed it.
    pub(super) fn left(&self, id: u64) {
        self.tunnels.borrow_mut().remove(&id);
    }

    /// Judges what a request or a handshake at `place` came to: on a connection that was opened at
    /// `opened`, itself begun at `begun`, with its last byte sent at `written` (if it was).
    pub(super) fn judge(
        &self,
        place: Place,
        reused: bool,
        [opened, begun]: [Mark; 2],
        written: Option<Mark>,
        seen: &Seen,
    ) {
        let timeline = self.timeline.borrow();
        if timeline.was_down_since(opened) {
            return;
        }
        let asker = Asker {
            tls: place.tls,
            reused,
        };
        let is_closed = |worlds: &[Rc<World>]| {
            let mut worlds = worlds.iter();
            worlds.any(|world| world.landing(place.port, place.host) == Landing::Closed)
        };
        // A connection whose endpoint has gone is served by the last world that had it, or ends.
        let was_closed = reused && is_closed(timeline.since(opened));
        let since = if was_closed { opened } else { begun };
        let mut landings = self.landings(timeline.since(since), place);
        // Whatever a listener has accepted it serves: what was sent before the change that closes it
        // began is answered.
        let sent_in_time =
            !reused && written.is_some_and(|end| !is_closed(timeline.between(begun, end)));
        if sent_in_time {
            landings.retain(|landing| *landing != Landing::Closed);
        }
        if !landings
            .iter()
            .any(|landing| explains(landing, asker, seen))
        {
            self.fault(format!(
                "{seen:?} at port {} for {} (TLS: {}, reused: {reused}, wholly sent: {}); possible were {landings:?}",
                place.port, place.host, place.tls, written.is_some(),
            ));
        } else if matches!(seen, Seen::Nothing(_) | Seen::Broken(_)) {
            self.counts.failed.set(self.counts.failed.get() + 1);
        }
    }
}

impl Tunnel {
    /// Sets when it must have closed, if `world` has no place for it.
    fn judge(&mut self, world: &World) {
        if self.due.is_none() && must_close(&self.ties, world) {
            self.due = Some(Instant::now() + self.drain + GRACE);
        }
    }
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "opened {:.1} s ago under revision {} at port {} for {} (TLS: {}), by {}, to the backend at {}, tied to {:?}, drain time {:?}",
            self.opened.elapsed().as_secs_f64(),
            self.revision,
            self.place.port,
            self.place.host,
            self.place.tls,
            self.routes.join(" or "),
            self.backend,
            self.ties,
            self.drain,
        )
    }
}

/// Where somebody answers in `world`.
fn places(world: &World, numbers: &[u16]) -> Vec<Place> {
    let mut places = Vec::new();
    for port in numbers {
        for host in [HOST, SITE] {
            if let Landing::Open { certificate, route } = world.landing(*port, host) {
                places.push(Place {
                    port: *port,
                    host,
                    tls: certificate.is_some(),
                    has_targets: route
                        .as_ref()
                        .is_some_and(|route| !route.targets.is_empty()),
                    is_anchored: route.is_some_and(|route| matches!(route.rule, "core" | "secure")),
                });
            }
        }
    }
    places
}
