//! Which handshakes get through, beyond what RFC 6455 asks of them: whose page they come from, what
//! they offer, and whether there is room.
//!
//! What there is room for is counted by all workers together: once a handshake, never on the way of a
//! plain request. A handshake counts from before it is sent on, so that many at once do not slip
//! through together.

mod kept;
mod seats;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use gateway_core::config::{HandshakeMode, HandshakeRate, OriginPolicy};
use gateway_core::snapshot::{Backend, Route};
use gateway_core::websocket::{
    self, HandshakeBucket, HandshakeError, Offer, Upgrade, may_come_from_there,
};
use http::request;

pub(crate) use kept::{Gates, PublishedGates};
pub(crate) use seats::{Seat, Seats};

use crate::limits::ConnectionPermit;
use crate::refusal::HandshakeRefusal;
use crate::tunnel::{ClientPermit, TunnelsByClient};

/// Whether `head` wants to be a WebSocket, by the listener's `handshake`.
pub(crate) fn accept(
    route: &Route,
    head: &request::Parts,
    has_body: bool,
) -> Result<Upgrade, HandshakeError> {
    match route.web_socket.handshake {
        HandshakeMode::Strict => websocket::accept(head, has_body),
        HandshakeMode::Lenient => websocket::accept_leniently(head, has_body),
    }
}

/// A good attempt that somebody should look at all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is wrong with it.
    Fine,
    /// Its origin is not allowed, and only reported.
    ForeignOrigin,
}

/// What the listener and the HTTP settings ask of a handshake, whoever else is there. Both must allow
/// its origin; where one of them refuses, the other one's `ReportOnly` does not help.
pub(crate) fn judge(
    route: &Route,
    head: &request::Parts,
    offer: &Offer,
) -> Result<Verdict, HandshakeRefusal> {
    let listener = &route.web_socket;
    let mut verdict = Verdict::Fine;
    for origins in [
        &listener.origins,
        &route.backend.settings.web_socket.origins,
    ] {
        if may_come_from_there(&head.headers, &origins.allowed) {
            continue;
        }
        match origins.policy {
            OriginPolicy::Enforce => return Err(HandshakeRefusal::Origin),
            OriginPolicy::ReportOnly => verdict = Verdict::ForeignOrigin,
        }
    }
    let required = &listener.required_subprotocols;
    let offers = |name: &String| offer.protocols.iter().any(|offered| **offered == **name);
    if !required.is_empty() && !required.iter().any(offers) {
        return Err(HandshakeRefusal::Subprotocol);
    }
    Ok(verdict)
}

/// What one listener has open, and how many handshakes it has let through lately.
#[derive(Debug)]
pub(crate) struct ListenerGate {
    seats: Seats,
    clients: Arc<TunnelsByClient>,
    rate: Rate,
}

/// A tunnel's part of what is limited at its listener: one of its seats, and a share of its client's.
#[derive(Debug)]
pub(crate) struct ListenerShare {
    /// Keeps the listener's counts while no rule leads from it.
    gate: Arc<ListenerGate>,
    _client: Option<Box<ClientPermit>>,
}

impl Drop for ListenerShare {
    fn drop(&mut self) {
        self.gate.seats.give_back();
    }
}

impl ListenerGate {
    fn new(start: Instant) -> Self {
        Self {
            seats: Seats::default(),
            clients: Arc::default(),
            rate: Rate::new(start),
        }
    }

    /// Room for one more tunnel of `client`.
    pub(crate) fn enter(
        self: &Arc<Self>,
        route: &Route,
        client: IpAddr,
    ) -> Result<ListenerShare, HandshakeRefusal> {
        let listener = &route.web_socket;
        let client = listener.max_connections_per_client.map(|most| {
            let permit = self.clients.admit(client, most);
            let permit = permit.ok_or(HandshakeRefusal::ListenerClientTunnels);
            permit.map(Box::new)
        });
        let client = client.transpose()?;
        if !self.seats.try_take(listener.max_connections) {
            return Err(HandshakeRefusal::ListenerTunnels);
        }
        Ok(ListenerShare {
            gate: Arc::clone(self),
            _client: client,
        })
    }

    /// Whether one more handshake may go on at `now`.
    pub(crate) fn pass(&self, route: &Route, now: Instant) -> Result<(), HandshakeRefusal> {
        match route.web_socket.handshakes {
            Some(rate) if !self.rate.admit(now, rate) => Err(HandshakeRefusal::ListenerRate),
            _ => Ok(()),
        }
    }
}

/// How many handshakes one pool, as spoken to by one set of HTTP settings, has been sent lately.
#[derive(Debug)]
pub(crate) struct PoolGate {
    rate: Rate,
    was_down: AtomicBool,
}

impl PoolGate {
    fn new(start: Instant) -> Self {
        Self {
            rate: Rate::new(start),
            was_down: AtomicBool::new(false),
        }
    }

    /// Whether one more handshake may go on at `now`.
    pub(crate) fn pass(&self, backend: &Backend, now: Instant) -> Result<(), HandshakeRefusal> {
        let Some(rate) = backend.settings.web_socket.handshakes else {
            return Ok(());
        };
        self.look(backend, now);
        if self.rate.admit(now, rate) {
            Ok(())
        } else {
            Err(HandshakeRefusal::PoolRate)
        }
    }

    /// Notes whether any target is up. The first one that is, after none was, begins the ramp anew.
    pub(crate) fn look(&self, backend: &Backend, now: Instant) {
        let rate = backend.settings.web_socket.handshakes;
        if rate.is_none_or(|rate| rate.ramp.is_zero()) {
            return;
        }
        let mut targets = backend.targets.iter();
        if !targets.any(|target| target.health.health().is_serving()) {
            self.was_down.store(true, Ordering::Relaxed);
        } else if self.was_down.load(Ordering::Relaxed)
            && self.was_down.swap(false, Ordering::Relaxed)
        {
            self.rate.restart(now);
        }
    }
}

/// A bucket for all workers. Locked once a handshake, where there is a rate.
#[derive(Debug)]
pub(crate) struct Rate(Mutex<HandshakeBucket>);

impl Rate {
    /// A rate that grows, where it does, since `start`.
    pub(crate) fn new(start: Instant) -> Self {
        Self(Mutex::new(HandshakeBucket::new(start)))
    }

    /// Whether one more handshake may go on at `now`.
    pub(crate) fn admit(&self, now: Instant, rate: HandshakeRate) -> bool {
        self.with(|bucket| bucket.admit(now, rate))
    }

    fn restart(&self, now: Instant) {
        self.with(|bucket| bucket.restart(now));
    }

    fn with<T>(&self, run: impl FnOnce(&mut HandshakeBucket) -> T) -> T {
        // A bucket is numbers: what a panic leaves is as good as any.
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a tunnel holds of what is limited, from its handshake to its end; dropping it gives it back.
/// Small, since idle tunnels come in tens of thousands: what most of them have not is boxed.
#[derive(Debug)]
pub(crate) struct TunnelShare {
    /// Of `limits.maxTunnelsPerClient`, where there is one.
    pub(crate) _client: Option<Box<ClientPermit>>,
    pub(crate) _listener: ListenerShare,
    /// `None` until a target is chosen.
    pub(crate) target: Option<Seat>,
    /// Of `maxConnections`, which the client's connection had; `None` until that ends.
    pub(crate) _connection: Option<ConnectionPermit>,
}

#[cfg(test)]
mod tests;
