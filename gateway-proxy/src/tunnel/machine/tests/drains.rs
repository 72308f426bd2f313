//! Ends that the gateway brings about: drains, and the cut behind them.

use super::*;

#[test]
fn a_drain_says_close_to_both_and_ends_tcp_first_only_towards_the_client() {
    let mut machine = machine();
    machine.close(&drain());
    assert_eq!(
        take(&mut machine, Side::Client),
        drain().frame(Side::Client)
    );
    let to_backend = take(&mut machine, Side::Backend);
    assert_eq!(to_backend, drain().frame(Side::Backend));
    assert_eq!(to_backend[1] & 0x80, 0x80, "5.1: masked");
    assert!(
        finish(&mut machine).is_empty(),
        "the closing handshake is awaited"
    );

    assert_eq!(
        pass(&mut machine, Side::Client, &close(Side::Client, 1001)),
        b""
    );
    assert_eq!(
        finish(&mut machine),
        [Side::Client],
        "7.1.1: towards clients we are the server"
    );
    assert_eq!(
        pass(&mut machine, Side::Backend, &close(Side::Backend, 1001)),
        b""
    );
    assert!(
        finish(&mut machine).is_empty(),
        "7.1.1: the backend ends TCP first"
    );
    assert_eq!(machine.wait(), Some(Wait::Close));
    machine.ended(Side::Backend);
    assert_eq!(finish(&mut machine), [Side::Backend]);
    machine.ended(Side::Client);
    assert!(machine.is_over());
    let end = machine.summary(Duration::ZERO);
    assert_eq!(
        (end.by, end.cause, end.close_code),
        (None, EndCause::Drain, Some(1001))
    );
}

#[test]
fn a_drain_waits_for_the_end_of_a_frame_and_drops_what_is_behind_it() {
    let mut machine = machine();
    let bytes = [
        frame(Side::Backend, TEXT, b"hello"),
        frame(Side::Backend, TEXT, b"more"),
    ]
    .concat();
    pass(&mut machine, Side::Backend, &bytes[..4]);
    machine.close(&drain());
    assert_eq!(take(&mut machine, Side::Client), b"", "inside a frame");
    let expected = [&bytes[4..7], &drain().frame(Side::Client)].concat();
    assert_eq!(pass(&mut machine, Side::Backend, &bytes[4..]), expected);
    assert_eq!(pass(&mut machine, Side::Backend, &bytes), b"");
    assert_eq!(machine.summary(Duration::ZERO).to_client.bytes, 7);
}

#[test]
fn a_drain_does_not_wait_for_the_rest_of_a_header() {
    let mut machine = machine();
    assert_eq!(pass(&mut machine, Side::Backend, &[0x81]), b"", "held back");
    machine.close(&drain());
    assert_eq!(
        take(&mut machine, Side::Client),
        drain().frame(Side::Client)
    );
    assert_eq!(pass(&mut machine, Side::Backend, &[0x01, b'x']), b"");
}

#[test]
fn the_answer_to_a_drain_is_seen_in_the_bytes_that_are_dropped() {
    let mut machine = machine();
    let text = frame(Side::Client, TEXT, b"hello");
    pass(&mut machine, Side::Client, &text[..8]);
    machine.close(&drain());
    take(&mut machine, Side::Client);
    let rest = [&text[8..], &close(Side::Client, 1001)].concat();
    let passed = pass(&mut machine, Side::Client, &rest);
    assert_eq!(passed, [&text[8..], &drain().frame(Side::Backend)].concat());
    assert_eq!(finish(&mut machine), [Side::Client]);
}

#[test]
fn a_peers_close_that_crosses_a_drain_is_passed_on_instead_of_ours() {
    let mut machine = machine();
    let bytes = close(Side::Client, 1000);
    pass(&mut machine, Side::Client, &bytes[..7]);
    machine.close(&drain());
    assert_eq!(pass(&mut machine, Side::Client, &bytes[7..]), bytes[7..]);
    assert_eq!(
        pass(
            &mut machine,
            Side::Client,
            &frame(Side::Client, TEXT, b"late")
        ),
        b""
    );
}

#[test]
fn a_cut_drops_what_waits_and_ends_both_sides() {
    let mut machine = machine();
    machine.keep(Side::Client, b"stalled");
    machine.close(&drain());
    machine.cut();
    assert_eq!(finish(&mut machine), Side::BOTH);
    assert!(
        !machine.is_over(),
        "a socket that is closed with bytes unread would be reset"
    );
    machine.ended(Side::Client);
    machine.ended(Side::Backend);
    assert!(machine.is_over());
}
