//! One direction of a tunnel: what came in, what waits, what may still go out.

use std::time::Instant;

use gateway_core::config::Frames;
use gateway_core::websocket::{
    CloseFrame, Direction, FrameError, FrameEvent, FrameRules, FrameTracker, Opcode,
};

use super::care::Care;
use super::queue::Queue;
use super::{Side, Traffic};
use crate::tunnel::meter::DirectionMeter;

/// Where a direction's bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inlet {
    /// More may come.
    Open,
    /// Ended in order.
    Ended,
    /// Broken off.
    Lost,
    /// Given up, and the connection with it.
    GivenUp,
}

/// Where a direction's bytes go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outlet {
    /// They pass.
    Open,
    /// They pass up to the next frame boundary; then this Close frame goes out.
    Closing(Box<[u8]>),
    /// The peer's Close frame was the last to pass.
    ClosedByPeer,
    /// Our Close frame is the last to go out.
    ClosedByUs,
    /// FIN is sent.
    Finished,
    /// Nobody is there any more.
    Broken,
}

impl Outlet {
    /// Whether nothing can go out any more, not even a FIN.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self, Self::Finished | Self::Broken)
    }
}

/// What became of bytes that came in.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// How many of them, from the first, are to be passed on at once. What else may pass is in the
    /// queue.
    pub(super) passed: usize,
    /// Some are more than the Pong to a Ping of ours.
    pub(super) is_traffic: bool,
    /// They completed the peer's Close frame.
    pub(super) peer_close: Option<CloseFrame>,
    /// There is an offence behind what may pass.
    pub(super) offence: Option<FrameError>,
}

/// What bytes are received under.
pub(super) struct Passage<'p> {
    /// Where they come from.
    pub(super) from: Side,
    pub(super) now: Instant,
    /// What the tunnel's settings ask for, if anything.
    pub(super) care: Option<&'p mut Care>,
    /// Counts what passes.
    pub(super) meter: &'p DirectionMeter,
}

/// One direction's state.
#[derive(Debug)]
pub(super) struct Flow {
    tracker: FrameTracker,
    scrutiny: Scrutiny,
    pub(super) inlet: Inlet,
    pub(super) outlet: Outlet,
    pub(super) queue: Queue,
    pub(super) traffic: Traffic,
    /// When something last came in, but for Pongs to our Pings; at first, when the tunnel was opened.
    pub(super) last_traffic: Instant,
}

// What tokio keeps of a task and of a socket is aligned to 128 bytes, for which glibc leaves gaps that
// take 104 bytes. An idle tunnel has three such gaps, and two of these.
const _: () = assert!(size_of::<Flow>() <= 104, "it fits into a gap");

/// Whether a direction's frames are still followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scrutiny {
    /// They are.
    Frames,
    /// They never were: bytes pass untouched, and nothing is put between them.
    Opaque,
    /// The peer has sent its Close: what follows is nobody's (RFC 6455 section 5.5.1).
    Closed,
    /// The peer has sent what is not allowed: what follows is not looked at.
    Refused,
}

impl Flow {
    pub(super) fn boxed(direction: Direction, frames: Frames, now: Instant) -> Box<Self> {
        Box::new(Self {
            tracker: FrameTracker::new(direction),
            scrutiny: match frames {
                Frames::Tracked => Scrutiny::Frames,
                Frames::Opaque => Scrutiny::Opaque,
            },
            inlet: Inlet::Open,
            outlet: Outlet::Open,
            queue: Queue::default(),
            traffic: Traffic::default(),
            last_traffic: now,
        })
    }

    /// Whether the peer at the inlet has sent its Close frame.
    pub(super) fn has_closed(&self) -> bool {
        self.scrutiny == Scrutiny::Closed
    }

    /// Whether the peer at the inlet has sent what is not allowed.
    pub(super) fn is_refused(&self) -> bool {
        self.scrutiny == Scrutiny::Refused
    }

    /// Whether frames are not followed here at all.
    pub(super) fn is_opaque(&self) -> bool {
        self.scrutiny == Scrutiny::Opaque
    }

    pub(super) fn keep(&mut self, unwritten: &[u8]) {
        self.queue.prepend(unwritten);
    }

