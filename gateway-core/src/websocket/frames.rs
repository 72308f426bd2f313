//! Finds frame boundaries in one direction of a tunnel without reading the payload of data frames
//! (RFC 6455 section 5).
//!
//! Knows nothing of extensions, messages' contents or UTF-8: those are the peers' business.

use std::cell::Cell;

mod encode;
mod header;
mod rules;

pub use encode::{encode_close, encode_ping, encode_pong};
pub use header::{Direction, FrameError, Opcode};
use header::{Header, LONGEST_HEADER};
pub use rules::FrameRules;

/// A Close frame's payload (section 5.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code; `None` for a payload that has no room for one (1005 to whoever asks).
    pub code: Option<u16>,
    /// The reason, as bytes: UTF-8 is the peers' business.
    pub reason: Vec<u8>,
}

/// What the tracker saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameEvent {
    /// A frame's header is complete.
    Header {
        /// What it is.
        opcode: Opcode,
        /// It ends its message.
        fin: bool,
        /// A reserved bit is set: an offence, unless the peers agreed on an extension that uses it.
        reserved: bool,
        /// Its payload's length in bytes.
        length: u64,
    },
    /// A message's last frame has ended.
    MessageEnd {
        /// Text or Binary.
        opcode: Opcode,
        /// The length of its frames' payloads together, in bytes.
        length: u64,
    },
    /// A whole Close frame has passed.
    Close(CloseFrame),
    /// A whole Ping or Pong has passed; its unmasked payload, 125 bytes at most.
    Control {
        /// Ping or Pong.
        opcode: Opcode,
        /// The payload.
        payload: Vec<u8>,
        /// How long the frame is, header and all, if it was held back: a Pong that may be the answer
        /// to a Ping of ours ([`FrameRules::hold_pongs`]). Otherwise 0.
        held_back: usize,
    },
}

/// Follows one direction.
///
/// Its state is small, and on the heap only while a control frame is split over two reads.
///
/// Everything handed to [`FrameTracker::advance`] may be forwarded at once, but for what it
/// refuses. Of a header that is split over two reads, the first part has then been forwarded
/// before its second part can show an error: the peer sees a frame that never comes to its end.
/// [`FrameTracker::at_boundary`] tells afterwards whether a frame of our own may still follow.
/// Whoever wants to forward whole headers only holds back [`FrameTracker::held_back`], at most
/// 13 bytes.
#[derive(Debug)]
pub struct FrameTracker {
    state: State,
    direction: Direction,
    /// A message has begun, and the current data frame, if any, is not its last.
    in_message: bool,
    /// What the current message is, or the last.
    message: Opcode,
    /// The payload of the current message's frames so far, this one's included.
    length: u64,
}

const _: () = assert!(size_of::<FrameTracker>() <= 32, "two for every tunnel");

#[derive(Debug)]
enum State {
    /// In a header, of which `have` bytes are known; none: at a boundary.
    Header {
        bytes: [u8; LONGEST_HEADER],
        have: u8,
    },
    /// In a data frame's payload, which is not yet at its end.
    Data { left: u64 },
    /// In a control frame's payload, which is not yet at its end.
    Control(Box<Control>),
    /// At an offence, in a frame that began in the bytes of the same call or before.
    Failed { error: FrameError, clean: bool },
}

/// A control frame, as far as it has come.
#[derive(Debug)]
struct Control {
    opcode: Opcode,
    mask: Option<[u8; 4]>,
    length: usize,
    /// The payload; behind the header, for a frame that is held back.
    bytes: Vec<u8>,
    /// How long that header is; 0 for a frame that passes as it comes.
    held_header: usize,
}

impl FrameTracker {
    /// Starts at a frame boundary.
    pub fn new(direction: Direction) -> Self {
        Self {
            state: State::BOUNDARY,
            direction,
            in_message: false,
            message: Opcode::Binary,
            length: 0,
        }
    }

    /// Takes in the next bytes of the stream and tells `on_event` what they completed. Payload of
    /// data frames is passed over without being looked at, and nothing is allocated but for the
    /// payload of control frames.
    ///
    /// # Errors
    /// With how many of `bytes` may be forwarded: those before the offending frame, none if it began
    /// in an earlier call. There is no way on after an error: the same comes again.
    pub fn advance(
        &mut self,
        bytes: &[u8],
        mut on_event: impl FnMut(FrameEvent),
    ) -> Result<(), (usize, FrameError)> {
        let (mut at, mut rules) = (0, FrameRules::NONE);
        while at < bytes.len() {
            at += self
                .advance_to_stop(&bytes[at..], &mut rules, &mut on_event)
                .map_err(|(valid, error)| (at + valid, error))?;
        }
        Ok(())
    }

