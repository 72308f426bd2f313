//! What no peer may send. The frames before it pass; it does not; both ends get Close 1002 between
//! two frames, the offender behind what the other end had to say, and TCP ends (RFC 6455 sections 5.1,
//! 5.2, 5.4, 5.5, 7.1.7).

use super::tunnel;
use crate::harness::frames::{End, Frame, Length, binary, close, frame, ping, pong, rest, text};
use crate::scenarios::rows::Row;
use crate::tunnel_play::Move;

/// The clause, what is wrong, the frames that may be there before, the frame that may not.
type Offence = (&'static str, String, Vec<Frame>, Frame);

pub(super) fn rows() -> impl Iterator<Item = Row> {
    let offences = || opcodes().chain(masks_and_lengths()).chain(sequences());
    let by_client = offences().map(|offence| refused(End::Client, "client", offence));
    let by_backend = offences().map(|offence| refused(End::Backend, "backend", offence));
    by_client.chain(by_backend).chain(timing())
}

fn opcodes() -> impl Iterator<Item = Offence> {
    let reserved = (0x3..=0x7).chain(0xb..=0xf);
    reserved.map(|opcode| {
        let what = format!("opcode {opcode:X} is reserved");
        (
            "RFC 6455 5.2",
            what,
            vec![text("good")],
            frame(opcode, "bad"),
        )
    })
}

fn masks_and_lengths() -> impl Iterator<Item = Offence> {
    let one = |clause, what: &str, bad| (clause, what.to_owned(), vec![text("good")], bad);
    let lengths = "RFC 6455 5.2";
    [
        one(
            "RFC 6455 5.1",
            "the wrong mask bit",
            text("bad").wrongly_masked(),
        ),
        one(
            "RFC 6455 5.1",
            "the wrong mask bit of a Close",
            close(1000, "").wrongly_masked(),
        ),
        one(
            lengths,
            "0 as a length of two bytes",
            text("").length(Length::Two),
        ),
        one(
            lengths,
            "125 as a length of two bytes",
            text([b'x'; 125]).length(Length::Two),
        ),
        one(
            lengths,
            "1 as a length of eight bytes",
            text("x").length(Length::Eight),
        ),
        one(
            lengths,
            "65535 as a length of eight bytes",
            binary([0; 65_535]).length(Length::Eight),
        ),
        one(
            lengths,
            "a length of 2^63",
            text("x").length(Length::Claimed(1 << 63)),
        ),
        one(
            lengths,
            "the longest length there is not",
            text("x").length(Length::Claimed(u64::MAX)),
        ),
        one("RFC 6455 5.5", "a Ping of 126 bytes", ping([0; 126])),
        one("RFC 6455 5.5", "a Pong of 126 bytes", pong([0; 126])),
        one(
            "RFC 6455 5.5",
            "a Close of 126 bytes",
            close(1000, &"x".repeat(124)),
        ),
        one(
            "RFC 6455 5.5",
            "a Ping that says that it is of 2^32 bytes",
            ping("x").length(Length::Claimed(1 << 32)),
        ),
        one("RFC 6455 5.5", "a fragmented Ping", ping("x").more()),
        one("RFC 6455 5.5", "a fragmented Close", close(1000, "").more()),
    ]
    .into_iter()
}

fn sequences() -> impl Iterator<Item = Offence> {
    let clause = "RFC 6455 5.4";
    let begun = || vec![text("begun").more()];
    let what = str::to_owned;
    [
        (
            clause,
            what("a continuation of nothing"),
            vec![],
            rest("bad"),
        ),
        (
            clause,
            what("a continuation behind a whole message"),
            vec![text("good")],
            rest("bad"),
        ),
        (
            clause,
            what("a message inside another one"),
            begun(),
            text("bad"),
        ),
        (
            clause,
            what("a fragmented message inside another one"),
            begun(),
            binary("bad").more(),
        ),
        (
            clause,
            what("a continuation behind the last fragment"),
            vec![text("a").more(), rest("b"), ping("?")],
            rest("bad"),
        ),
    ]
    .into_iter()
}

/// `end` sends what is good and what is not, in one piece. Good frames behind it do not pass either.
fn refused(end: End, name: &str, (clause, what, good, bad): Offence) -> Row {
    let sent = [good.as_slice(), &[bad, text("behind it")]].concat();
    let row = tunnel(clause, format!("{what}, from the {name}"))
        .sends(end, &sent)
        .gets(end.other(), &good)
        .play(end.other(), Move::GetsCloseOfGateway(1002));
    both_end(row, end)
}

/// The other end answers the Close. Who has offended is not listened to any more, and gets that
/// answer, behind what was on its way, and a FIN at once. The other end gets its FIN then.
fn both_end(row: Row, offender: End) -> Row {
    let other = offender.other();
    let last = [text("on its way"), close(1002, "")];
    row.sends(other, &last)
        .gets(offender, &last)
        .play(offender, Move::SeesFinish)
        .play(other, Move::Finishes)
        .play(other, Move::SeesFinish)
        .play(offender, Move::Finishes)
}

fn timing() -> impl Iterator<Item = Row> {
    let clause = "RFC 6455 7.1.7";
    let bad = || frame(0x3, "bad");
    let big = binary([b'x'; 1000]);
    let half = |end| big.written_by(end)[..500].to_vec();
    let second = |end| big.written_by(end)[500..].to_vec();
    let waits = |end: End, name: &str| {
        let other = end.other();
        let row = tunnel(
            clause,
            format!("a Close 1002 waits for the end of the frame on its way to the {name}"),
        )
        .play(other, Move::Sends(half(other)))
        .play(end, Move::Gets(half(other)))
        .sends(end, &[bad()])
        .play(other, Move::GetsCloseOfGateway(1002))
        .play(other, Move::Sends(second(other)))
        .play(end, Move::Gets(second(other)));
        both_end(row, end)
    };
    // A length of 2^63 is seen to be wrong in the tenth byte of its header.
    let split = |end: End, name: &str| {
        let bad = text("x").length(Length::Claimed(1 << 63)).written_by(end);
        let row = tunnel(
            clause,
            format!("an offence in the tenth byte, from the {name}"),
        )
        .passes(end, &[text("good")])
        .play(end, Move::SendsByteByByte(bad[..9].to_vec()))
        .play(end, Move::Sends(bad[9..].to_vec()))
        .play(end.other(), Move::GetsCloseOfGateway(1002));
        both_end(row, end)
    };
    // Who gets no answer to pass on says Close itself, between two frames.
    let unanswered = |end: End, name: &str| {
        let other = end.other();
        let first = text("half").more();
        let rest = rest("and half");
        tunnel(
            clause,
            format!("the other end does not answer the Close 1002 for the {name}"),
        )
        .sends(end, &[bad()])
        .play(other, Move::GetsCloseOfGateway(1002))
        .sends(other, std::slice::from_ref(&first))
        .gets(end, &[first])
        .play(end, Move::GetsCloseOfGateway(1002))
        .play(end, Move::SeesFinish)
        .sends(other, &[rest, close(1002, "")])
        .play(other, Move::Finishes)
        .play(other, Move::SeesFinish)
        .play(end, Move::Finishes)
    };
    [
        unanswered(End::Client, "client"),
        unanswered(End::Backend, "backend"),
        waits(End::Client, "client"),
        waits(End::Backend, "backend"),
        split(End::Client, "client"),
        split(End::Backend, "backend"),
    ]
    .into_iter()
}
