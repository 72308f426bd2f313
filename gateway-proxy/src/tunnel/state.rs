//! What a tunnel's task and the set both see of a tunnel: who it is for, and how it is.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gateway_core::config::HttpSettings;
use gateway_core::snapshot::{ListenerId, LoadCell, Target};
use gateway_core::tunnels::{Carried, TunnelFacts, TunnelId, TunnelReport, TunnelStatus};

use super::driver::TunnelAbout;
use super::machine::{Machine, Side, Traffic};
use super::timers::Timer;
use crate::access_log::{RouteLabels, TunnelNews};
use crate::forwarded_headers::TraceId;
use crate::metrics::TunnelCells;

/// Who a tunnel is for: what is kept of the handshake for as long as the tunnel lives, and for its
/// records. Copies, since a head's own bytes would pin the buffer that it was read into.
#[derive(Debug)]
pub(crate) struct TunnelIdentity {
    pub(crate) trace_id: TraceId,
    pub(crate) client: SocketAddr,
    /// The client came over TLS.
    pub(crate) secure: bool,
    pub(crate) asked: Asked,
    /// The tunnel drains when it goes.
    pub(crate) target: Arc<Target>,
    pub(crate) route: Option<Arc<RouteLabels>>,
    pub(crate) opened_at: SystemTime,
}

/// What a handshake asked for, in one allocation: an idle tunnel is small.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Host, path and subprotocol, one behind the other.
    texts: Box<str>,
    path_at: u32,
    subprotocol_at: u32,
}

impl Asked {
    /// `host` is the `Host` without its port; `subprotocol` is what the peers agreed on, never empty.
    pub(crate) fn new(host: &str, path: &str, subprotocol: Option<&str>) -> Self {
        // A head has a MiB at most.
        let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        Self {
            texts: [host, path, subprotocol.unwrap_or_default()]
                .concat()
                .into(),
            path_at: place(host.len()),
            subprotocol_at: place(host.len() + path.len()),
        }
    }

    pub(crate) fn host(&self) -> &str {
        &self.texts[..self.path_at as usize]
    }

    pub(crate) fn path(&self) -> &str {
        &self.texts[self.path_at as usize..self.subprotocol_at as usize]
    }

    pub(crate) fn subprotocol(&self) -> Option<&str> {
        let agreed = &self.texts[self.subprotocol_at as usize..];
        (!agreed.is_empty()).then_some(agreed)
    }
}

/// One tunnel, as its task and the set see it. Neither is in the middle of the other's turn.
pub(crate) struct TunnelState {
    pub(super) id: TunnelId,
    /// The tunnel drains when it goes.
    pub(super) listener: ListenerId,
    /// What it was opened under; changes do not concern it.
    pub(super) settings: Arc<HttpSettings>,
    pub(super) identity: Arc<TunnelIdentity>,
    /// Where it is counted.
    pub(super) counts: Arc<TunnelCells>,
    pub(super) opened: Instant,
    pub(super) machine: RefCell<Machine>,
    pub(super) timer: Timer,
}

// As for the task: whoever adds to one adds to all.
const _: () = assert!(size_of::<TunnelState>() <= 184, "an idle tunnel is small");

impl TunnelState {
    pub(super) fn new(serial: u64, about: TunnelAbout, machine: Machine, opened: Instant) -> Self {
        Self {
            id: TunnelId {
                worker: about.worker,
                serial,
            },
            listener: about.listener,
            settings: about.settings,
            identity: about.identity,
            counts: about.counts,
            opened,
            machine: RefCell::new(machine),
            timer: Timer::default(),
        }
    }

    /// Whether its settings ask for records while it is open.
    pub(super) fn is_told_of(&self) -> bool {
        self.settings.web_socket.progress_interval.is_some()
    }

    /// What its worker has open at its target.
    pub(super) fn load(&self) -> &LoadCell {
        self.identity.target.load.of(self.id.worker)
    }

    /// What there is to be said while it is open.
    pub(super) fn progress(&self) -> TunnelNews {
        let carried = self.machine.borrow().summary(self.opened.elapsed());
        TunnelNews::Progress {
            to_backend: carried.to_backend,
            to_client: carried.to_client,
            age: carried.age,
        }
    }

    /// When bytes last came from `side`; before any did, when the tunnel was opened. Answers to the
    /// gateway's own pings do not count.
    pub(super) fn last_traffic(&self, side: Side) -> Instant {
        self.machine.borrow().last_traffic(side)
    }

    /// The names of its listener, rule, pool and HTTP settings.
    pub(super) fn names(&self) -> [&str; 4] {
        let route = self.identity.route.as_ref();
        route.map_or([""; 4], |route| route.names())
    }

    /// What the tunnel is judged by.
    pub(super) fn facts(&self, now: Instant) -> TunnelFacts<'_> {
        let (identity, age) = (&*self.identity, now.saturating_duration_since(self.opened));
        let [listener, rule, pool, settings] = self.names();
        let sides = Side::BOTH.map(|side| self.last_traffic(side));
        let last_traffic = sides[0].max(sides[1]);
        let carried = self.machine.borrow().summary(age);
        let (up, down) = (carried.to_backend, carried.to_client);
        TunnelFacts {
            id: self.id,
            listener_id: self.listener,
            target_id: identity.target.id,
            listener,
            rule,
            pool,
            settings,
            on_unhealthy: self.settings.web_socket.on_unhealthy,
            target: identity.target.address,
            client: identity.client,
            host: identity.asked.host(),
            subprotocol: identity.asked.subprotocol(),
            opened_at: identity.opened_at,
            last_traffic_at: self.wall_clock(last_traffic),
            age,
            idle: now.saturating_duration_since(last_traffic),
            messages: up.messages + down.messages,
            bytes: up.bytes + down.bytes,
        }
    }

    /// The tunnel as operators are told of it; `drains` where it is to be closed.
    pub(super) fn report(&self, drains: bool) -> TunnelReport {
        let (identity, machine) = (&*self.identity, self.machine.borrow());
        let [listener, rule, pool, settings] = self.names().map(str::to_owned);
        let status = match (machine.is_ending(), drains) {
            (true, _) => TunnelStatus::Closing,
            (false, true) => TunnelStatus::Draining,
            (false, false) => TunnelStatus::Open,
        };
        let carried = machine.summary(Duration::ZERO);
        let from = |side: Side, traffic: Traffic| Carried {
            messages: traffic.messages,
            bytes: traffic.bytes,
            last_at: self.wall_clock(self.last_traffic(side)),
        };
        TunnelReport {
            id: self.id,
            listener,
            rule,
            pool,
            target: identity.target.address,
            settings,
            client: identity.client,
            host: identity.asked.host().to_owned(),
            path: identity.asked.path().to_owned(),
            subprotocol: identity.asked.subprotocol().map(str::to_owned),
            secure: identity.secure,
            opened_at: identity.opened_at,
            status,
            frames: self.settings.web_socket.frames,
            ping_round_trip: Side::BOTH
                .into_iter()
                .filter_map(|side| machine.round_trip(side))
                .max(),
            received: from(Side::Client, carried.to_backend),
            sent: from(Side::Backend, carried.to_client),
        }
    }

    /// What the clock showed at `at`, if nobody has set it since the tunnel was opened.
    fn wall_clock(&self, at: Instant) -> SystemTime {
        self.identity.opened_at + at.saturating_duration_since(self.opened)
    }
}
