//! A tunnel's task: reads and writes as the [`Machine`] says.
//!
//! Memory is the point. An idle tunnel holds its two sockets and this small future: no buffer, since
//! reads go through one scratch buffer of the worker, and no timer but an entry in the worker's wheel
//! while it has a deadline.

use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use gateway_core::config::HttpSettings;
use gateway_core::snapshot::ListenerId;
use tokio::io::ReadBuf;
use tokio::task::yield_now;

use super::leg::Leg;
use super::machine::{CloseOrder, Machine, Side};
use super::set::{Order, TunnelSet};
use super::state::{TunnelIdentity, TunnelState};
use super::timers::now;
use crate::access_log::TunnelNews;
use crate::gate::TunnelShare;
use crate::metrics::TunnelCells;

/// How many bytes a tunnel may move before its neighbours have their turn.
pub(super) const TURN_BYTES: usize = 256 * 1024;
/// How often it may read each side before that.
const TURN_ROUNDS: usize = 16;

/// What a tunnel keeps of the handshake that opened it. Owns nothing of the snapshot but its target and
/// the settings.
pub(crate) struct TunnelAbout {
    /// The listener; the tunnel drains when it goes.
    pub(crate) listener: ListenerId,
    /// What it is opened under.
    pub(crate) settings: Arc<HttpSettings>,
    /// Who it is for.
    pub(crate) identity: Arc<TunnelIdentity>,
    /// The worker that it runs on.
    pub(crate) worker: usize,
    /// Its share of what is limited.
    pub(crate) share: Option<TunnelShare>,
    /// Where it is counted.
    pub(crate) counts: Arc<TunnelCells>,
}

/// The future of one tunnel. Its entry in the set and its counts are given back when it is dropped, by a
/// panic too.
pub(super) struct Tunnel {
    client: Leg,
    backend: Leg,
    state: Rc<TunnelState>,
    set: Rc<TunnelSet>,
    /// Its place in the set.
    slot: usize,
    /// Legs under TLS that hold ciphertext back.
    unflushed: [bool; 2],
    /// Counted as one that is being closed.
    is_closing: bool,
    _share: Option<TunnelShare>,
}

// Idle tunnels come in tens of thousands: whoever adds to one adds to all. What tokio keeps of a task
// takes 104 bytes besides, and its allocations are multiples of 128 bytes.
const _: () = assert!(size_of::<Tunnel>() <= 256 - 104, "an idle tunnel is small");

impl Tunnel {
    pub(super) fn new(
        set: Rc<TunnelSet>,
        slot: usize,
        legs: (Leg, Leg),
        state: Rc<TunnelState>,
        share: Option<TunnelShare>,
    ) -> Self {
        state.load().tunnel_opened();
        state.counts.of(state.id.worker).opened.add(1);
        Self {
            client: legs.0,
            backend: legs.1,
            state,
            set,
            slot,
            unflushed: [false; 2],
            is_closing: false,
            _share: share,
        }
    }