    /// Takes in the stream's next bytes. What may pass at once is told. What goes behind it is in the
    /// queue: frames of our own, and bytes behind those.
    pub(super) fn receive(&mut self, bytes: &[u8], passage: &mut Passage<'_>) -> Received {
        let mut received = Received::default();
        if self.is_opaque() {
            received.is_traffic = true;
            if self.passes() {
                received.passed = bytes.len();
                self.traffic.bytes += bytes.len() as u64;
            }
            return received;
        }
        if let Some((opcode, length)) = self.lone_message(bytes, passage) {
            self.traffic.messages += 1;
            self.traffic.bytes += bytes.len() as u64;
            passage.meter.count(opcode, length);
            received.is_traffic = true;
            received.passed = bytes.len();
            return received;
        }
        let mut at = 0;
        while at < bytes.len() && self.scrutiny == Scrutiny::Frames {
            let until = match self.has_words(passage) {
                true => self.boundary_in(&bytes[at..]),
                false => None,
            };
            if until == Some(0) {
                self.say_words(passage);
                continue;
            }
            let end = until.map_or(bytes.len(), |until| at + until);
            at += self.receive_piece(&bytes[..end], at, passage, &mut received);
        }
        // Behind a Close, or an offence.
        received.is_traffic |= at < bytes.len();
        if self.scrutiny == Scrutiny::Frames && self.has_words(passage) && self.ends_at_boundary() {
            self.say_words(passage);
        }
        received
    }

    /// The message that `bytes` are, where nothing else is to be looked at: what nearly all reads are, and
    /// a third of the work.
    fn lone_message(&self, bytes: &[u8], passage: &Passage<'_>) -> Option<(Opcode, u64)> {
        let is_plain = self.scrutiny == Scrutiny::Frames
            && matches!(self.outlet, Outlet::Open)
            && self.queue.is_empty()
            && passage.care.is_none();
        is_plain.then(|| self.tracker.lone_message(bytes)).flatten()
    }

    /// Takes in what is behind `at` in `bytes`, up to something that asks for a look at it; returns how
    /// much that was.
    fn receive_piece(
        &mut self,
        bytes: &[u8],
        at: usize,
        passage: &mut Passage<'_>,
        received: &mut Received,
    ) -> usize {
        let held = self.tracker.held_back().to_vec();
        let passes = self.passes();
        let (taken, swallowed) = self.track(&bytes[at..], passes, passage, received);
        let withheld = swallowed.unwrap_or(self.tracker.held_back().len());
        let passed = taken.saturating_sub(withheld);
        received.is_traffic |= passed > 0 || received.offence.is_some();
        if !passes || passed == 0 {
            return taken;
        }
        if received.peer_close.is_some() {
            self.outlet = Outlet::ClosedByPeer;
        }
        self.traffic.bytes += (held.len() + passed) as u64;
        // What was held back is whole now, and goes first.
        self.queue.append(&held);
        if self.queue.is_empty() && received.passed == at {
            received.passed += passed;
        } else {
            self.queue.append(&bytes[at..at + passed]);
        }
        taken
    }

    /// Follows the frames in `bytes`, whatever becomes of them, up to something that asks for a look at
    /// it. Returns how many of them are good, and how many at the end of that, and of what was held
    /// back before, are a Pong that is not to pass.
    fn track(
        &mut self,
        bytes: &[u8],
        passes: bool,
        passage: &mut Passage<'_>,
        received: &mut Received,
    ) -> (usize, Option<usize>) {
        let Passage { from, now, .. } = *passage;
        let rules = passage.care.as_ref().map(|care| care.rules(from, now));
        let mut rules = rules.unwrap_or(FrameRules::NONE);
        let messages = rules.messages;
        let mut swallowed = None;
        let traffic = &mut self.traffic;
        let outcome = self.tracker.advance_to_stop(bytes, &mut rules, |event| {
            let (opcode, length) = match event {
                FrameEvent::Header { .. } => return,
                FrameEvent::MessageEnd { opcode, length } => {
                    traffic.messages += u64::from(passes);
                    (opcode, length)
                }
                FrameEvent::Close(frame) => {
                    let code = frame.code.map_or(0, |_| size_of::<u16>());
                    let length = (code + frame.reason.len()) as u64;
                    received.peer_close = Some(frame);
                    (Opcode::Close, length)
                }
                FrameEvent::Control {
                    opcode,
                    payload,
                    held_back,
                } => {
                    let length = payload.len() as u64;
                    if passage.note_control(opcode, payload) && held_back > 0 {
                        swallowed = Some(held_back);
                        return;
                    }
                    (opcode, length)
                }
            };
            if passes {
                passage.meter.count(opcode, length);
            }
        });
        if let Some(care) = &mut passage.care {
            care.count_messages(from, messages - rules.messages, now);
        }
        if received.peer_close.is_some() {
            // Whatever comes behind a Close frame, no peer has to look at it.
            self.scrutiny = Scrutiny::Closed;
        }
        match outcome {
            Ok(taken) => (taken, swallowed),
            Err((valid, error)) => {
                self.scrutiny = Scrutiny::Refused;
                received.offence = Some(error);
                (valid, None)
            }
        }
    }

