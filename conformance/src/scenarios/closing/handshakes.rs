//! The closing handshake: who says Close first, with which code and reason, and what may come behind
//! it (RFC 6455 sections 5.5.1, 7.1 and 7.4).

use super::tunnel;
use crate::harness::frames::{CLOSE, End, Frame, bare_close, close, frame, ping, rest, text};
use crate::scenarios::rows::Row;
use crate::tunnel_play::Move;

pub(super) fn rows() -> impl Iterator<Item = Row> {
    orders()
        .chain(behind().map(Row::ours))
        .chain(codes())
        .chain(bodies())
}

/// The server ends TCP first (section 7.1.1), then the client.
fn tcp_ends(row: Row) -> Row {
    row.play(End::Backend, Move::Finishes)
        .play(End::Client, Move::SeesFinish)
        .play(End::Client, Move::Finishes)
        .play(End::Backend, Move::SeesFinish)
}

fn orders() -> impl Iterator<Item = Row> {
    let bye = || [close(1000, "bye")];
    [
        tcp_ends(
            tunnel("RFC 6455 7.1.2", "the client says Close first")
                .passes(End::Client, &bye())
                .passes(End::Backend, &bye()),
        ),
        tcp_ends(
            tunnel("RFC 6455 7.1.2", "the backend says Close first")
                .passes(End::Backend, &bye())
                .passes(End::Client, &bye()),
        ),
        tcp_ends(
            tunnel(
                "RFC 6455 5.5.1",
                "both say Close at once, each with its own code",
            )
            .sends(End::Client, &[close(1000, "enough")])
            .sends(End::Backend, &[close(1001, "restarting")])
            .gets(End::Backend, &[close(1000, "enough")])
            .gets(End::Client, &[close(1001, "restarting")]),
        ),
        tunnel(
            "RFC 6455 7.1.1",
            "the client ends TCP first, behind both Closes",
        )
        .passes(End::Client, &bye())
        .passes(End::Backend, &bye())
        .play(End::Client, Move::Finishes)
        .play(End::Backend, Move::SeesFinish)
        .play(End::Backend, Move::Finishes)
        .play(End::Client, Move::SeesFinish),
        tunnel(
            "RFC 6455 5.5.1",
            "the backend ends TCP together with its answer to a Close",
        )
        .passes(End::Client, &bye())
        .sends(End::Backend, &bye())
        .play(End::Backend, Move::Finishes)
        .gets(End::Client, &bye())
        .play(End::Client, Move::SeesFinish)
        .play(End::Client, Move::Finishes)
        .play(End::Backend, Move::SeesFinish),
        tunnel(
            "RFC 6455 7.1.1",
            "the client resets behind its Close: the backend sees an end in order",
        )
        .passes(End::Client, &bye())
        .passes(End::Backend, &bye())
        .play(End::Client, Move::Resets)
        .play(End::Backend, Move::SeesFinish)
        .ours(),
    ]
    .into_iter()
}

fn behind() -> impl Iterator<Item = Row> {
    let bye = || close(1000, "");
    let dropped = |from: End, name: &str, what: &str, late: &[Frame]| {
        let row = tunnel(
            "RFC 6455 5.5.1",
            format!("{what} behind the {name}'s Close does not pass"),
        )
        .sends(from, &[&[bye()], late].concat())
        .gets(from.other(), &[bye()])
        .sends(from, late)
        .passes(from.other(), &[bye()]);
        // The end of the stream comes behind all that could have passed.
        row.play(from, Move::Finishes)
            .play(from.other(), Move::SeesFinish)
            .play(from.other(), Move::Finishes)
            .play(from, Move::SeesFinish)
    };
    let goes_on = |from: End, name: &str| {
        let other = from.other();
        tcp_ends(
            tunnel(
                "RFC 6455 5.5.1",
                format!("after the {name}'s Close the other end may finish its message"),
            )
            .passes(other, &[text("one, ").more()])
            .passes(from, &[bye()])
            .passes(other, &[rest("two, ").more(), ping("?")])
            .passes(other, &[rest("three")])
            .passes(other, &[bye()]),
        )
    };
    [
        dropped(End::Client, "client", "a message", &[text("late")]),
        dropped(End::Backend, "backend", "a message", &[text("late")]),
        dropped(End::Client, "client", "a Ping", &[ping("late")]),
        dropped(
            End::Client,
            "client",
            "a second Close",
            &[close(1001, "late")],
        ),
        dropped(
            End::Backend,
            "backend",
            "a second Close",
            &[close(1001, "late")],
        ),
        dropped(
            End::Client,
            "client",
            "what is no frame",
            &[frame(0x3, "late")],
        ),
        goes_on(End::Client, "client"),
        goes_on(End::Backend, "backend"),
    ]
    .into_iter()
}

/// Each code passes in both directions.
fn codes() -> impl Iterator<Item = Row> {
    let good = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ];
    let reserved = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535];
    let passes = |clause, name: String, code| {
        tcp_ends(
            tunnel(clause, name)
                .passes(End::Client, &[close(code, "why")])
                .passes(End::Backend, &[close(code, "why not")]),
        )
    };
    let good = good.into_iter().map(move |code| {
        let clause = if code < 3000 {
            "RFC 6455 7.4.1"
        } else {
            "RFC 6455 7.4.2"
        };
        passes(clause, format!("Close {code} passes both ways"), code)
    });
    let reserved = reserved.into_iter().map(move |code| {
        let name = format!("Close {code}, which is reserved, is left to the peer to refuse");
        passes("RFC 6455 7.4", name, code)
    });
    good.chain(reserved)
}

fn bodies() -> impl Iterator<Item = Row> {
    let both = |clause, name, body: Frame| {
        let row = tunnel(clause, name);
        let (client, backend) = ([body.clone()], [body]);
        tcp_ends(
            row.passes(End::Client, &client)
                .passes(End::Backend, &backend),
        )
    };
    [
        both("RFC 6455 7.1.5", "a Close without a code", bare_close()),
        both(
            "RFC 6455 5.5.1",
            "a Close with a reason of 123 bytes",
            close(1000, &"r".repeat(123)),
        ),
        both(
            "RFC 6455 7.1.6",
            "a reason beyond ASCII",
            close(4000, "bitte später"),
        ),
        both(
            "RFC 6455 5.5.1",
            "a reason that is not UTF-8 is left to the peer to refuse",
            frame(CLOSE, [3, 232, 0xff, 0xfe]),
        ),
        both(
            "RFC 6455 5.5.1",
            "a Close with half a code is left to the peer to refuse",
            frame(CLOSE, [3]),
        ),
        tcp_ends(
            tunnel("RFC 6455 5.5.1", "a Close byte by byte")
                .play(
                    End::Client,
                    Move::SendsByteByByte(close(1000, "bye").written_by(End::Client)),
                )
                .gets(End::Backend, &[close(1000, "bye")])
                .passes(End::Backend, &[close(1000, "bye")]),
        ),
    ]
    .into_iter()
}
