//! What a tunnel does, as plain data: bytes in; bytes, interest and events out.
//!
//! Knows no socket, clock or runtime. Whoever drives it reads where [`Machine::wants_read`] says so,
//! writes what [`Machine::receive`] and [`Machine::queued`] give, and reports what became of it. A
//! side is read only while nothing waits for the other, so what a stalled reader costs is bounded by
//! one read.

mod ending;
mod flow;

use std::time::Duration;

use gateway_core::websocket::{Direction, encode_close};

use ending::End;
pub(crate) use ending::{EndCause, Traffic, TunnelEnd};
use flow::{Flow, Inlet, Outlet, Received};

/// The most bytes to be read at once. With a Close frame of ours behind them, what waits for a slow
/// reader stays within 64 KiB.
pub(super) const READ_LIMIT: usize = 64 * 1024 - 256;

/// How long a closing handshake may take once both sides have said Close, or once we have refused
/// a peer's frames, before TCP is ended without the peers.
const CLOSE_TIME: Duration = Duration::from_secs(10);
/// How long peers may take to answer the FIN of a tunnel that is cut.
const CUT_TIME: Duration = Duration::from_secs(1);
/// How long the bytes before a reset may wait for their reader.
const RESET_TIME: Duration = Duration::from_secs(30);

/// One end of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that asked for the tunnel.
    Client,
    /// The one that granted it.
    Backend,
}

impl Side {
    /// Both, in the order in which they are served.
    pub(super) const BOTH: [Self; 2] = [Self::Client, Self::Backend];

    /// The opposite end.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Backend,
            Self::Backend => Self::Client,
        }
    }
}

/// What a tunnel waits for under a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// The closing handshake's last steps.
    Close,
    /// The reader of the bytes before a reset.
    Reset,
    /// The FINs of a tunnel that is cut.
    Cut,
}

impl Wait {
    /// How long it may take.
    pub(super) fn limit(self) -> Duration {
        match self {
            Self::Close => CLOSE_TIME,
            Self::Reset => RESET_TIME,
            Self::Cut => CUT_TIME,
        }
    }
}

/// A Close frame that the gateway itself says, ready for either direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct CloseOrder<'r> {
    /// The status code (RFC 6455 section 7.4).
    pub(super) code: u16,
    /// The reason that peers may log.
    pub(super) reason: &'r str,
    /// Towards the backend we are a client, and mask (section 5.3).
    pub(super) mask: [u8; 4],
}

impl CloseOrder<'_> {
    fn frame(&self, to: Side) -> Vec<u8> {
        match to {
            Side::Client => encode_close(self.code, self.reason, None),
            Side::Backend => encode_close(self.code, self.reason, Some(self.mask)),
        }
    }
}

/// How far a tunnel as a whole has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The peers decide.
    Open,
    /// We have said Close, or are about to.
    Closing,
    /// A peer's frames were refused: Close goes out, and its answer is not waited for.
    Failing,
    /// Time is up: FINs go out, what comes in is dropped.
    Cut,
    /// Nothing more to do.
    Over,
}

/// A tunnel's state.
#[derive(Debug)]
pub(super) struct Machine {
    from_client: Flow,
    from_backend: Flow,
    phase: Phase,
    end: Option<End>,
    /// For the Close that a peer's bad framing asks for, since randomness comes in from outside.
    mask: [u8; 4],
}

impl Machine {
    /// Starts with what arrived behind either head, which goes first.
    pub(super) fn new(client_first: &[u8], backend_first: &[u8], mask: [u8; 4]) -> Self {
        let mut machine = Self {
            from_client: Flow::new(Direction::ToBackend),
            from_backend: Flow::new(Direction::ToClient),
            phase: Phase::Open,
            end: None,
            mask,
        };
        for (side, first) in [(Side::Client, client_first), (Side::Backend, backend_first)] {
            let passed = machine.receive(side, first);
            machine.keep(side.other(), passed);
        }
        machine
    }

    fn flow(&self, from: Side) -> &Flow {
        match from {
            Side::Client => &self.from_client,
            Side::Backend => &self.from_backend,
        }
    }

    fn flow_mut(&mut self, from: Side) -> &mut Flow {
        match from {
            Side::Client => &mut self.from_client,
            Side::Backend => &mut self.from_backend,
        }
    }

    /// Whether bytes from `side` are welcome: its stream has not ended, and nothing that came from
    /// it waits for the other side.
    pub(super) fn wants_read(&self, side: Side) -> bool {
        let flow = self.flow(side);
        flow.inlet == Inlet::Open && flow.queue.is_empty()
    }

