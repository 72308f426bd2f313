//! A tunnel's task: reads and writes as the [`Machine`] says.
//!
//! Memory is the point. An idle tunnel holds its two sockets and this small future: no buffer, since
//! reads go through one scratch buffer of the worker, and no timer.

use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use gateway_core::snapshot::{ListenerId, LoadCell, PerWorker, TargetId};
use tokio::io::ReadBuf;
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep};

use super::leg::Leg;
use super::machine::{CloseOrder, Machine, Side, TunnelEnd, Wait};
use super::per_client::ClientPermit;
use super::set::{Order, TunnelKey, TunnelSet};

/// How many bytes a tunnel may move before its neighbours have their turn.
const TURN_BYTES: usize = 256 * 1024;
/// How often it may read each side before that.
const TURN_ROUNDS: usize = 16;

/// What a tunnel keeps of the handshake that opened it. Owns nothing of the snapshot but the load
/// cells.
pub(crate) struct TunnelAbout {
    /// The listener; the tunnel drains when it goes.
    pub(crate) listener: ListenerId,
    /// The target; the tunnel drains when it goes.
    pub(crate) target: TargetId,
    /// Counts this tunnel at the target while it is open.
    pub(crate) load: PerWorker<LoadCell>,
    /// The worker that it runs on.
    pub(crate) worker: usize,
    /// Its share of its client's limit, where there is one.
    pub(crate) permit: Option<Box<ClientPermit>>,
    /// How long a drain may take, by the settings that it was opened under.
    pub(crate) drain_timeout: Duration,
    /// Told once, when both connections have ended. Must not panic: it may run in a drop.
    pub(crate) on_end: Box<dyn FnOnce(TunnelEnd)>,
}

/// The future of one tunnel.
pub(super) struct Tunnel {
    client: Leg,
    backend: Leg,
    machine: Machine,
    /// Legs under TLS that hold ciphertext back.
    unflushed: [bool; 2],
    timer: Option<(Wait, Pin<Box<Sleep>>)>,
    opened: Instant,
    place: Place,
}

// Idle tunnels come in tens of thousands: whoever adds to one adds to all.
const _: () = assert!(size_of::<Tunnel>() <= 384, "an idle tunnel is small");

/// A tunnel's entry in the set and its counts, given back when the tunnel goes, by a panic too.
struct Place {
    set: Rc<TunnelSet>,
    key: TunnelKey,
    load: PerWorker<LoadCell>,
    worker: usize,
    on_end: Option<Box<dyn FnOnce(TunnelEnd)>>,
    _permit: Option<Box<ClientPermit>>,
}

impl Tunnel {
    pub(super) fn new(
        set: Rc<TunnelSet>,
        key: TunnelKey,
        legs: (Leg, Leg),
        machine: Machine,
        about: TunnelAbout,
    ) -> Self {
        about.load.of(about.worker).tunnel_opened();
        Self {
            client: legs.0,
            backend: legs.1,
            machine,
            unflushed: [false; 2],
            timer: None,
            opened: Instant::now(),
            place: Place {
                set,
                key,
                load: about.load,
                worker: about.worker,
                on_end: Some(about.on_end),
                _permit: about.permit,
            },
        }
    }

    fn leg(&mut self, side: Side) -> &mut Leg {
        match side {
            Side::Client => &mut self.client,
            Side::Backend => &mut self.backend,
        }
    }

    /// Does what the set has asked for since the last turn.
    fn obey(&mut self, cx: &mut Context<'_>) {
        match self.place.set.take_order(self.place.key, cx.waker()) {
            Some(Order::Close(farewell)) => self.machine.close(&CloseOrder {
                code: farewell.code,
                reason: &farewell.reason,
                mask: self.place.set.mask(),
            }),
            Some(Order::Cut) => self.machine.cut(),
            None => {}
        }
    }

