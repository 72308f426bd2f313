//! Pings of ours, their Pongs, and peers that give none.

use super::*;

#[test]
fn each_silent_leg_is_pinged_for_itself() {
    let mut tunnel = pinged_each_10_s();
    assert_eq!(tunnel.deadline(), Some(10));
    assert_eq!(tunnel.tick(9), [b"", b""]);
    // The client speaks: only the backend is silent.
    tunnel.pass(Side::Client, &frame(Side::Client, TEXT, b"hello"), 5);
    let [client, backend] = tunnel.tick(10);
    assert_eq!((client, &backend), (vec![], &our_ping(Side::Backend)));
    assert_eq!(backend[1] & 0x80, 0x80, "5.1: masked");
    let [client, backend] = tunnel.tick(15);
    assert_eq!((client, backend), (our_ping(Side::Client), vec![]));
}

#[test]
fn pongs_to_our_pings_are_swallowed_wherever_they_are_cut() {
    for side in Side::BOTH {
        let (pong, data) = (our_pong(side), frame(side, TEXT, b"data"));
        let stream = [data.as_slice(), &pong, &data].concat();
        for cut in 0..=stream.len() {
            let mut tunnel = pinged_each_10_s();
            tunnel.tick(10);
            let mut passed = tunnel.pass(side, &stream[..cut], 11);
            passed.extend(tunnel.pass(side, &stream[cut..], 13));
            assert_eq!(passed, [data.as_slice(), &data].concat(), "{side:?}, {cut}");
            let took = tunnel.machine.round_trip(side).unwrap();
            let whole_at = if cut >= data.len() + pong.len() { 1 } else { 3 };
            assert_eq!(took, SECOND * whole_at);
            let end = tunnel.machine.summary(SECOND);
            let traffic = [end.to_backend, end.to_client][side as usize];
            assert_eq!(
                (traffic.messages, traffic.bytes),
                (2, 2 * data.len() as u64)
            );
        }
    }
}

#[test]
fn other_pongs_pass_while_ours_is_awaited() {
    for side in Side::BOTH {
        for payload in [b"".as_slice(), b"another.", b"something long"] {
            let mut tunnel = pinged_each_10_s();
            tunnel.tick(10);
            let pong = frame(side, PONG, payload);
            let mut passed = Vec::new();
            for byte in pong.chunks(1) {
                passed.extend(tunnel.pass(side, byte, 11));
            }
            assert_eq!(passed, pong);
        }
    }
}

#[test]
fn a_pong_that_nobody_awaits_passes() {
    let mut tunnel = pinged_each_10_s();
    tunnel.tick(10);
    let pong = our_pong(Side::Client);
    assert_eq!(tunnel.pass(Side::Client, &pong, 11), b"");
    assert_eq!(tunnel.pass(Side::Client, &pong, 12), pong, "once");
    // The backend's ping has the same payload here; its pong is another leg's.
    assert_eq!(
        tunnel.pass(Side::Backend, &our_pong(Side::Backend), 12),
        b""
    );
}

#[test]
fn half_a_pong_passes_when_its_stream_ends() {
    let mut tunnel = pinged_each_10_s();
    tunnel.tick(10);
    let half = &our_pong(Side::Client)[..9];
    assert_eq!(tunnel.pass(Side::Client, half, 11), b"");
    tunnel.machine.ended(Side::Client);
    assert_eq!(take(&mut tunnel.machine, Side::Backend), half);
}

#[test]
fn pings_and_their_pongs_are_no_traffic() {
    let mut tunnel = pinged_each_10_s();
    tunnel.tick(10);
    tunnel.pass(Side::Client, &our_pong(Side::Client), 11);
    assert_eq!(tunnel.machine.last_traffic(Side::Client), tunnel.start);
    tunnel.pass(Side::Client, &frame(Side::Client, PONG, b"x"), 12);
    assert_eq!(tunnel.machine.last_traffic(Side::Client), tunnel.at(12));
}

