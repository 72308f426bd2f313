//! Tables of what frames are understood, and which are refused.

mod properties;

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
fn what_is_no_lone_message_has_to_be_followed() {
    use Direction::{ToBackend, ToClient};
    let rows: [(&str, &[&str], Direction, &str); 8] = [
        ("inside a message", &["01 01 61"], ToClient, "81 01 62"),
        ("inside a header", &["81"], ToClient, "81 01 62"),
        ("inside a payload", &["81 03 61"], ToClient, "81 00"),
        ("behind an offence", &["83 00"], ToClient, "81 00"),
        ("not masked", &[], ToBackend, "81 01 62"),
        ("not minimal", &[], ToClient, "81 7e 00 01 62"),
        ("a part", &[], ToClient, "01 01 62"),
        ("two", &[], ToClient, "81 01 62 81 00"),
    ];
    for (what, before, direction, bytes) in rows {
        let mut tracker = FrameTracker::new(direction);
        for chunk in before {
            let _ = tracker.advance(&text(chunk), drop);
        }
        assert_eq!(tracker.lone_message(&text(bytes)), None, "{what}");
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