    fn leg(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Client => &mut self.client,
            Side::Backend => &mut self.backend,
        }
    }

    /// Does what the set has asked for since the last turn.
    fn obey(&mut self, cx: &mut Context<'_>, machine: &mut Machine) {
        match self.set.take_order(self.slot, cx.waker()) {
            Some(Order::Close(drain)) => machine.close(&CloseOrder {
                code: drain.code_for(&self.state.settings),
                reason: &drain.order.reason,
                mask: self.set.mask(),
            }),
            Some(Order::Cut) => machine.cut(),
            None => {}
        }
    }

    /// Moves bytes until nothing can move, or the neighbours are due. Says whether they are.
    fn turn(&mut self, cx: &mut Context<'_>, machine: &mut Machine, scratch: &mut [u8]) -> bool {
        let mut bytes_left = TURN_BYTES;
        for _ in 0..TURN_ROUNDS {
            let mut moved = false;
            for from in Side::BOTH {
                moved |= self.send(cx, machine, from.other());
                let read = self.transfer(cx, machine, from, scratch);
                bytes_left = bytes_left.saturating_sub(read.unwrap_or(0));
                moved |= read.is_some();
            }
            for to in Side::BOTH {
                moved |= self.send(cx, machine, to) | self.finish(cx, machine, to);
            }
            if !moved {
                return false;
            }
            if bytes_left == 0 {
                break;
            }
        }
        true
    }

    /// Reads once from `from` and passes on at once what the other side takes. `None` when there
    /// was nothing to be done.
    fn transfer(
        &mut self,
        cx: &mut Context<'_>,
        machine: &mut Machine,
        from: Side,
        scratch: &mut [u8],
    ) -> Option<usize> {
        let to = from.other();
        let waits = self.unflushed[to as usize] && !machine.is_done_with(to);
        if waits || !machine.wants_read(from) {
            return None;
        }
        let mut buf = ReadBuf::new(scratch);
        match self.leg(from).poll_read(cx, &mut buf) {
            Poll::Pending => None,
            Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                machine.ended(from);
                Some(0)
            }
            Poll::Ready(Ok(())) => {
                let passed = machine.receive(from, buf.filled(), now());
                let written = self.write(cx, machine, to, passed);
                machine.keep(to, &passed[written..]);
                Some(buf.filled().len())
            }
            Poll::Ready(Err(_)) => {
                machine.lost(from);
                Some(0)
            }
        }
    }

    /// Writes what waits for `to`. Says whether anything went out.
    fn send(&mut self, cx: &mut Context<'_>, machine: &mut Machine, to: Side) -> bool {
        let mut moved = false;
        loop {
            let queued = machine.queued(to);
            if queued.is_empty() {
                break;
            }
            // Not by `Self::leg`: the queue is borrowed.
            let leg = match to {
                Side::Client => &mut self.client,
                Side::Backend => &mut self.backend,
            };
            match leg.poll_write(cx, queued) {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) if count > 0 => machine.wrote(to, count),
                Poll::Ready(_) => machine.write_failed(to),
            }
            moved = true;
            self.unflushed[to as usize] = leg.holds_writes();
        }
        moved | self.flush(cx, machine, to)
    }

    /// Writes `bytes` to `to` as far as it takes them; returns how far. For one that is gone, all of
    /// them: nothing is kept for it.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        machine: &mut Machine,
        to: Side,
        bytes: &[u8],
    ) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.leg(to).poll_write(cx, &bytes[written..]) {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) if count > 0 => written += count,
                Poll::Ready(_) => {
                    machine.write_failed(to);
                    return bytes.len();
                }
            }
            self.unflushed[to as usize] = self.leg(to).holds_writes();
        }
        self.flush(cx, machine, to);
        written
    }

    /// Pushes out what a TLS leg holds back. Says whether it did.
    fn flush(&mut self, cx: &mut Context<'_>, machine: &mut Machine, to: Side) -> bool {
        if !self.unflushed[to as usize] {
            return false;
        }
        match self.leg(to).poll_flush(cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => machine.took(to),
            Poll::Ready(Err(_)) => machine.write_failed(to),
        }
        self.unflushed[to as usize] = false;
        true
    }

    /// Sends the FIN or the reset that `to` is due. Says whether it went out.
    fn finish(&mut self, cx: &mut Context<'_>, machine: &mut Machine, to: Side) -> bool {
        if machine.wants_drop(to) {
            self.leg(to).reset();
            self.unflushed[to as usize] = false;
            machine.dropped(to);
            return true;
        }
        if machine.wants_reset(to) {
            if self.unflushed[to as usize] || self.leg(to).poll_sent(cx).is_pending() {
                return false;
            }
            self.leg(to).reset_on_close();
            machine.reset();
            return true;
        }
        if !machine.wants_finish(to) {
            return false;
        }
        match self.leg(to).poll_finish(cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => machine.finished(to),
            Poll::Ready(Err(_)) => machine.write_failed(to),
        }
        true
    }

    /// Tells the machine the time when its timer rings, and sets the timer for what is due next. Says
    /// whether anything has changed.
    fn watch_time(&mut self, cx: &mut Context<'_>, machine: &mut Machine) -> bool {
        let now = now();
        machine.observe(self.unflushed, now);
        let set = &self.set;
        if self.state.timer.has_rung() && machine.tick(now, &mut |bytes| set.fill_random(bytes)) {
            return true;
        }
        if let Some(at) = machine.deadline(now) {
            set.timers().arm(&self.state, cx.waker(), at);
        }
        false
    }

    /// Counts the tunnel as one that is being closed, once it is.
    fn note_end(&mut self, machine: &Machine) {
        if machine.is_ending() && !self.is_closing {
            self.is_closing = true;
            self.state.load().tunnel_closing();
        }
    }

    /// Readies both connections for being dropped.
    fn leave(&mut self, machine: &Machine) {
        for side in Side::BOTH {
            if machine.is_abrupt(side) {
                self.leg(side).reset_on_close();
            }
        }
    }
}

impl Future for Tunnel {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let tunnel = &mut *self;
        let (state, set) = (Rc::clone(&tunnel.state), Rc::clone(&tunnel.set));
        let machine = &mut *state.machine.borrow_mut();
        tunnel.obey(cx, machine);
        let mut scratch = set.scratch();
        loop {
            let neighbours_due = tunnel.turn(cx, machine, &mut scratch);
            if machine.is_over() {
                tunnel.leave(machine);
                return Poll::Ready(());
            }
            if tunnel.watch_time(cx, machine) {
                continue;
            }
            tunnel.note_end(machine);
            if neighbours_due {
                // Comes back behind the next look at all sockets. A plain wake-up would come before
                // it, and a neighbour with news would wait for dozens of turns.
                let _ = pin!(yield_now()).poll(cx);
            }
            return Poll::Pending;
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let (state, set) = (&*self.state, &self.set);
        state.load().tunnel_closed(self.is_closing);
        set.timers().disarm(state);
        set.remove(self.slot);
        let machine = state.machine.borrow();
        let end = machine.summary(state.opened.elapsed());
        state.counts.of(state.id.worker).ended(&end);
        set.tell_of(state, TunnelNews::End(end));
    }
}
