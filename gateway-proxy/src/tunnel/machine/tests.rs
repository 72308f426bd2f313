//! Tables of what follows what, and properties against tungstenite's reading of both ends.

mod cared_for;
mod drains;
mod offences;
mod properties;

use super::*;

const MASK: [u8; 4] = [1, 2, 3, 4];

fn drain() -> CloseOrder<'static> {
    CloseOrder {
        code: 1001,
        reason: "going away",
        mask: MASK,
    }
}

fn machine() -> Machine {
    machine_under(&TunnelSettings::default(), Instant::now())
}

fn machine_under(settings: &TunnelSettings, now: Instant) -> Machine {
    Machine::new(settings, Arc::default(), MASK, now)
}

fn refusal() -> CloseOrder<'static> {
    CloseOrder {
        code: 1002,
        reason: "invalid framing",
        mask: MASK,
    }
}

/// Reads `bytes` from `from`, with a writer that takes them all; returns what goes to the other side.
fn pass(machine: &mut Machine, from: Side, bytes: &[u8]) -> Vec<u8> {
    pass_at(machine, from, bytes, Instant::now())
}

fn pass_at(machine: &mut Machine, from: Side, bytes: &[u8], now: Instant) -> Vec<u8> {
    assert!(machine.wants_read(from));
    let mut out = machine.receive(from, bytes, now).to_vec();
    out.extend(take(machine, from.other()));
    out
}

/// What waits for `to`, written.
fn take(machine: &mut Machine, to: Side) -> Vec<u8> {
    let queued = machine.queued(to).to_vec();
    machine.wrote(to, queued.len());
    queued
}

/// A frame with FIN from `from`, masked with zeros if it must be.
fn frame(from: Side, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    let mut bytes = vec![0x80 | opcode];
    match from {
        Side::Client => bytes.extend([0x80 | length, 0, 0, 0, 0]),
        Side::Backend => bytes.push(length),
    }
    bytes.extend(payload);
    bytes
}

fn close(from: Side, code: u16) -> Vec<u8> {
    frame(from, 8, &code.to_be_bytes())
}

const TEXT: u8 = 1;
const PING: u8 = 9;

/// Lets both sides get what FIN they are due, in any order, and says who got one.
fn finish(machine: &mut Machine) -> Vec<Side> {
    let due: Vec<_> = Side::BOTH
        .into_iter()
        .filter(|side| machine.wants_finish(*side))
        .collect();
    for &side in &due {
        machine.finished(side);
    }
    due
}

#[test]
fn whole_frames_pass_at_once_and_are_counted() {
    let mut machine = machine();
    for (from, opcode) in [
        (Side::Client, TEXT),
        (Side::Backend, TEXT),
        (Side::Backend, PING),
    ] {
        let bytes = frame(from, opcode, b"hello");
        assert_eq!(pass(&mut machine, from, &bytes), bytes);
    }
    let end = machine.summary(Duration::from_secs(5));
    assert_eq!((end.to_backend.messages, end.to_backend.bytes), (1, 11));
    assert_eq!((end.to_client.messages, end.to_client.bytes), (1, 14));
    assert_eq!(end.age, Duration::from_secs(5));
}

#[test]
fn a_stalled_reader_stops_its_writer_and_nobody_else() {
    let mut machine = machine();
    let bytes = frame(Side::Client, TEXT, b"hello");
    let passed = machine.receive(Side::Client, &bytes, Instant::now());
    machine.keep(Side::Backend, &passed[4..]);
    assert!(!machine.wants_read(Side::Client));
    assert!(machine.wants_read(Side::Backend));
    machine.wrote(Side::Backend, 3);
    assert!(!machine.wants_read(Side::Client));
    assert_eq!(take(&mut machine, Side::Backend), bytes[7..]);
    assert!(machine.wants_read(Side::Client));
}

#[test]
fn what_came_with_the_heads_waits_at_the_start() {
    let client_first = frame(Side::Client, TEXT, b"early");
    let backend_first = frame(Side::Backend, TEXT, b"hello");
    let mut machine = machine();
    machine.begin(&client_first, &backend_first, Instant::now());
    assert_eq!(take(&mut machine, Side::Backend), client_first);
    assert_eq!(take(&mut machine, Side::Client), backend_first);
}

#[test]
fn a_fin_is_passed_on_behind_what_waits_and_the_other_direction_goes_on() {
    let mut machine = machine();
    let bytes = frame(Side::Client, TEXT, b"last");
    let passed = machine.receive(Side::Client, &bytes, Instant::now());
    machine.keep(Side::Backend, passed);
    machine.ended(Side::Client);
    assert!(finish(&mut machine).is_empty(), "bytes first");
    take(&mut machine, Side::Backend);
    assert_eq!(finish(&mut machine), [Side::Backend]);
    assert!(!machine.is_over());
    assert_eq!(
        machine.wait(),
        None,
        "half a tunnel may stay for as long as it likes"
    );
    let answer = frame(Side::Backend, TEXT, b"answer");
    assert_eq!(pass(&mut machine, Side::Backend, &answer), answer);
    machine.ended(Side::Backend);
    assert_eq!(finish(&mut machine), [Side::Client]);
    assert!(machine.is_over());
    let end = machine.summary(Duration::ZERO);
    assert_eq!((end.by, end.cause), (Some(Side::Client), EndCause::Fin));
}

