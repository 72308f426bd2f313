//! What settings ask for: pings, timeouts, limits, or that frames are not followed at all.

mod pings;

use std::num::NonZeroU32;

use gateway_core::config::Frames;
use gateway_core::websocket::{encode_ping, encode_pong};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const PONG: u8 = 10;
/// What the tests' randomness fills with.
const RANDOM: u8 = 7;

/// A machine and its clock.
struct Clocked {
    machine: Machine,
    start: Instant,
}

fn under(change: impl FnOnce(&mut TunnelSettings)) -> Clocked {
    let mut settings = TunnelSettings::default();
    change(&mut settings);
    let start = Instant::now();
    Clocked {
        machine: machine_under(&settings, start),
        start,
    }
}

fn pinged_each_10_s() -> Clocked {
    under(|settings| settings.ping_interval = Some(SECOND * 10))
}

impl Clocked {
    fn at(&self, seconds: u32) -> Instant {
        self.start + SECOND * seconds
    }

    /// What a driver does when its timer rings. Returns what each side gets: client, backend.
    fn tick(&mut self, seconds: u32) -> [Vec<u8>; 2] {
        let now = self.at(seconds);
        self.machine.observe([false; 2], now);
        self.machine.tick(now, &mut |bytes| bytes.fill(RANDOM));
        Side::BOTH.map(|side| take(&mut self.machine, side))
    }

    fn pass(&mut self, from: Side, bytes: &[u8], seconds: u32) -> Vec<u8> {
        let now = self.at(seconds);
        pass_at(&mut self.machine, from, bytes, now)
    }

    /// When the timer is to ring, in seconds.
    fn deadline(&mut self) -> Option<u64> {
        let start = self.start;
        let deadline = self.machine.deadline(start);
        deadline.map(|at| (at - start).as_secs())
    }

    fn end(&self) -> (Option<Side>, EndCause, Option<u16>) {
        let end = self.machine.summary(SECOND);
        (end.by, end.cause, end.close_code)
    }
}

/// The gateway's ping to `side`.
fn our_ping(side: Side) -> Vec<u8> {
    encode_ping(&[RANDOM; 8], (side == Side::Backend).then_some([RANDOM; 4]))
}

/// Pongs of `side` to it: one to the client's liking, one masked otherwise.
fn our_pong(side: Side) -> Vec<u8> {
    encode_pong(&[RANDOM; 8], (side == Side::Client).then_some([9, 8, 7, 6]))
}

/// The gateway's 1001.
fn going_away(to: Side, reason: &str) -> Vec<u8> {
    let order = CloseOrder {
        code: 1001,
        reason,
        mask: MASK,
    };
    order.frame(to)
}

#[test]
fn without_settings_there_is_no_deadline() {
    assert_eq!(under(|_| {}).deadline(), None);
    assert!(under(|_| {}).machine.care.is_none(), "nor memory for one");
}

#[test]
fn an_idle_tunnel_is_closed_on_both_sides() {
    let mut tunnel = under(|settings| {
        settings.idle_timeout = Some(SECOND * 60);
        settings.ping_interval = Some(SECOND * 40);
    });
    tunnel.pass(Side::Client, &frame(Side::Client, TEXT, b"x"), 10);
    tunnel.tick(50);
    for side in Side::BOTH {
        tunnel.pass(side, &our_pong(side), 51);
    }
    assert_eq!(tunnel.tick(69), [b"", b""]);
    let closes = Side::BOTH.map(|side| going_away(side, "idle timeout"));
    assert_eq!(tunnel.tick(70), closes, "our pings keep nothing alive");
    assert_eq!(tunnel.end(), (None, EndCause::Idle, Some(1001)));
    assert_eq!(tunnel.machine.wait(), Some(Wait::Close));
}

#[test]
fn while_a_slow_reader_takes_something_a_tunnel_is_not_idle() {
    let mut tunnel = under(|settings| settings.idle_timeout = Some(SECOND * 60));
    tunnel.machine.keep(Side::Client, b"waits");
    let start = tunnel.start;
    tunnel.machine.observe([false; 2], start);
    tunnel.machine.wrote(Side::Client, 1);
    let now = tunnel.at(50);
    tunnel.machine.observe([false; 2], now);
    assert_eq!(tunnel.deadline(), Some(110));
}

