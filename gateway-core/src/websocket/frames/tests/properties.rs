//! Random frames: split anywhere, and against tungstenite's own reading and writing of them.

use std::io::Cursor;

use proptest::prelude::*;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use super::*;

/// A frame as a peer could send it.
#[derive(Debug, Clone)]
struct Sent {
    opcode: OpCode,
    fin: bool,
    payload: Vec<u8>,
}

fn controls() -> impl Strategy<Value = Vec<Sent>> {
    let opcode = prop_oneof![
        Just(Control::Ping),
        Just(Control::Pong),
        Just(Control::Close)
    ];
    let payload = prop::collection::vec(any::<u8>(), 0..=125);
    let one = (opcode, payload).prop_map(|(opcode, payload)| Sent {
        opcode: OpCode::Control(opcode),
        fin: true,
        payload,
    });
    prop::collection::vec(one, 0..2)
}

/// A message of one to four fragments, with control frames before each.
fn message() -> impl Strategy<Value = Vec<Sent>> {
    let length = prop_oneof![0..20_usize, 120..130_usize, 65_530..65_540_usize];
    let payload = length.prop_flat_map(|length| (Just(length), any::<u8>()));
    let fragment = (
        controls(),
        payload.prop_map(|(length, byte)| vec![byte; length]),
    );
    (prop::collection::vec(fragment, 1..4), any::<bool>()).prop_map(|(fragments, is_text)| {
        let last = fragments.len() - 1;
        let mut frames = Vec::new();
        for (at, (controls, payload)) in fragments.into_iter().enumerate() {
            frames.extend(controls);
            let opcode = match at {
                0 if is_text => Data::Text,
                0 => Data::Binary,
                _ => Data::Continue,
            };
            frames.push(Sent {
                opcode: OpCode::Data(opcode),
                fin: at == last,
                payload,
            });
        }
        frames
    })
}

fn frames() -> impl Strategy<Value = Vec<Sent>> {
    (prop::collection::vec(message(), 0..4), controls())
        .prop_map(|(messages, controls)| [messages.concat(), controls].concat())
}

/// Tungstenite's writing.
fn written(frames: &[Sent], direction: Direction) -> Vec<u8> {
    let mut stream = Vec::new();
    for sent in frames {
        let header = FrameHeader {
            is_final: sent.fin,
            opcode: sent.opcode,
            mask: (direction == Direction::ToBackend).then_some(MASK),
            ..FrameHeader::default()
        };
        let frame = Frame::from_payload(header, sent.payload.clone().into());
        frame.format(&mut stream).unwrap();
    }
    stream
}

/// The boundaries of a stream as tungstenite reads it.
fn boundaries(stream: &[u8]) -> Vec<usize> {
    let mut found = vec![0];
    let mut at = 0;
    while at < stream.len() {
        let mut cursor = Cursor::new(&stream[at..]);
        let (_, length) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
        at += cursor.position() as usize + length as usize;
        found.push(at);
    }
    found
}