    /// The same under `rules`, up to the end of a Close frame if one ends in `bytes`, since nothing
    /// is to follow it (section 5.5.1), and up to the end of a Pong that was held back, since it may
    /// not be to pass. Returns how many of `bytes` that is. What is left of
    /// [`FrameRules::messages`] is written there.
    ///
    /// # Errors
    /// As [`FrameTracker::advance`].
    pub fn advance_to_stop(
        &mut self,
        bytes: &[u8],
        rules: &mut FrameRules,
        mut on_event: impl FnMut(FrameEvent),
    ) -> Result<usize, (usize, FrameError)> {
        let stopped = Cell::new(false);
        let mut on_event = |event| {
            stopped.set(match &event {
                FrameEvent::Close(_) => true,
                FrameEvent::Control { held_back, .. } => *held_back > 0,
                FrameEvent::Header { .. } | FrameEvent::MessageEnd { .. } => false,
            });
            on_event(event);
        };
        let mut at = 0;
        while at < bytes.len() && !stopped.get() {
            let rest = &bytes[at..];
            at += match &mut self.state {
                State::Data { left } => {
                    let taken = (*left).min(rest.len() as u64);
                    *left -= taken;
                    if *left == 0 {
                        self.end_data_frame(&mut on_event);
                    }
                    // At most `rest.len()`.
                    taken as usize
                }
                State::Header { bytes, have } => {
                    let (known, have) = (*bytes, *have);
                    self.read_header(known, have, rest, rules, &mut on_event)
                        .map_err(|error| (at, error))?
                }
                State::Control(control) => {
                    let taken = control.take(rest);
                    if let Some(event) = control.event_at_end() {
                        self.state = State::BOUNDARY;
                        on_event(event);
                    }
                    taken
                }
                State::Failed { error, .. } => return Err((0, *error)),
            };
        }
        Ok(at)
    }

    /// Whether what may be forwarded of the stream so far ends between two frames, where a frame of
    /// our own may go.
    pub fn at_boundary(&self) -> bool {
        match self.state {
            State::Header { have, .. } => have == 0,
            State::Data { .. } | State::Control(_) => false,
            State::Failed { clean, .. } => clean,
        }
    }

    /// The bytes so far of a header that is not complete, or of a Pong that is held back
    /// ([`FrameRules::hold_pongs`]); empty anywhere else. Whoever does not forward them forwards
    /// whole headers only, and can refuse or inject a frame before them.
    pub fn held_back(&self) -> &[u8] {
        match &self.state {
            State::Header { bytes, have } => &bytes[..usize::from(*have)],
            State::Control(control) if control.held_header > 0 => &control.bytes,
            State::Data { .. } | State::Control(_) | State::Failed { .. } => &[],
        }
    }

    /// The opcode and the payload's length of the message that `bytes` are, were they the stream's next
    /// bytes: all of it in one frame, and nothing else. Changes nothing, and [`FrameTracker::advance`] by the
    /// same bytes would not either: whoever has this answer may leave that out.
    pub fn lone_message(&self, bytes: &[u8]) -> Option<(Opcode, u64)> {
        if self.in_message || !matches!(self.state, State::Header { have: 0, .. }) {
            return None;
        }
        let first = &bytes[..bytes.len().min(LONGEST_HEADER)];
        let header = Header::parse(first, self.direction, false).ok()??;
        let is_alone = (bytes.len() - header.size) as u64 == header.length;
        (header.fin && !header.opcode.is_control() && is_alone)
            .then_some((header.opcode, header.length))
    }

    /// The offset in `bytes` of the first frame boundary at or after the current position, were they
    /// the stream's next bytes; `None` if they hold none. Changes nothing.
    pub fn next_boundary(&self, bytes: &[u8]) -> Option<usize> {
        if self.at_boundary() {
            return Some(0);
        }
        let left = match &self.state {
            State::Data { left } => *left,
            State::Control(control) => control.left() as u64,
            State::Header { bytes: known, have } => {
                let mut joined = *known;
                let (have, joined) = join(&mut joined, *have, bytes);
                let parsed = Header::parse(joined, self.direction, self.in_message);
                let header = parsed.ok().flatten()?;
                // A header is at most 14 bytes, a length below 2^63.
                (header.size - have) as u64 + header.length
            }
            State::Failed { .. } => return None,
        };
        usize::try_from(left)
            .ok()
            .filter(|&left| left <= bytes.len())
    }