#[test]
fn a_slow_consumer_is_cut_off_and_the_other_side_hears_1001() {
    for slow in Side::BOTH {
        let mut tunnel = under(|settings| settings.slow_consumer_timeout = Some(SECOND * 30));
        let other = slow.other();
        assert_eq!(tunnel.deadline(), None);
        let data = frame(other, TEXT, b"hello");
        let now = tunnel.at(1);
        let passed = tunnel.machine.receive(other, &data, now);
        tunnel.machine.keep(slow, passed);
        tunnel.machine.observe([false; 2], now);
        assert_eq!(tunnel.deadline(), Some(31));
        // It takes something after all, and then nothing.
        tunnel.machine.wrote(slow, 3);
        let now = tunnel.at(20);
        tunnel.machine.observe([false; 2], now);
        assert_eq!(tunnel.deadline(), Some(50));
        let now = tunnel.at(50);
        assert!(tunnel.machine.tick(now, &mut |_| {}));
        assert_eq!(tunnel.machine.queued(slow), b"");
        let close = going_away(other, "the peer takes nothing");
        assert_eq!(take(&mut tunnel.machine, other), close);
        assert!(tunnel.machine.wants_drop(slow) && !tunnel.machine.wants_drop(other));
        tunnel.machine.dropped(slow);
        assert!(!tunnel.machine.wants_read(slow) && !tunnel.machine.wants_finish(other));
        assert_eq!(
            tunnel.end(),
            (Some(slow), EndCause::SlowConsumer, Some(1001))
        );
        tunnel.pass(other, &super::close(other, 1001), 51);
        tunnel.machine.ended(other);
        while !finish(&mut tunnel.machine).is_empty() {}
        assert!(tunnel.machine.is_over(), "the slow one is not waited for");
        assert!(tunnel.machine.is_abrupt(slow) && !tunnel.machine.is_abrupt(other));
    }
}

#[test]
fn a_slow_consumer_that_is_inside_a_frame_may_end_it() {
    let mut tunnel = under(|settings| settings.slow_consumer_timeout = Some(SECOND * 30));
    let data = frame(Side::Client, TEXT, b"hello");
    tunnel.pass(Side::Client, &data[..8], 0);
    tunnel.machine.keep(Side::Client, b"waits");
    let start = tunnel.start;
    tunnel.machine.observe([false; 2], start);
    let now = tunnel.at(30);
    assert!(tunnel.machine.tick(now, &mut |_| {}));
    assert!(!tunnel.machine.wants_drop(Side::Client));
    assert!(tunnel.machine.wants_read(Side::Client));
    let close = going_away(Side::Backend, "the peer takes nothing");
    let passed = tunnel.pass(Side::Client, &data[8..], 31);
    assert_eq!(passed, [&data[8..], &close].concat());
    assert!(tunnel.machine.wants_drop(Side::Client));
}

#[test]
fn what_waits_below_the_queue_counts_as_waiting() {
    let mut tunnel = under(|settings| settings.slow_consumer_timeout = Some(SECOND * 30));
    let start = tunnel.start;
    tunnel.machine.observe([true, false], start);
    assert_eq!(tunnel.deadline(), Some(30));
    tunnel.machine.observe([false; 2], start);
    assert_eq!(tunnel.deadline(), None);
}

/// A stream, how much of it passes, and what its sender and the other side are told.
type Excess = (&'static str, Clocked, Vec<u8>, usize, u16, &'static str);

fn excesses(from: Side) -> Vec<Excess> {
    let data = |length| frame(from, TEXT, &vec![b'x'; length]);
    let fragment = |opcode, length| {
        let mut fragment = frame(from, opcode, &vec![b'x'; length]);
        fragment[0] &= 0x7f;
        fragment
    };
    let two = data(10).len() + data(5).len();
    let rows = [
        (
            "a long frame",
            under(|settings| settings.max_frame_bytes = Some(10)),
            [data(10), data(5), data(11)].concat(),
            two,
            1009,
        ),
        (
            "a long message",
            under(|settings| settings.max_message_bytes = Some(10)),
            [data(10), data(5), data(11)].concat(),
            two,
            1009,
        ),
        (
            "a message of many frames",
            under(|settings| settings.max_message_bytes = Some(12)),
            [
                fragment(TEXT, 10),
                frame(from, PING, b"?????"),
                fragment(0, 3),
            ]
            .concat(),
            two,
            1009,
        ),
        (
            "many messages",
            under(|settings| settings.max_messages_per_second = NonZeroU32::new(2)),
            [data(10), data(5), data(0)].concat(),
            two,
            1008,
        ),
    ];
    let reason = "more than is allowed here";
    let told = |(name, tunnel, stream, passed, code)| (name, tunnel, stream, passed, code, reason);
    rows.into_iter().map(told).collect()
}