/// What should be told of `frames`.
fn expected_events(frames: &[Sent]) -> Vec<FrameEvent> {
    let mut events = Vec::new();
    let mut message = (Opcode::Binary, 0);
    for sent in frames {
        let opcode = match sent.opcode {
            OpCode::Data(Data::Text) => Opcode::Text,
            OpCode::Data(Data::Binary) => Opcode::Binary,
            OpCode::Data(_) => Opcode::Continuation,
            OpCode::Control(Control::Ping) => Opcode::Ping,
            OpCode::Control(Control::Pong) => Opcode::Pong,
            OpCode::Control(_) => Opcode::Close,
        };
        let payload = sent.payload.clone();
        let length = payload.len() as u64;
        events.push(header(opcode, sent.fin, length));
        match opcode {
            Opcode::Text | Opcode::Binary => message = (opcode, length),
            Opcode::Continuation => message.1 += length,
            Opcode::Close | Opcode::Ping | Opcode::Pong => {}
        }
        match opcode {
            Opcode::Ping | Opcode::Pong => events.push(FrameEvent::Control {
                opcode,
                payload,
                held_back: 0,
            }),
            Opcode::Close => events.push(FrameEvent::Close(match payload.as_slice() {
                [high, low, reason @ ..] => CloseFrame {
                    code: Some(u16::from_be_bytes([*high, *low])),
                    reason: reason.to_vec(),
                },
                short => CloseFrame {
                    code: None,
                    reason: short.to_vec(),
                },
            })),
            Opcode::Text | Opcode::Binary | Opcode::Continuation if sent.fin => {
                events.push(end(message.0, message.1));
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {}
        }
    }
    events
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::ToBackend), Just(Direction::ToClient)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whoever leaves out what is known as a lone message is told the same of all else.
    #[test]
    fn lone_messages_may_be_left_out(
        direction in direction(),
        frames in frames(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..20),
    ) {
        let stream = written(&frames, direction);
        let ends = boundaries(&stream);
        let mut cuts: Vec<usize> = cuts
            .iter()
            .map(|(place, between)| match between {
                true => ends[place.index(ends.len())],
                false => place.index(stream.len() + 1),
            })
            .chain([0, stream.len()])
            .collect();
        cuts.sort_unstable();
        let (mut all, mut some) = (FrameTracker::new(direction), FrameTracker::new(direction));
        for span in cuts.windows(2) {
            let chunk = &stream[span[0]..span[1]];
            let mut events = Vec::new();
            all.advance(chunk, |event| events.push(event)).unwrap();
            let is_alone = span.iter().all(|cut| ends.contains(cut))
                && matches!(
                    events[..],
                    [
                        FrameEvent::Header { opcode: Opcode::Text | Opcode::Binary, .. },
                        FrameEvent::MessageEnd { .. }
                    ]
                );
            let lone = some.lone_message(chunk);
            prop_assert_eq!(lone.is_some(), is_alone);
            match lone {
                Some((opcode, length)) => {
                    prop_assert_eq!(events, [header(opcode, true, length), end(opcode, length)]);
                }
                None => {
                    let mut told = Vec::new();
                    some.advance(chunk, |event| told.push(event)).unwrap();
                    prop_assert_eq!(told, events);
                }
            }
        }
    }

    /// Many splits, single bytes among them, so that headers and control frames are cut everywhere.
    #[test]
    fn any_split_gives_tungstenites_boundaries_and_the_same_events(
        frames in frames(),
        direction in direction(),
        steps in prop::collection::vec(prop_oneof![1..4_usize, 1..200_usize, 1..70_000_usize], 1..200),
    ) {
        let stream = written(&frames, direction);
        let boundaries = boundaries(&stream);
        let mut tracker = FrameTracker::new(direction);
        let mut seen = Vec::new();
        let mut at = 0;
        for step in steps.iter().cycle() {
            let next = boundaries.iter().find(|&&boundary| boundary >= at);
            prop_assert_eq!(tracker.at_boundary(), boundaries.contains(&at));
            prop_assert_eq!(tracker.next_boundary(&stream[at..]), next.map(|next| next - at));
            let end = stream.len().min(at + step);
            let held = boundaries.iter().find(|&&boundary| (at..=end).contains(&boundary));
            prop_assert_eq!(tracker.next_boundary(&stream[at..end]), held.map(|held| held - at));
            if at == stream.len() {
                break;
            }
            prop_assert_eq!(tracker.advance(&stream[at..end], |event| seen.push(event)), Ok(()));
            at = end;
        }
        prop_assert_eq!(seen, expected_events(&frames));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_split_alike(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        direction in direction(),
        split in 0..64_usize,
    ) {
        let split = split.min(bytes.len());
        let (mut whole, mut parts) = (FrameTracker::new(direction), FrameTracker::new(direction));
        let (mut whole_events, mut part_events) = (Vec::new(), Vec::new());
        let whole_end = whole.advance(&bytes, |event| whole_events.push(event));
        let _ = parts.next_boundary(&bytes);
        let parts_end = parts
            .advance(&bytes[..split], |event| part_events.push(event))
            .and_then(|()| {
                let end = parts.advance(&bytes[split..], |event| part_events.push(event));
                end.map_err(|(at, error)| (split + at, error))
            });
        prop_assert_eq!(whole_events, part_events);
        match (whole_end, parts_end) {
            (Err((at, error)), Err((split_at, split_error))) => {
                prop_assert_eq!(error, split_error);
                // A header that had begun before the split had already passed up to there.
                prop_assert!(split_at == at || (at < split && split_at == split));
            }
            (whole_end, parts_end) => prop_assert_eq!(whole_end, parts_end),
        }
    }

    #[test]
    fn our_own_frames_are_read_back(
        code in 1000..5000_u16,
        reason in "\\PC{0,200}",
        payload in prop::collection::vec(any::<u8>(), 0..200),
        is_masked in any::<bool>(),
    ) {
        let mask = is_masked.then_some(MASK);
        let close = encode_close(code, &reason, mask);
        let ping = encode_ping(&payload, mask);
        let stream = [close, ping].concat();
        let mut socket = tungstenite::protocol::frame::FrameSocket::new(Cursor::new(stream));

        let mut close = socket.read(None).unwrap().unwrap();
        prop_assert_eq!(close.header().mask, mask);
        unmask(&mut close);
        let close = close.into_payload();
        prop_assert_eq!(CloseCode::from(u16::from_be_bytes([close[0], close[1]])), CloseCode::from(code));
        let kept = std::str::from_utf8(&close[2..]).unwrap();
        prop_assert!(reason.starts_with(kept));
        prop_assert!(kept == reason || kept.len() > 119);

        let mut ping = socket.read(None).unwrap().unwrap();
        prop_assert_eq!(ping.header().opcode, OpCode::Control(Control::Ping));
        unmask(&mut ping);
        prop_assert_eq!(ping.payload(), &payload[..payload.len().min(125)]);
        prop_assert!(socket.read(None).unwrap().is_none());
    }
}

/// Tungstenite's socket leaves a frame's payload masked.
fn unmask(frame: &mut Frame) {
    if let Some(mask) = frame.header_mut().mask.take() {
        let mut payload = frame.payload().to_vec();
        encode::apply_mask(&mut payload, mask);
        *frame = Frame::from_payload(frame.header().clone(), payload.into());
    }
}