    /// Goes on with a header of which `have` bytes are known; returns how many of `next` it took.
    fn read_header(
        &mut self,
        mut known: [u8; LONGEST_HEADER],
        have: u8,
        next: &[u8],
        rules: &mut FrameRules,
        on_event: &mut impl FnMut(FrameEvent),
    ) -> Result<usize, FrameError> {
        let (have, joined) = join(&mut known, have, next);
        let parsed = Header::parse(joined, self.direction, self.in_message);
        let judged = parsed.and_then(|header| match header {
            Some(header) => rules.judge(&header, self.length).map(|()| Some(header)),
            None => Ok(None),
        });
        match judged {
            Ok(Some(header)) => {
                let held = rules.holds(&header).then(|| &joined[..header.size]);
                self.begin_frame(&header, held.unwrap_or_default(), on_event);
                Ok(header.size - have)
            }
            Ok(None) => {
                self.state = State::in_header(joined);
                Ok(next.len())
            }
            Err(error) => {
                let clean = have == 0;
                self.state = State::Failed { error, clean };
                Err(error)
            }
        }
    }

    /// `held` is the header of a frame that is held back.
    fn begin_frame(&mut self, header: &Header, held: &[u8], on_event: &mut impl FnMut(FrameEvent)) {
        let Header {
            opcode,
            fin,
            reserved,
            length,
            mask,
            ..
        } = *header;
        on_event(FrameEvent::Header {
            opcode,
            fin,
            reserved,
            length,
        });
        if !opcode.is_control() {
            if opcode == Opcode::Continuation {
                self.length = self.length.saturating_add(length);
            } else {
                (self.message, self.length) = (opcode, length);
            }
            self.in_message = !fin;
            self.state = State::Data { left: length };
            if length == 0 {
                self.end_data_frame(on_event);
            }
            return;
        }
        let mut control = Control {
            opcode,
            mask,
            // At most 125: the header was parsed.
            length: length as usize,
            bytes: held.to_vec(),
            held_header: held.len(),
        };
        if let Some(event) = control.event_at_end() {
            self.state = State::BOUNDARY;
            on_event(event);
        } else {
            self.state = State::Control(Box::new(control));
        }
    }

    fn end_data_frame(&mut self, on_event: &mut impl FnMut(FrameEvent)) {
        self.state = State::BOUNDARY;
        if !self.in_message {
            on_event(FrameEvent::MessageEnd {
                opcode: self.message,
                length: self.length,
            });
        }
    }
}

impl State {
    const BOUNDARY: Self = Self::Header {
        bytes: [0; LONGEST_HEADER],
        have: 0,
    };

    /// In a header that has begun with `known`, less than a whole one.
    fn in_header(known: &[u8]) -> Self {
        let mut bytes = [0; LONGEST_HEADER];
        bytes[..known.len()].copy_from_slice(known);
        Self::Header {
            bytes,
            // At most 14.
            have: known.len() as u8,
        }
    }
}

/// The header's bytes that are known, and as many of the next as a header could have.
fn join<'b>(known: &'b mut [u8; LONGEST_HEADER], have: u8, next: &'b [u8]) -> (usize, &'b [u8]) {
    let have = usize::from(have);
    if have == 0 {
        return (0, &next[..next.len().min(LONGEST_HEADER)]);
    }
    let taken = next.len().min(LONGEST_HEADER - have);
    known[have..have + taken].copy_from_slice(&next[..taken]);
    (have, &known[..have + taken])
}

impl Control {
    fn left(&self) -> usize {
        self.length + self.held_header - self.bytes.len()
    }

    /// Takes payload from the beginning of `bytes`; returns how much.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let taken = self.left().min(bytes.len());
        self.bytes.reserve_exact(self.left());
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// What has passed, once all of it has.
    fn event_at_end(&mut self) -> Option<FrameEvent> {
        if self.left() > 0 {
            return None;
        }
        let mut payload = std::mem::take(&mut self.bytes);
        let held_back = match self.held_header {
            0 => 0,
            header => {
                payload.drain(..header);
                header + self.length
            }
        };
        if let Some(mask) = self.mask {
            encode::apply_mask(&mut payload, mask);
        }
        Some(match self.opcode {
            Opcode::Close => FrameEvent::Close(CloseFrame::from_payload(payload)),
            opcode @ (Opcode::Ping
            | Opcode::Pong
            | Opcode::Continuation
            | Opcode::Text
            | Opcode::Binary) => FrameEvent::Control {
                opcode,
                payload,
                held_back,
            },
        })
    }
}

impl CloseFrame {
    fn from_payload(mut payload: Vec<u8>) -> Self {
        let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        if code.is_some() {
            payload.drain(..2);
        }
        Self {
            code,
            reason: payload,
        }
    }
}

#[cfg(test)]
mod tests;
