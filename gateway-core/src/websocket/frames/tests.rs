//! Tables, and properties against tungstenite's own reading and writing of frames.

use std::io::Cursor;

use proptest::prelude::*;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn text(hex: &str) -> Vec<u8> {
    let bytes = hex.split_whitespace();
    bytes
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

fn events(direction: Direction, chunks: &[&[u8]]) -> Vec<FrameEvent> {
    let mut tracker = FrameTracker::new(direction);
    let mut events = Vec::new();
    for chunk in chunks {
        tracker.advance(chunk, |event| events.push(event)).unwrap();
    }
    assert!(tracker.at_boundary());
    events
}

fn end(opcode: Opcode, length: u64) -> FrameEvent {
    FrameEvent::MessageEnd { opcode, length }
}

fn header(opcode: Opcode, fin: bool, length: u64) -> FrameEvent {
    FrameEvent::Header {
        opcode,
        fin,
        reserved: false,
        length,
    }
}

#[test]
fn the_rfcs_examples_are_understood() {
    use Direction::{ToBackend, ToClient};
    let hello = || FrameEvent::Control {
        opcode: Opcode::Ping,
        payload: b"Hello".to_vec(),
        held_back: 0,
    };
    let rows = [
        (
            "5.7 unmasked text",
            ToClient,
            "81 05 48 65 6c 6c 6f",
            vec![header(Opcode::Text, true, 5), end(Opcode::Text, 5)],
        ),
        (
            "5.7 masked text",
            ToBackend,
            "81 85 37 fa 21 3d 7f 9f 4d 51 58",
            vec![header(Opcode::Text, true, 5), end(Opcode::Text, 5)],
        ),
        (
            "5.7 fragmented text",
            ToClient,
            "01 03 48 65 6c 80 02 6c 6f",
            vec![
                header(Opcode::Text, false, 3),
                header(Opcode::Continuation, true, 2),
                end(Opcode::Text, 5),
            ],
        ),
        (
            "5.7 ping",
            ToClient,
            "89 05 48 65 6c 6c 6f",
            vec![header(Opcode::Ping, true, 5), hello()],
        ),
        (
            "5.4 control between fragments",
            ToClient,
            "01 00 89 05 48 65 6c 6c 6f 80 00",
            vec![
                header(Opcode::Text, false, 0),
                header(Opcode::Ping, true, 5),
                hello(),
                header(Opcode::Continuation, true, 0),
                end(Opcode::Text, 0),
            ],
        ),
        (
            "5.7 masked pong",
            ToBackend,
            "8a 85 37 fa 21 3d 7f 9f 4d 51 58",
            vec![
                header(Opcode::Pong, true, 5),
                FrameEvent::Control {
                    opcode: Opcode::Pong,
                    payload: b"Hello".to_vec(),
                    held_back: 0,
                },
            ],
        ),
        (
            "5.5.1 close with code and reason",
            ToClient,
            "88 04 03 e8 6f 6b",
            vec![
                header(Opcode::Close, true, 4),
                FrameEvent::Close(CloseFrame {
                    code: Some(1000),
                    reason: b"ok".to_vec(),
                }),
            ],
        ),
        (
            "5.5.1 empty close",
            ToClient,
            "88 00",
            vec![
                header(Opcode::Close, true, 0),
                FrameEvent::Close(CloseFrame {
                    code: None,
                    reason: vec![],
                }),
            ],
        ),
        (
            "5.2 reserved bits are the peers' business",
            ToClient,
            "c1 01 00",
            vec![
                FrameEvent::Header {
                    opcode: Opcode::Text,
                    fin: true,
                    reserved: true,
                    length: 1,
                },
                end(Opcode::Text, 1),
            ],
        ),
    ];
    for (clause, direction, hex, expected) in rows {
        assert_eq!(events(direction, &[&text(hex)]), expected, "{clause}");
    }
}

#[test]
fn a_close_is_the_last_that_is_taken() {
    let mut tracker = FrameTracker::new(Direction::ToClient);
    // A Ping, a bare Close, a reserved opcode.
    let bytes = text("89 01 3f 88 00 83");
    let (mut seen, mut rules) = (0, FrameRules::NONE);
    let taken = tracker.advance_to_stop(&bytes, &mut rules, |_| seen += 1);
    assert_eq!((taken, seen), (Ok(5), 4), "5.5.1");
    assert!(tracker.at_boundary());
    assert_eq!(
        tracker.advance_to_stop(&bytes[5..], &mut rules, |_| {}),
        Err((0, FrameError::ReservedOpcode(3)))
    );
    let mut tracker = FrameTracker::new(Direction::ToClient);
    assert_eq!(
        tracker.advance(&bytes, |_| {}),
        Err((5, FrameError::ReservedOpcode(3)))
    );
}

#[test]
fn lengths_up_to_the_largest_are_passed_over_by_counting() {
    let mut tracker = FrameTracker::new(Direction::ToClient);
    let mut seen = Vec::new();
    let largest = i64::MAX as u64;
    let start = text("82 7f 7f ff ff ff ff ff ff ff");
    tracker.advance(&start, |event| seen.push(event)).unwrap();
    assert_eq!(seen, [header(Opcode::Binary, true, largest)]);
    tracker.advance(&[0xff; 4096], |_| unreachable!()).unwrap();
    assert!(!tracker.at_boundary());
    assert_eq!(tracker.next_boundary(&[0; 4096]), None);
}

#[test]
fn offences_are_found_and_what_stands_before_them_may_pass() {
    use Direction::{ToBackend, ToClient};
    let rows = [
        (
            "5.2 opcode 3",
            ToClient,
            "83 00",
            FrameError::ReservedOpcode(3),
        ),
        (
            "5.2 opcode 15",
            ToClient,
            "8f 00",
            FrameError::ReservedOpcode(15),
        ),
        (
            "5.1 client without mask",
            ToBackend,
            "81 00",
            FrameError::Mask,
        ),
        ("5.1 backend with mask", ToClient, "81 80", FrameError::Mask),
        (
            "5.5 126 in a ping",
            ToClient,
            "89 7e 00 7e",
            FrameError::ControlTooLong,
        ),
        (
            "5.5 127 in a close",
            ToClient,
            "88 7f",
            FrameError::ControlTooLong,
        ),
        (
            "5.5 ping without FIN",
            ToClient,
            "09 00",
            FrameError::ControlFragmented,
        ),
        (
            "5.2 125 in two bytes",
            ToClient,
            "82 7e 00 7d",
            FrameError::Length,
        ),
        (
            "5.2 65535 in eight",
            ToClient,
            "82 7f 00 00 00 00 00 00 ff ff",
            FrameError::Length,
        ),
        (
            "5.2 top bit",
            ToClient,
            "82 7f 80 00 00 00 00 00 00 00",
            FrameError::Length,
        ),
        (
            "5.4 nothing to continue",
            ToClient,
            "80 00",
            FrameError::Continuation,
        ),
        (
            "5.4 start in a message",
            ToClient,
            "01 00 81 00",
            FrameError::Continuation,
        ),
    ];
    for (clause, direction, hex, expected) in rows {
        let bytes = text(hex);
        let offence_at = if bytes.len() > 2 && bytes[..2] == [1, 0] {
            2
        } else {
            0
        };

        let mut tracker = FrameTracker::new(direction);
        let refused = tracker.advance(&bytes, |_| ());
        assert_eq!(refused, Err((offence_at, expected)), "{clause}");
        assert!(
            tracker.at_boundary(),
            "{clause}: nothing of it was forwarded"
        );
        assert_eq!(
            tracker.advance(&[0], |_| ()),
            Err((0, expected)),
            "{clause}"
        );

        let mut tracker = FrameTracker::new(direction);
        let refused = bytes
            .iter()
            .find_map(|byte| tracker.advance(&[*byte], |_| ()).err());
        assert_eq!(refused, Some((0, expected)), "{clause}, byte by byte");
        let begun_before = !matches!(
            expected,
            FrameError::ReservedOpcode(_)
                | FrameError::ControlFragmented
                | FrameError::Continuation
        );
        assert_eq!(
            !tracker.at_boundary(),
            begun_before,
            "{clause}: shown by its first byte?"
        );
    }
}

#[test]
fn limits_are_judged_by_the_header_that_exceeds_them() {
    let rules = |max_frame, max_message, messages| FrameRules {
        max_frame,
        max_message,
        messages,
        hold_pongs: None,
    };
    let most = u64::MAX;
    let rows = [
        // rules, stream to the client, what may pass of it, why no more
        (
            rules(3, most, most),
            "82 03 00 00 00 82 04",
            5,
            FrameError::FrameTooLong,
        ),
        (
            rules(most, 3, most),
            "82 03 00 00 00 82 04",
            5,
            FrameError::MessageTooLong,
        ),
        // A message of many frames; a Ping between them, and the message before it, do not count.
        (
            rules(most, 3, most),
            "82 02 00 00 01 02 00 00 89 01 00 00 01 00 00 01",
            14,
            FrameError::MessageTooLong,
        ),
        (
            rules(most, most, 2),
            "81 00 01 00 89 00 80 00 81 00",
            8,
            FrameError::TooManyMessages,
        ),
        // Control frames are no messages and of no length.
        (
            rules(0, 0, 0),
            "8a 01 00 89 01 00 82 00",
            6,
            FrameError::TooManyMessages,
        ),
    ];
    for (mut rules, hex, passed, error) in rows {
        let mut tracker = FrameTracker::new(Direction::ToClient);
        let refused = tracker.advance_to_stop(&text(hex), &mut rules, |_| {});
        assert_eq!(refused, Err((passed, error)), "{hex}");
        assert!(tracker.at_boundary(), "{hex}");
    }
}

#[test]
fn who_exceeds_what_is_told_by_its_code() {
    let rows = [
        (FrameError::FrameTooLong, 1009),
        (FrameError::MessageTooLong, 1009),
        (FrameError::TooManyMessages, 1008),
        (FrameError::Mask, 1002),
    ];
    for (error, code) in rows {
        assert_eq!(error.close_code(), code, "7.4.1");
        assert_eq!(error.is_limit(), code != 1002);
    }
}

#[test]
fn a_pong_of_the_length_that_is_asked_for_is_held_back_until_it_is_whole() {
    // A Pong of two bytes, masked, with a reserved bit; something before and behind it.
    let bytes = text("81 80 00 00 00 00 9a 82 01 02 03 04 40 40 8a 80 00 00 00 00");
    let mut rules = FrameRules {
        hold_pongs: Some(2),
        ..FrameRules::NONE
    };
    for cut in 7..14 {
        let mut tracker = FrameTracker::new(Direction::ToBackend);
        let taken = tracker.advance_to_stop(&bytes[..cut], &mut rules, |_| {});
        assert_eq!(taken, Ok(cut));
        assert_eq!(tracker.held_back(), &bytes[6..cut]);
        let mut pong = None;
        let taken = tracker.advance_to_stop(&bytes[cut..], &mut rules, |event| pong = Some(event));
        assert_eq!(taken, Ok(14 - cut), "it stops there");
        let expected = FrameEvent::Control {
            opcode: Opcode::Pong,
            payload: vec![0x41, 0x42],
            held_back: 8,
        };
        assert_eq!(pong, Some(expected));
        assert!(tracker.at_boundary() && tracker.held_back().is_empty());
        let taken = tracker.advance_to_stop(&bytes[14..], &mut rules, |_| {});
        assert_eq!(taken, Ok(6), "another length passes");
    }
}

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

#[test]
fn a_header_is_partial_until_its_last_byte() {
    let bytes = text("81 fe 00 7e 37 fa 21 3d");
    for end in 0..bytes.len() {
        let mut tracker = FrameTracker::new(Direction::ToBackend);
        tracker.advance(&bytes[..end], |_| {}).unwrap();
        assert_eq!(tracker.held_back(), &bytes[..end]);
    }
    let mut tracker = FrameTracker::new(Direction::ToBackend);
    tracker.advance(&bytes, |_| {}).unwrap();
    assert_eq!(tracker.held_back(), b"");
}