    /// Takes what was read from `from`. The bytes returned, a prefix, go to the other side now,
    /// before anything in its queue; what could not be written of them goes to [`Self::keep`].
    pub(super) fn receive<'b>(&mut self, from: Side, bytes: &'b [u8]) -> &'b [u8] {
        let Received {
            passed,
            peer_close,
            offence,
        } = self.flow_mut(from).receive(bytes);
        if let Some(code) = peer_close {
            self.note(End::closed(from, code));
        }
        if let Some(error) = offence {
            // Section 7.1.7: fail the connection. Both ends hear of it, at a frame's boundary.
            self.note(End::offence(from, error));
            self.phase = Phase::Failing;
            self.say_close(&CloseOrder {
                code: 1002,
                reason: "invalid framing",
                mask: self.mask,
            });
        }
        &bytes[..passed]
    }

    /// Keeps what could not be written to `to` at once.
    pub(super) fn keep(&mut self, to: Side, unwritten: &[u8]) {
        self.flow_mut(to.other()).keep(unwritten);
    }

    /// What waits to be written to `to`.
    pub(super) fn queued(&self, to: Side) -> &[u8] {
        self.flow(to.other()).queue.bytes()
    }

    /// The first `count` bytes of the queue have been written.
    pub(super) fn wrote(&mut self, to: Side, count: usize) {
        self.flow_mut(to.other()).queue.consume(count);
    }

    /// `side` has ended its stream in order.
    pub(super) fn ended(&mut self, side: Side) {
        if self.flow(side.other()).outlet == Outlet::Broken {
            // An end of stream behind a failed write is a reset that the kernel has already told.
            return self.lost(side);
        }
        self.note(End::of(side, EndCause::Fin));
        self.flow_mut(side).end(Inlet::Ended);
    }

    /// `side`'s stream broke: a reset, a dead peer, TLS cut short.
    pub(super) fn lost(&mut self, side: Side) {
        self.note(End::of(side, EndCause::Reset));
        let orderly = self.phase != Phase::Open || self.flow(side).has_closed();
        let inlet = if orderly { Inlet::Ended } else { Inlet::Lost };
        self.flow_mut(side).end(inlet);
        // Nobody is there to take these.
        self.flow_mut(side.other()).break_outlet();
    }

    /// Writing to `to` failed: its peer is gone, but may have left bytes behind that are unread.
    pub(super) fn write_failed(&mut self, to: Side) {
        self.flow_mut(to.other()).break_outlet();
        if self.flow(to).inlet != Inlet::Open {
            self.lost(to);
        }
    }

    /// Whether `to` is to get a FIN now.
    pub(super) fn wants_finish(&self, to: Side) -> bool {
        let into = self.flow(to.other());
        if into.outlet.is_finished() || !into.queue.is_empty() {
            return false;
        }
        self.phase == Phase::Cut
            || into.inlet == Inlet::Ended
            || (into.outlet == Outlet::ClosedByUs && self.peer_is_done(to))
    }

    /// Whether `side` needs to hear nothing more once our Close has gone out to it. Section 7.1.1:
    /// the server ends TCP first, and towards clients that is us.
    fn peer_is_done(&self, side: Side) -> bool {
        let out_of = self.flow(side);
        out_of.inlet != Inlet::Open
            || out_of.is_refused()
            || (side == Side::Client && out_of.has_closed())
    }

    /// The FIN to `to` has gone out.
    pub(super) fn finished(&mut self, to: Side) {
        self.flow_mut(to.other()).outlet = Outlet::Finished;
    }

    /// Whether `to` is to be reset now: the other side broke, and all it had sent is written.
    pub(super) fn wants_reset(&self, to: Side) -> bool {
        let into = self.flow(to.other());
        self.phase != Phase::Over && into.inlet == Inlet::Lost && into.queue.is_empty()
    }

    /// The reset has been sent.
    pub(super) fn reset(&mut self) {
        self.phase = Phase::Over;
    }

    /// Ends the tunnel by the WebSocket protocol: a Close frame to both sides at the next frame
    /// boundary, no data behind it.
    pub(super) fn close(&mut self, order: &CloseOrder<'_>) {
        if self.phase == Phase::Open {
            self.note(End::by_gateway(EndCause::Drain, Some(order.code)));
            self.phase = Phase::Closing;
            self.say_close(order);
        }
    }

    fn say_close(&mut self, order: &CloseOrder<'_>) {
        self.from_backend.close_outlet(order.frame(Side::Client));
        self.from_client.close_outlet(order.frame(Side::Backend));
    }

    /// Ends the tunnel without waiting for anybody: FIN to both sides, and what waits is dropped.
    pub(super) fn cut(&mut self) {
        if matches!(self.phase, Phase::Cut | Phase::Over) {
            return;
        }
        self.note(End::by_gateway(EndCause::Cut, None));
        self.phase = Phase::Cut;
        self.from_client.queue.clear();
        self.from_backend.queue.clear();
    }

    /// What the tunnel waits for under a limit, if it does. The limit starts when this changes.
    pub(super) fn wait(&self) -> Option<Wait> {
        let lost = |flow: &Flow| flow.inlet == Inlet::Lost;
        match self.phase {
            Phase::Over => None,
            Phase::Cut => Some(Wait::Cut),
            Phase::Failing => Some(Wait::Close),
            _ if lost(&self.from_client) || lost(&self.from_backend) => Some(Wait::Reset),
            _ if self.from_client.has_closed() && self.from_backend.has_closed() => {
                Some(Wait::Close)
            }
            Phase::Open | Phase::Closing => None,
        }
    }

    /// The limit of [`Self::wait`] has passed.
    pub(super) fn expired(&mut self, wait: Wait) {
        match wait {
            Wait::Close => self.cut(),
            Wait::Reset | Wait::Cut => self.phase = Phase::Over,
        }
    }

    /// Whether nothing is left to be done, so that both connections can be dropped.
    pub(super) fn is_over(&self) -> bool {
        let done = |flow: &Flow| flow.inlet != Inlet::Open && flow.outlet.is_finished();
        self.phase == Phase::Over || (done(&self.from_client) && done(&self.from_backend))
    }

    /// What both directions carried so far, and how the tunnel ended.
    pub(super) fn summary(&self, age: Duration) -> TunnelEnd {
        let end = self
            .end
            .clone()
            .unwrap_or(End::by_gateway(EndCause::Abandoned, None));
        TunnelEnd {
            by: end.by,
            cause: end.cause,
            close_code: end.close_code,
            to_backend: self.from_client.traffic,
            to_client: self.from_backend.traffic,
            age,
        }
    }

    /// Only the first cause counts: what follows is its consequence.
    fn note(&mut self, end: End) {
        self.end.get_or_insert(end);
    }
}

#[cfg(test)]
mod tests;