    /// Whether what comes in goes out.
    pub(super) fn passes(&self) -> bool {
        matches!(self.outlet, Outlet::Open | Outlet::Closing(_))
    }

    /// Whether a frame of our own waits for a boundary.
    fn has_words(&self, passage: &mut Passage<'_>) -> bool {
        match self.outlet {
            Outlet::Closing(_) => true,
            Outlet::Open => passage
                .care
                .as_mut()
                .is_some_and(|care| care.leg(passage.from.other()).pinger.is_waiting()),
            Outlet::ClosedByPeer | Outlet::ClosedByUs | Outlet::Finished | Outlet::Broken => false,
        }
    }

    /// Puts the frame of our own that waits behind what has passed. There is none afterwards.
    fn say_words(&mut self, passage: &mut Passage<'_>) {
        if matches!(self.outlet, Outlet::Closing(_)) {
            return self.inject_close();
        }
        let to = passage.from.other();
        if let Some(care) = &mut passage.care
            && let Some(ping) = care.leg(to).pinger.send(to, passage.now)
        {
            self.queue.append(&ping);
        }
    }

    /// Lets the Ping that waits go out now, if this is a boundary.
    pub(super) fn say_ping(&mut self, passage: &mut Passage<'_>) {
        let is_ping = self.outlet == Outlet::Open && self.has_words(passage);
        if is_ping && self.ends_at_boundary() {
            self.say_words(passage);
        }
    }

    /// How far it is in `bytes`, the next ones, to a frame boundary of what passes.
    fn boundary_in(&self, bytes: &[u8]) -> Option<usize> {
        match self.ends_at_boundary() {
            true => Some(0),
            false => self.tracker.next_boundary(bytes),
        }
    }

    /// Lets `frame`, a Close frame, be the last thing that goes out: now, or at the next boundary.
    pub(super) fn close_outlet(&mut self, frame: Vec<u8>) {
        if !self.passes() || self.is_opaque() {
            return;
        }
        self.outlet = Outlet::Closing(frame.into_boxed_slice());
        if self.ends_at_boundary() {
            self.inject_close();
        }
    }

    /// Whether what has passed ends between two frames. What is refused has not passed, nor has
    /// what is held back, unless the stream ended with it.
    fn ends_at_boundary(&self) -> bool {
        self.is_refused()
            || self.tracker.at_boundary()
            || (self.inlet == Inlet::Open && !self.tracker.held_back().is_empty())
    }

    /// Nothing more comes in, in order or not. What was held back passes after all.
    pub(super) fn end(&mut self, inlet: Inlet) {
        if self.inlet == Inlet::Open && self.passes() {
            let held = self.tracker.held_back();
            self.traffic.bytes += held.len() as u64;
            self.queue.append(held);
        }
        self.inlet = inlet;
    }

    fn inject_close(&mut self) {
        if let Outlet::Closing(frame) = &self.outlet {
            self.queue.append(frame);
            self.outlet = Outlet::ClosedByUs;
        }
    }

    /// Gives up on the reader.
    pub(super) fn break_outlet(&mut self) {
        self.outlet = Outlet::Broken;
        self.queue.clear();
    }
}

impl Passage<'_> {
    /// A Ping or a Pong has come. Says whether it is a Pong to a Ping of ours.
    fn note_control(&mut self, opcode: Opcode, payload: Vec<u8>) -> bool {
        let Some(care) = &mut self.care else {
            return false;
        };
        if care.ping_interval.is_none() {
            return false;
        }
        match opcode {
            Opcode::Pong => {
                let pinger = &mut care.leg(self.from).pinger;
                let is_ours = pinger.ponged(&payload, self.now);
                // An answer to one before the last has no time of its own.
                if let (true, false, Some(took)) = (is_ours, pinger.awaits(), pinger.round_trip()) {
                    self.meter.count_round_trip(took);
                }
                is_ours
            }
            Opcode::Ping => {
                care.leg(self.from.other()).pinger.pinged(payload);
                false
            }
            Opcode::Close | Opcode::Continuation | Opcode::Text | Opcode::Binary => false,
        }
    }
}
