//! The frame tracker: however a stream is cut into reads, it finds what a naive parser finds that sees
//! the whole of it, and never lets an offending frame pass.

#![no_main]

use gateway_core::websocket::{Direction, FrameEvent, FrameTracker, Opcode};
use libfuzzer_sys::fuzz_target;

/// The naive parser begins anew at every cut.
const LONGEST: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let [flags, step, stream @ ..] = bytes else {
        return;
    };
    let stream = &stream[..stream.len().min(LONGEST)];
    let direction = if flags & 1 == 0 {
        Direction::ToBackend
    } else {
        Direction::ToClient
    };
    let mut tracker = FrameTracker::new(direction);
    let mut events = Vec::new();
    let mut at = 0;
    let mut size = usize::from(*step);
    while at < stream.len() {
        // Reads of all sizes, one byte at least.
        size = (size * 7 + usize::from(*flags)) % 61;
        let end = stream.len().min(at + size + 1);
        let outcome = tracker.advance(&stream[at..end], |event| events.push(event));
        let naive = Naive::read(&stream[..end], direction);
        assert_eq!(events, naive.events, "of {} bytes", end);
        match (outcome, naive.offence) {
            (Ok(()), false) => {
                assert_eq!(
                    tracker.at_boundary(),
                    naive.frame == end,
                    "after {end} bytes"
                );
                let in_header = naive.in_header && naive.frame < end;
                let partial = if in_header {
                    &stream[naive.frame..end]
                } else {
                    &[]
                };
                assert_eq!(tracker.held_back(), partial);
                boundary_is_the_next(&tracker, &stream[end..], &stream[..end], direction);
            }
            (Err((valid, error)), true) => {
                assert_eq!(
                    at + valid,
                    naive.frame.max(at),
                    "what passes before {error}"
                );
                let again = tracker.advance(b"more", |event| panic!("{event:?} behind {error}"));
                assert_eq!(again, Err((0, error)), "there is no way on");
                return;
            }
            (outcome, offence) => panic!("{outcome:?}, naive offence: {offence}, at {end}"),
        }
        at = end;
    }
});

/// What `next_boundary` says of the bytes to come is the first place where a frame has ended.
fn boundary_is_the_next(tracker: &FrameTracker, next: &[u8], before: &[u8], direction: Direction) {
    let next = &next[..next.len().min(64)];
    let Some(found) = tracker.next_boundary(next) else {
        return;
    };
    let mut stream = before.to_vec();
    stream.extend(&next[..found]);
    let naive = Naive::read(&stream, direction);
    assert!(
        naive.offence || naive.frame == stream.len(),
        "no boundary at {found}"
    );
}

/// RFC 6455 section 5.2, one frame after the other, from the beginning each time.
struct Naive {
    events: Vec<FrameEvent>,
    /// Where the last frame that is not whole begins, or the end.
    frame: usize,
    /// That frame's header is not whole.
    in_header: bool,
    /// That frame is an offence.
    offence: bool,
}

impl Naive {
    fn read(stream: &[u8], direction: Direction) -> Self {
        let mut naive = Self {
            events: Vec::new(),
            frame: 0,
            in_header: true,
            offence: false,
        };
        let (mut in_message, mut message) = (false, (Opcode::Binary, 0));
        while naive.one(
            &stream[naive.frame..],
            direction,
            &mut in_message,
            &mut message,
        ) {}
        naive
    }

    /// Reads one frame; whether it was whole.
    fn one(
        &mut self,
        bytes: &[u8],
        direction: Direction,
        in_message: &mut bool,
        message: &mut (Opcode, u64),
    ) -> bool {
        self.in_header = true;
        let Some(&first) = bytes.first() else {
            return false;
        };
        let (fin, reserved) = (first & 0x80 != 0, first & 0x70 != 0);
        let opcode = match first & 0x0f {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return self.offends(),
        };
        let control = first & 0x08 != 0;
        if control && !fin || !control && (opcode == Opcode::Continuation) != *in_message {
            return self.offends();
        }
        let Some(&second) = bytes.get(1) else {
            return false;
        };
        let masked = second & 0x80 != 0;
        if masked != (direction == Direction::ToBackend) || control && second & 0x7f > 125 {
            return self.offends();
        }
        let (extra, least) = match second & 0x7f {
            126 => (2, 126),
            127 => (8, 65_536),
            _ => (0, 0),
        };
        let Some(digits) = bytes.get(2..2 + extra) else {
            return false;
        };
        let length = match extra {
            0 => u64::from(second & 0x7f),
            _ => digits
                .iter()
                .fold(0, |length, &digit| length << 8 | u64::from(digit)),
        };
        if length < least || length >> 63 == 1 {
            return self.offends();
        }
        let header = 2 + extra + if masked { 4 } else { 0 };
        if bytes.len() < header {
            return false;
        }
        self.in_header = false;
        self.events.push(FrameEvent::Header {
            opcode,
            fin,
            reserved,
            length,
        });
        let payload = &bytes[header..];
        if (payload.len() as u64) < length {
            *in_message = if control { *in_message } else { !fin };
            return false;
        }
        let payload = &payload[..length as usize];
        if control {
            let mask: &[u8] = if masked {
                &bytes[header - 4..header]
            } else {
                &[0]
            };
            let mask = mask.iter().cycle();
            let payload: Vec<u8> = payload
                .iter()
                .zip(mask)
                .map(|(byte, mask)| byte ^ mask)
                .collect();
            self.events.push(match opcode {
                Opcode::Close => close(&payload),
                _ => FrameEvent::Control {
                    opcode,
                    payload,
                    held_back: 0,
                },
            });
        } else {
            *in_message = !fin;
            match opcode {
                Opcode::Continuation => message.1 += length,
                _ => *message = (opcode, length),
            }
            if fin {
                self.events.push(FrameEvent::MessageEnd {
                    opcode: message.0,
                    length: message.1,
                });
            }
        }
        self.frame += header + payload.len();
        true
    }

    fn offends(&mut self) -> bool {
        self.offence = true;
        false
    }
}

fn close(payload: &[u8]) -> FrameEvent {
    let (code, reason) = match payload {
        [high, low, reason @ ..] => (Some(u16::from(*high) << 8 | u16::from(*low)), reason),
        short => (None, short),
    };
    FrameEvent::Close(gateway_core::websocket::CloseFrame {
        code,
        reason: reason.to_vec(),
    })
}