#[test]
fn a_fin_inside_a_header_is_passed_on_behind_it() {
    let mut machine = machine();
    assert_eq!(pass(&mut machine, Side::Client, &[0x81]), b"");
    machine.ended(Side::Client);
    assert_eq!(take(&mut machine, Side::Backend), [0x81]);
}

#[test]
fn a_reset_is_passed_on_behind_what_waits() {
    for lost in Side::BOTH {
        let mut machine = machine();
        let bytes = frame(lost, TEXT, b"last");
        let passed = machine.receive(lost, &bytes, Instant::now());
        machine.keep(lost.other(), passed);
        machine.lost(lost);
        assert!(!machine.wants_reset(lost.other()), "bytes first");
        assert_eq!(machine.wait(), Some(Wait::Reset));
        assert_eq!(take(&mut machine, lost.other()), bytes);
        assert!(machine.wants_reset(lost.other()));
        assert!(finish(&mut machine).is_empty());
        machine.reset();
        assert!(machine.is_over());
        let end = machine.summary(Duration::ZERO);
        assert_eq!((end.by, end.cause), (Some(lost), EndCause::Reset));
    }
}

#[test]
fn while_the_last_bytes_before_a_reset_wait_the_other_side_is_still_heard() {
    let mut machine = machine();
    machine.keep(Side::Backend, b"x");
    machine.lost(Side::Client);
    // An echoing backend reads nothing before it has written: it must not be left to wait.
    let answer = frame(Side::Backend, TEXT, b"answer");
    assert_eq!(pass(&mut machine, Side::Backend, &answer), b"");
}

#[test]
fn a_failed_write_lets_what_the_peer_left_behind_pass_first() {
    let mut machine = machine();
    machine.write_failed(Side::Backend);
    let left = frame(Side::Backend, TEXT, b"left");
    assert_eq!(pass(&mut machine, Side::Backend, &left), left);
    // Behind a broken connection the kernel tells the end as if it were orderly.
    machine.ended(Side::Backend);
    assert!(machine.wants_reset(Side::Client));
}

#[test]
fn a_reset_after_a_fin_is_passed_on() {
    let mut machine = machine();
    machine.ended(Side::Client);
    assert_eq!(finish(&mut machine), [Side::Backend]);
    machine.write_failed(Side::Client);
    assert!(machine.wants_reset(Side::Backend));
}

#[test]
fn peers_close_among_themselves() {
    let mut machine = machine();
    let bytes = close(Side::Client, 1000);
    assert_eq!(pass(&mut machine, Side::Client, &bytes), bytes);
    assert_eq!(machine.wait(), None, "the answer may take its time");
    let data = frame(Side::Backend, TEXT, b"still");
    assert_eq!(
        pass(&mut machine, Side::Backend, &data),
        data,
        "5.5.1: until it answers"
    );
    let bytes = close(Side::Backend, 1000);
    assert_eq!(pass(&mut machine, Side::Backend, &bytes), bytes);
    assert!(
        finish(&mut machine).is_empty(),
        "7.1.1: the server ends TCP first"
    );
    assert_eq!(machine.wait(), Some(Wait::Close));
    machine.ended(Side::Backend);
    assert_eq!(finish(&mut machine), [Side::Client]);
    machine.ended(Side::Client);
    assert_eq!(finish(&mut machine), [Side::Backend]);
    assert!(machine.is_over());
    let end = machine.summary(Duration::ZERO);
    assert_eq!(
        (end.by, end.cause, end.close_code),
        (Some(Side::Client), EndCause::Close, Some(1000))
    );
}

#[test]
fn nothing_passes_behind_a_peers_close_in_the_same_read() {
    for late in [
        frame(Side::Client, TEXT, b"late"),
        vec![0x83, 0xff],
        vec![0x81],
    ] {
        let mut machine = machine();
        let bye = close(Side::Client, 1000);
        let read = [frame(Side::Client, PING, b"?"), bye, late].concat();
        let passed = pass(&mut machine, Side::Client, &read);
        assert_eq!(passed, read[..7 + 8], "5.5.1: {read:x?}");
        machine.ended(Side::Client);
        assert_eq!(take(&mut machine, Side::Backend), b"", "5.5.1: {read:x?}");
    }
}

#[test]
fn nothing_passes_behind_a_peers_close() {
    let mut machine = machine();
    pass(&mut machine, Side::Client, &close(Side::Client, 1000));
    let late = frame(Side::Client, TEXT, b"late");
    assert_eq!(pass(&mut machine, Side::Client, &late), b"", "5.5.1");
    machine.close(&drain());
    assert_eq!(
        take(&mut machine, Side::Backend),
        b"",
        "it has had its Close"
    );
}

#[test]
fn a_reset_behind_a_close_is_an_end_in_order() {
    let mut machine = machine();
    pass(&mut machine, Side::Client, &close(Side::Client, 1000));
    machine.lost(Side::Client);
    assert_eq!(finish(&mut machine), [Side::Backend]);
}

#[test]
fn peers_that_close_and_stay_are_cut() {
    let mut machine = machine();
    pass(&mut machine, Side::Client, &close(Side::Client, 1000));
    pass(&mut machine, Side::Backend, &close(Side::Backend, 1000));
    machine.expired(Wait::Close);
    assert_eq!(finish(&mut machine), Side::BOTH);
    assert_eq!(machine.wait(), Some(Wait::Cut));
    machine.expired(Wait::Cut);
    assert!(machine.is_over());
    assert_eq!(machine.summary(Duration::ZERO).cause, EndCause::Close);
}