    /// Moves bytes until nothing can move, or the neighbours are due. Says whether they are.
    fn turn(&mut self, cx: &mut Context<'_>, scratch: &mut [u8]) -> bool {
        let mut bytes_left = TURN_BYTES;
        for _ in 0..TURN_ROUNDS {
            let mut moved = false;
            for from in Side::BOTH {
                moved |= self.send(cx, from.other());
                let read = self.transfer(cx, from, scratch);
                bytes_left = bytes_left.saturating_sub(read.unwrap_or(0));
                moved |= read.is_some();
            }
            for to in Side::BOTH {
                moved |= self.send(cx, to) | self.finish(cx, to);
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
    fn transfer(&mut self, cx: &mut Context<'_>, from: Side, scratch: &mut [u8]) -> Option<usize> {
        let to = from.other();
        if !self.machine.wants_read(from) || self.unflushed[to as usize] {
            return None;
        }
        let mut buf = ReadBuf::new(scratch);
        match self.leg(from).poll_read(cx, &mut buf) {
            Poll::Pending => None,
            Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                self.machine.ended(from);
                Some(0)
            }
            Poll::Ready(Ok(())) => {
                let passed = self.machine.receive(from, buf.filled());
                let written = self.write(cx, to, passed);
                self.machine.keep(to, &passed[written..]);
                Some(buf.filled().len())
            }
            Poll::Ready(Err(_)) => {
                self.machine.lost(from);
                Some(0)
            }
        }
    }

    /// Writes what waits for `to`. Says whether anything went out.
    fn send(&mut self, cx: &mut Context<'_>, to: Side) -> bool {
        let mut moved = false;
        loop {
            let queued = self.machine.queued(to);
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
                Poll::Ready(Ok(count)) if count > 0 => self.machine.wrote(to, count),
                Poll::Ready(_) => self.machine.write_failed(to),
            }
            moved = true;
            self.unflushed[to as usize] = leg.holds_writes();
        }
        moved | self.flush(cx, to)
    }

    /// Writes `bytes` to `to` as far as it takes them; returns how far. For one that is gone, all of
    /// them: nothing is kept for it.
    fn write(&mut self, cx: &mut Context<'_>, to: Side, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.leg(to).poll_write(cx, &bytes[written..]) {
                Poll::Pending => break,
                Poll::Ready(Ok(count)) if count > 0 => written += count,
                Poll::Ready(_) => {
                    self.machine.write_failed(to);
                    return bytes.len();
                }
            }
            self.unflushed[to as usize] = self.leg(to).holds_writes();
        }
        self.flush(cx, to);
        written
    }

    /// Pushes out what a TLS leg holds back. Says whether it did.
    fn flush(&mut self, cx: &mut Context<'_>, to: Side) -> bool {
        if !self.unflushed[to as usize] {
            return false;
        }
        match self.leg(to).poll_flush(cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => self.machine.write_failed(to),
        }
        self.unflushed[to as usize] = false;
        true
    }

    /// Sends the FIN or the reset that `to` is due. Says whether it went out.
    fn finish(&mut self, cx: &mut Context<'_>, to: Side) -> bool {
        if self.machine.wants_reset(to) {
            if self.unflushed[to as usize] || self.leg(to).poll_sent(cx).is_pending() {
                return false;
            }
            self.leg(to).reset_on_close();
            self.machine.reset();
            return true;
        }
        if !self.machine.wants_finish(to) {
            return false;
        }
        match self.leg(to).poll_finish(cx) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) => self.machine.finished(to),
            Poll::Ready(Err(_)) => self.machine.write_failed(to),
        }
        true
    }

    /// Keeps the one timer that a tunnel has while it waits under a limit. Says whether it fired.
    fn watch_time(&mut self, cx: &mut Context<'_>) -> bool {
        let wait = self.machine.wait();
        if self.timer.as_ref().map(|(wait, _)| *wait) != wait {
            self.timer = wait.map(|wait| (wait, Box::pin(sleep(wait.limit()))));
        }
        let Some((wait, timer)) = &mut self.timer else {
            return false;
        };
        if timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        if *wait == Wait::Reset {
            // What could not be sent in time is lost, but must not end like a whole stream.
            self.client.reset_on_close();
            self.backend.reset_on_close();
        }
        self.machine.expired(*wait);
        true
    }
}

impl Future for Tunnel {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let tunnel = &mut *self;
        tunnel.obey(cx);
        let set = Rc::clone(&tunnel.place.set);
        let mut scratch = set.scratch();
        loop {
            let neighbours_due = tunnel.turn(cx, &mut scratch);
            if tunnel.machine.is_over() {
                return Poll::Ready(());
            }
            if tunnel.watch_time(cx) {
                continue;
            }
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
        let place = &mut self.place;
        place.load.of(place.worker).tunnel_closed();
        place.set.remove(place.key);
        if let Some(on_end) = place.on_end.take() {
            on_end(self.machine.summary(self.opened.elapsed()));
        }
    }
}
