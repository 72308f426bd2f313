//! Endings without a closing handshake, or with half of one: FIN, reset, TLS that breaks off, peers
//! that do not let go (RFC 6455 sections 7.1.1, 7.1.5 and 7.2).

use std::time::Duration;

use super::tunnel;
use crate::harness::frames::{End, binary, close, frame, rest, text};
use crate::scenario::Transport;
use crate::scenarios::rows::Row;
use crate::tunnel_play::Move;

/// The gateway lets peers take 10 s; a busy machine gets some more.
const CUT: Duration = Duration::from_secs(14);

pub(super) fn rows() -> impl Iterator<Item = Row> {
    let ends = [(End::Client, "client"), (End::Backend, "backend")];
    ends.into_iter()
        .flat_map(|(end, name)| finishes(end, name).chain(resets(end, name).map(Row::ours)))
}

fn finishes(end: End, name: &str) -> impl Iterator<Item = Row> {
    let other = end.other();
    let whole = binary([7; 1000]).written_by(end);
    let long = binary([7; 300]).written_by(end);
    let part = move |row: Row, part: &[u8]| {
        row.play(end, Move::Sends(part.to_vec()))
            .play(end, Move::Finishes)
            .play(other, Move::Gets(part.to_vec()))
            .play(other, Move::SeesFinish)
            .play(other, Move::Finishes)
            .play(end, Move::SeesFinish)
    };
    [
        tunnel(
            "RFC 6455 7.1.5",
            format!("a FIN of the {name} without a Close: no Close is made up"),
        )
        .passes(end, &[text("last")])
        .play(end, Move::Finishes)
        .play(other, Move::SeesFinish)
        .play(other, Move::Finishes)
        .play(end, Move::SeesFinish),
        tunnel(
            "RFC 6455 7.1.1",
            format!("half closed by the {name}: the other direction goes on"),
        )
        .play(end, Move::Finishes)
        .play(other, Move::SeesFinish)
        .passes(other, &[text("more").more()])
        .passes(other, &[rest("and more"), close(1000, "")])
        .play(other, Move::Finishes)
        .play(end, Move::SeesFinish)
        .ours(),
        tunnel(
            "RFC 6455 7.1.1",
            format!("the {name} says Close and FIN at once"),
        )
        .sends(end, &[close(1000, "")])
        .play(end, Move::Finishes)
        .gets(other, &[close(1000, "")])
        .play(other, Move::SeesFinish)
        .passes(other, &[close(1000, "")])
        .play(other, Move::Finishes)
        .play(end, Move::SeesFinish)
        .ours(),
        part(
            tunnel(
                "RFC 6455 7.2",
                format!("a FIN of the {name} inside a payload, behind all its bytes"),
            ),
            &whole[..500],
        ),
        part(
            tunnel(
                "RFC 6455 7.2",
                format!("a FIN of the {name} inside a header, behind all its bytes"),
            ),
            &long[..3],
        ),
    ]
    .into_iter()
}

fn resets(end: End, name: &str) -> impl Iterator<Item = Row> {
    let other = end.other();
    let half = binary([7; 1000]).written_by(end)[..500].to_vec();
    [
        tunnel(
            "RFC 6455 7.2.1",
            format!("a reset of the {name} passes as a reset"),
        )
        .passes(end, &[text("last")])
        .play(end, Move::Resets)
        .play(other, Move::SeesReset),
        tunnel(
            "RFC 6455 7.2.1",
            format!("a reset of the {name} right behind its bytes"),
        )
        // Less than the first window of a connection: our own kernel drops what it has not sent.
        .sends(end, &[binary([7; 20_000]), text("last")])
        .play(end, Move::Resets)
        .gets(other, &[binary([7; 20_000]), text("last")])
        .play(other, Move::SeesReset),
        tunnel(
            "RFC 6455 7.2.1",
            format!("a reset of the {name} inside a frame"),
        )
        .play(end, Move::Sends(half.clone()))
        .play(end, Move::Resets)
        .play(other, Move::Gets(half))
        .play(other, Move::SeesReset),
        tunnel(
            "RFC 6455 7.1.1",
            format!("a reset of the {name} behind its Close ends the other side in order"),
        )
        .passes(end, &[close(1000, "")])
        .play(end, Move::Resets)
        .play(other, Move::SeesFinish),
        tunnel(
            "RFC 6455 7.2.1",
            format!("a reset of the {name} that is half closed"),
        )
        .play(other, Move::Finishes)
        .play(end, Move::SeesFinish)
        .passes(end, &[text("still")])
        .play(end, Move::Resets)
        .play(other, Move::SeesReset),
    ]
    .into_iter()
}

/// What waits for a time-out, and what is about TLS.
pub(super) fn in_one_transport() -> impl Iterator<Item = Row> {
    let bye = || close(1000, "");
    [
        tunnel(
            "RFC 6455 7.1.1",
            "both have said Close and keep TCP open: it is cut",
        )
        .passes(End::Client, &[bye()])
        .passes(End::Backend, &[bye()])
        .play(End::Client, Move::SeesFinishWithin(CUT))
        .play(End::Backend, Move::SeesFinish)
        .slow(),
        tunnel(
            "RFC 6455 7.1.7",
            "a peer that does not answer Close 1002 is cut",
        )
        .sends(End::Client, &[frame(0x3, "bad")])
        .play(End::Client, Move::GetsCloseOfGateway(1002))
        .play(End::Backend, Move::GetsCloseOfGateway(1002))
        .play(End::Client, Move::SeesFinish)
        .play(End::Backend, Move::SeesFinishWithin(CUT))
        .slow(),
        tunnel(
            "RFC 6455 10.6",
            "TLS of the client breaks off: the backend sees a reset",
        )
        .passes(End::Client, &[text("last")])
        .play(End::Client, Move::BreaksTls)
        .play(End::Backend, Move::SeesReset)
        .over(Transport::Tls),
    ]
    .into_iter()
}
