//! What a backend may send before its Pong, and what it may not.

use proptest::prelude::*;

use super::*;
use crate::websocket::{encode_close, encode_ping, encode_pong};

const OURS: [u8; 16] = *b"our own payload!";

fn pong() -> Vec<u8> {
    encode_pong(&OURS, None)
}

fn joined(frames: &[&[u8]]) -> Vec<u8> {
    frames.concat()
}

/// What is heard last when the bytes come in these pieces; an answer or an error ends it.
fn heard(pieces: &[&[u8]]) -> Result<Heard, PongError> {
    let mut wait = PongWait::new(OURS);
    let mut last = Heard::Nothing;
    for piece in pieces {
        last = wait.hear(piece)?;
        if last == Heard::Pong {
            break;
        }
    }
    Ok(last)
}

#[test]
fn what_comes_before_the_pong_is_judged() {
    const TEXT: &[u8] = b"\x81\x05hello";
    let closed = |code, reason: &str| {
        Err(PongError::Closed(CloseFrame {
            code,
            reason: reason.into(),
        }))
    };
    let pong_in_message = joined(&[b"\x01\x03hel", &pong(), b"\x80\x02lo"]);
    let rows: Vec<(&str, Vec<u8>, Result<Heard, PongError>)> = vec![
        ("5.5.3 the Pong", pong(), Ok(Heard::Pong)),
        (
            "a greeting first",
            joined(&[TEXT, &pong()]),
            Ok(Heard::Pong),
        ),
        (
            "5.4 inside a fragmented message",
            pong_in_message,
            Ok(Heard::Pong),
        ),
        (
            "5.5.3 a heartbeat that nobody asked for",
            joined(&[b"\x8a\x00", &pong()]),
            Ok(Heard::Pong),
        ),
        (
            "another payload",
            encode_pong(b"other", None),
            Ok(Heard::Nothing),
        ),
        (
            "a part of the payload",
            encode_pong(&OURS[..15], None),
            Ok(Heard::Nothing),
        ),
        (
            "5.5.2 a Ping with the same payload is no Pong",
            encode_ping(&OURS, None),
            Ok(Heard::Ping(OURS.to_vec())),
        ),
        (
            "5.5.3 the last Ping is enough",
            joined(&[&encode_ping(b"1", None), &encode_ping(b"2", None)]),
            Ok(Heard::Ping(b"2".to_vec())),
        ),
        (
            "5.5.1 Close",
            encode_close(1013, "later", None),
            closed(Some(1013), "later"),
        ),
        (
            "Close before the Pong",
            joined(&[b"\x88\x00", &pong()]),
            closed(None, ""),
        ),
        (
            "Close after the Pong",
            joined(&[&pong(), &encode_close(1001, "", None)]),
            Ok(Heard::Pong),
        ),
        (
            "nonsense after the Pong",
            joined(&[&pong(), b"\xff\xff"]),
            Ok(Heard::Pong),
        ),
        (
            "5.1 masked",
            encode_pong(&OURS, Some([1, 2, 3, 4])),
            Err(PongError::Frame(FrameError::Mask)),
        ),
        (
            "5.2 reserved opcode",
            b"\x83\x00".to_vec(),
            Err(PongError::Frame(FrameError::ReservedOpcode(3))),
        ),
        (
            "5.2 reserved bit",
            b"\xc1\x05hello".to_vec(),
            Err(PongError::ReservedBit),
        ),
        (
            "5.2 reserved bit on the Pong",
            joined(&[b"\xda\x10", &OURS]),
            Err(PongError::ReservedBit),
        ),
        (
            "5.5 a control frame in two",
            b"\x0a\x00".to_vec(),
            Err(PongError::Frame(FrameError::ControlFragmented)),
        ),
        (
            "HTTP goes on",
            b"HTTP/1.1 200 OK".to_vec(),
            Err(PongError::Frame(FrameError::ControlFragmented)),
        ),
    ];
    for (clause, bytes, expected) in rows {
        assert_eq!(heard(&[&bytes]), expected, "{clause}");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        if !matches!(expected, Ok(Heard::Nothing | Heard::Ping(_))) {
            assert_eq!(heard(&single), expected, "{clause}, byte by byte");
        }
    }
}

#[test]
fn a_flood_is_no_answer() {
    let frame = joined(&[b"\x82\x7e\xff\xfc", &[0; 65_532]]);
    let mut wait = PongWait::new(OURS);
    for _ in 0..15 {
        assert_eq!(wait.hear(&frame), Ok(Heard::Nothing));
    }
    assert_eq!(
        wait.hear(&frame),
        Ok(Heard::Nothing),
        "a mebibyte is allowed"
    );
    assert_eq!(wait.hear(&frame), Err(PongError::Flood));
}

#[test]
fn pongs_to_nobody_are_told_when_the_time_is_over() {
    let mut wait = PongWait::new(OURS);
    assert_eq!(wait.out_of_time(), None);
    for _ in 0..2 {
        assert_eq!(wait.hear(b"\x8a\x00"), Ok(Heard::Nothing));
    }
    let error = wait.out_of_time().unwrap();
    assert_eq!(
        error.to_string(),
        "2 came in time, none with the payload of the Ping"
    );
}

#[test]
fn a_close_is_told_in_words() {
    let rows: [(Option<u16>, &[u8], &str); 4] = [
        (None, b"", "without a code"),
        (Some(1001), b"", "with 1001"),
        (Some(1013), b"try later", "with 1013 \"try later\""),
        (Some(4000), b"a\n\xff", "with 4000 \"a\\n\u{fffd}\""),
    ];
    for (code, reason, words) in rows {
        let reason = reason.to_vec();
        let error = PongError::Closed(CloseFrame { code, reason });
        let expected = format!("the backend closed the WebSocket {words}");
        assert_eq!(error.to_string(), expected);
    }
}

proptest! {
    /// Nobody gets by without the payload, and no bytes do harm.
    #[test]
    fn only_the_payload_is_the_pong(bytes: Vec<u8>, at in 0..200usize) {
        let at = at.min(bytes.len());
        let whole = heard(&[&bytes[..at], &bytes[at..]]);
        let is_there = bytes.windows(OURS.len()).any(|window| window == OURS);
        prop_assert!(is_there || whole != Ok(Heard::Pong));
    }
}
