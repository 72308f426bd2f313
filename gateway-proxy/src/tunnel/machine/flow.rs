//! One direction of a tunnel: what came in, what waits, what may still go out.

use gateway_core::websocket::{Direction, FrameError, FrameEvent, FrameTracker};

use super::Traffic;

/// Where a direction's bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inlet {
    /// More may come.
    Open,
    /// Ended in order.
    Ended,
    /// Broken off.
    Lost,
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

/// Bytes that wait for a slow reader. Holds no memory while empty, and little room itself: most
/// tunnels are idle.
#[derive(Debug, Default)]
pub(super) struct Queue(Option<Box<Waiting>>);

/// What waits, if anything does.
#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many of them are written.
    written: usize,
}

impl Queue {
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Some(waiting) => &waiting.bytes[waiting.written..],
            None => &[],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn consume(&mut self, count: usize) {
        if let Some(waiting) = &mut self.0 {
            waiting.written += count;
            if waiting.written == waiting.bytes.len() {
                self.clear();
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    fn append(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            _ if bytes.is_empty() => {}
            Some(waiting) => {
                waiting.bytes.reserve_exact(bytes.len());
                waiting.bytes.extend_from_slice(bytes);
            }
            None => self.set(bytes.to_vec()),
        }
    }

    /// Puts `bytes` before all that waits.
    fn prepend(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.set([bytes, self.bytes()].concat());
        }
    }

    fn set(&mut self, bytes: Vec<u8>) {
        self.0 = Some(Box::new(Waiting { bytes, written: 0 }));
    }
}

/// What became of bytes that came in.
pub(super) struct Received {
    /// How many of them, from the first, are to be passed on.
    pub(super) passed: usize,
    /// They completed the peer's Close frame; its code.
    pub(super) peer_close: Option<Option<u16>>,
    /// They are not valid framing behind `passed`.
    pub(super) offence: Option<FrameError>,
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
}

/// Whether a direction's frames are still followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scrutiny {
    /// They are.
    Frames,
    /// The peer has sent its Close: what follows is nobody's (RFC 6455 section 5.5.1).
    Closed,
    /// The peer has broken the framing rules: what follows cannot be read.
    Refused,
}

impl Flow {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            tracker: FrameTracker::new(direction),
            scrutiny: Scrutiny::Frames,
            inlet: Inlet::Open,
            outlet: Outlet::Open,
            queue: Queue::default(),
            traffic: Traffic::default(),
        }
    }

    /// Whether the peer at the inlet has sent its Close frame.
    pub(super) fn has_closed(&self) -> bool {
        self.scrutiny == Scrutiny::Closed
    }

    /// Whether the peer at the inlet has broken the framing rules.
    pub(super) fn is_refused(&self) -> bool {
        self.scrutiny == Scrutiny::Refused
    }

    pub(super) fn keep(&mut self, unwritten: &[u8]) {
        self.queue.prepend(unwritten);
    }

    /// Takes in the stream's next bytes. What may pass is told; a Close frame of ours that goes
    /// behind it is in the queue.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Received {
        let passes = match self.outlet {
            Outlet::Open => true,
            Outlet::Closing(_) => match self.tracker.next_boundary(bytes) {
                Some(boundary) => return self.receive_last(bytes, boundary),
                None => true,
            },
            Outlet::ClosedByPeer | Outlet::ClosedByUs | Outlet::Finished | Outlet::Broken => false,
        };
        let held = self.tracker.partial_header().to_vec();
        let mut received = self.track(bytes);
        if !passes {
            received.passed = 0;
            return received;
        }
        if received.peer_close.is_some() {
            self.outlet = Outlet::ClosedByPeer;
        }
        self.traffic.bytes += received.passed as u64;
        if received.passed > 0 && !held.is_empty() {
            // The header that began with these is whole now. They go first.
            self.traffic.bytes += held.len() as u64;
            self.queue.append(&held);
            self.queue.append(&bytes[..received.passed]);
            received.passed = 0;
        }
        received
    }

    /// Takes in bytes with the boundary that a Close frame of ours waits for. Those behind it are
    /// dropped, but looked at: the peer's answer may be among them.
    fn receive_last(&mut self, bytes: &[u8], boundary: usize) -> Received {
        let (last, behind) = bytes.split_at(boundary);
        let mut received = self.track(last);
        self.traffic.bytes += received.passed as u64;
        if received.peer_close.is_some() {
            self.outlet = Outlet::ClosedByPeer;
        } else if received.offence.is_none() {
            self.inject_close();
            let dropped = self.track(behind);
            received.peer_close = dropped.peer_close;
            received.offence = dropped.offence;
        }
        received
    }

    /// Follows the frames in `bytes`, whatever becomes of them. A header that they end in is held
    /// back in the tracker, so that what has passed never ends inside one.
    fn track(&mut self, bytes: &[u8]) -> Received {
        let mut received = Received {
            passed: 0,
            peer_close: None,
            offence: None,
        };
        if self.scrutiny != Scrutiny::Frames {
            return received;
        }
        let counted = &mut self.traffic.messages;
        let outcome = self.tracker.advance(bytes, |event| match event {
            FrameEvent::MessageEnd => *counted += 1,
            FrameEvent::Close(frame) => received.peer_close = Some(frame.code),
            FrameEvent::Header { .. } | FrameEvent::Control { .. } => {}
        });
        let held = self.tracker.partial_header().len();
        received.passed = bytes.len().saturating_sub(held);
        if let Err((valid, error)) = outcome {
            self.scrutiny = Scrutiny::Refused;
            received.passed = valid;
            received.offence = Some(error);
        }
        if received.peer_close.is_some() {
            // Whatever comes behind a Close frame, no peer has to look at it.
            self.scrutiny = Scrutiny::Closed;
            received.offence = None;
        }
        received
    }

    /// Lets `frame`, a Close frame, be the last thing that goes out: now, or at the next boundary.
    pub(super) fn close_outlet(&mut self, frame: Vec<u8>) {
        if !matches!(self.outlet, Outlet::Open | Outlet::Closing(_)) {
            return;
        }
        self.outlet = Outlet::Closing(frame.into_boxed_slice());
        if self.ends_at_boundary() {
            self.inject_close();
        }
    }

    /// Whether what has passed ends between two frames. What is refused has not passed, nor has
    /// the part of a header, unless the stream ended with it.
    fn ends_at_boundary(&self) -> bool {
        self.is_refused()
            || self.tracker.at_boundary()
            || (self.inlet == Inlet::Open && !self.tracker.partial_header().is_empty())
    }

    /// Nothing more comes in, in order or not. What was held back of a header passes after all.
    pub(super) fn end(&mut self, inlet: Inlet) {
        if self.inlet == Inlet::Open && matches!(self.outlet, Outlet::Open | Outlet::Closing(_)) {
            let held = self.tracker.partial_header();
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