#[test]
fn what_exceeds_a_limit_does_not_pass_and_its_sender_is_told() {
    for from in Side::BOTH {
        let length = excesses(from)[0].2.len();
        for cut in 0..=length {
            for (name, mut tunnel, stream, valid, code, reason) in excesses(from) {
                let cut = cut.min(stream.len());
                let mut passed = tunnel.pass(from, &stream[..cut], 0);
                passed.extend(tunnel.pass(from, &stream[cut..], 0));
                let other = from.other();
                let told = going_away(other, "the peer sent more than is allowed here");
                assert_eq!(passed, [&stream[..valid], &told].concat(), "{name}, {cut}");
                tunnel.machine.expired(Wait::Answer);
                let order = CloseOrder {
                    code,
                    reason,
                    mask: MASK,
                };
                assert_eq!(take(&mut tunnel.machine, from), order.frame(from), "{name}");
                let (by, cause, close_code) = tunnel.end();
                assert_eq!((by, close_code), (Some(from), Some(code)), "{name}");
                assert!(matches!(cause, EndCause::Limit(_)), "{name}");
            }
        }
    }
}

#[test]
fn messages_at_the_rate_that_is_allowed_pass() {
    let mut tunnel = under(|settings| settings.max_messages_per_second = NonZeroU32::new(2));
    let data = frame(Side::Client, TEXT, b"x");
    let two = data.repeat(2);
    for seconds in 0..9 {
        assert_eq!(tunnel.pass(Side::Client, &two, seconds), two);
        let answers = frame(Side::Backend, PING, b"").repeat(5);
        assert_eq!(tunnel.pass(Side::Backend, &answers, seconds), answers);
    }
}

#[test]
fn opaque_bytes_pass_untouched_and_nothing_is_put_between_them() {
    let mut tunnel = under(|settings| {
        settings.frames = Frames::Opaque;
        settings.ping_interval = Some(SECOND);
        settings.max_frame_bytes = Some(1);
        settings.max_message_bytes = Some(1);
        settings.max_messages_per_second = NonZeroU32::new(1);
    });
    assert_eq!(tunnel.deadline(), None, "what needs frames is off");
    for bytes in [b"\x81".as_slice(), &[0xff; 500], b"GET / HTTP/1.1"] {
        for side in Side::BOTH {
            assert_eq!(tunnel.pass(side, bytes, 1), bytes);
        }
    }
    tunnel.machine.close(&drain());
    assert_eq!(tunnel.pass(Side::Client, b"on and on", 2), b"on and on");
    assert_eq!(take(&mut tunnel.machine, Side::Client), b"", "no Close");
    tunnel.machine.cut();
    assert_eq!(finish(&mut tunnel.machine), Side::BOTH);
    assert_eq!(tunnel.end(), (None, EndCause::Cut, None));
    let end = tunnel.machine.summary(SECOND);
    assert_eq!((end.to_backend.messages, end.to_backend.bytes), (0, 524));
}

#[test]
fn timeouts_end_opaque_tunnels_by_a_fin() {
    let mut tunnel = under(|settings| {
        settings.frames = Frames::Opaque;
        settings.idle_timeout = Some(SECOND * 60);
    });
    assert_eq!(tunnel.deadline(), Some(60));
    assert_eq!(tunnel.tick(60), [b"", b""]);
    assert_eq!(finish(&mut tunnel.machine), Side::BOTH);
    assert_eq!(tunnel.end(), (None, EndCause::Idle, None));
}

#[test]
fn what_passes_is_metered_by_kind_and_what_is_dropped_is_not() {
    let mut tunnel = pinged_each_10_s();
    tunnel.tick(10);
    let stream = [
        frame(Side::Client, TEXT, b"text"),
        frame(Side::Client, 2, &[0; 100]),
        frame(Side::Client, PING, b"?"),
        our_pong(Side::Client),
        super::close(Side::Client, 1000),
        frame(Side::Client, TEXT, b"late"),
    ];
    tunnel.pass(Side::Client, &stream.concat(), 11);
    // Behind a Close of ours nothing passes.
    tunnel.machine.close(&drain());
    take(&mut tunnel.machine, Side::Client);
    let late = [
        frame(Side::Backend, TEXT, b"late"),
        frame(Side::Backend, PING, b"?"),
    ];
    tunnel.pass(Side::Backend, &late.concat(), 12);
    let dropped = &tunnel.machine.meter.to_client.kinds;
    assert!(dropped.iter().all(|kind| kind.messages.get() == 0));
    let end = tunnel.machine.summary(SECOND);
    assert_eq!((end.to_client.messages, end.to_backend.messages), (0, 2));
    let meter = &tunnel.machine.meter.to_backend;
    let counted = meter.kinds.each_ref();
    let counted = counted.map(|kind| (kind.messages.get(), kind.bytes.get()));
    assert_eq!(counted, [(1, 4), (1, 100), (1, 1), (0, 0), (1, 2)]);
    let sizes = meter.sizes.each_ref().map(|size| size.get());
    assert_eq!(sizes[..3], [1, 1, 0]);
}