#[test]
fn a_ping_waits_for_the_end_of_a_frame_and_goes_between_fragments() {
    let mut tunnel = pinged_each_10_s();
    // A message in two fragments, cut inside the first.
    let mut stream = frame(Side::Backend, TEXT, b"frag");
    stream[0] &= 0x7f;
    stream.extend(frame(Side::Backend, 0, b"ment"));
    assert_eq!(tunnel.pass(Side::Backend, &stream[..4], 5), stream[..4]);
    assert_eq!(tunnel.tick(10)[0], b"", "inside a frame");
    let passed = tunnel.pass(Side::Backend, &stream[4..], 11);
    let expected = [&stream[4..6], &our_ping(Side::Client), &stream[6..]].concat();
    assert_eq!(passed, expected);
}

#[test]
fn a_ping_goes_before_a_header_that_is_not_whole() {
    let mut tunnel = pinged_each_10_s();
    let data = frame(Side::Backend, TEXT, b"x");
    assert_eq!(tunnel.pass(Side::Backend, &data[..1], 5), b"");
    assert_eq!(tunnel.tick(10)[0], our_ping(Side::Client));
    assert_eq!(tunnel.pass(Side::Backend, &data[1..], 11), data);
}

#[test]
fn behind_a_peers_unanswered_ping_there_is_none_of_ours() {
    let mut tunnel = pinged_each_10_s();
    let ping = frame(Side::Backend, PING, b"theirs");
    tunnel.pass(Side::Backend, &ping, 1);
    assert_eq!(tunnel.tick(11)[0], b"", "5.5.3");
    tunnel.pass(Side::Client, &frame(Side::Client, PONG, b"theirs"), 12);
    assert_eq!(tunnel.tick(22)[0], our_ping(Side::Client));

    // Nor behind one that comes while ours waits for its boundary.
    let mut tunnel = pinged_each_10_s();
    tunnel.pass(Side::Backend, &ping[..4], 1);
    assert_eq!(tunnel.tick(10)[0], b"");
    assert_eq!(tunnel.pass(Side::Backend, &ping[4..], 11), ping[4..]);
}

#[test]
fn a_leg_that_misses_two_pings_is_closed_and_the_other_hears_1001() {
    for dead in Side::BOTH {
        let mut tunnel = pinged_each_10_s();
        let alive = dead.other();
        for round in 1..3 {
            assert_eq!(tunnel.tick(round * 10)[dead as usize], our_ping(dead));
            tunnel.pass(alive, &our_pong(alive), round * 10 + 5);
        }
        let close = going_away(alive, "no answer to pings");
        assert_eq!(tunnel.tick(30)[alive as usize], close);
        assert_eq!(tunnel.end(), (Some(dead), EndCause::Unanswered, Some(1001)));
        assert_eq!(
            tunnel.machine.wait(),
            Some(Wait::Close),
            "not for as long as the dead one likes"
        );
        tunnel.pass(alive, &super::close(alive, 1001), 31);
        tunnel.machine.ended(alive);
        while !finish(&mut tunnel.machine).is_empty() {}
        assert!(tunnel.machine.is_over(), "the dead one is not waited for");
    }
}

#[test]
fn a_peer_whose_bytes_wait_is_not_called_silent() {
    let mut tunnel = under(|settings| {
        settings.ping_interval = Some(SECOND * 10);
    });
    tunnel.machine.keep(Side::Backend, b"stalled");
    for round in 1..9 {
        let now = tunnel.at(round * 10);
        tunnel.machine.observe([false; 2], now);
        tunnel.machine.tick(now, &mut |bytes| bytes.fill(RANDOM));
        assert_eq!(tunnel.machine.queued(Side::Backend), b"stalled");
        take(&mut tunnel.machine, Side::Client);
        if round < 3 {
            continue;
        }
        assert_eq!(tunnel.end().1, EndCause::Abandoned, "it has not ended");
    }
}

#[test]
fn peers_that_have_said_close_are_not_pinged() {
    let mut tunnel = pinged_each_10_s();
    tunnel.pass(Side::Client, &super::close(Side::Client, 1000), 1);
    assert_eq!(tunnel.tick(20), [b"", b""], "5.5.1");
    assert_eq!(tunnel.deadline(), None);
}
