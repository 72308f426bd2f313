//! Fragmentation, and control frames between fragments (RFC 6455 section 5.4).

use super::{both_ways, extended, tunnel};
use crate::harness::frames::{End, Frame, binary, close, ping, pong, rest, text};
use crate::scenarios::rows::Row;

pub(super) fn rows() -> impl Iterator<Item = Row> {
    let same = |name, frames: &[Frame]| both_ways(tunnel("RFC 6455 5.4", name), frames);
    let bytes = (0..500_u32).map(|number| match number {
        0 => text("0").more(),
        499 => rest("9"),
        _ => rest("5").more(),
    });
    [
        both_ways(
            tunnel("RFC 6455 5.7", "the RFC's own fragments"),
            &[text("Hel").more(), rest("lo")],
        ),
        same(
            "three fragments",
            &[text("Hel").more(), rest("lo, ").more(), rest("world")],
        ),
        same(
            "fragments of every length form",
            &[
                binary([1; 125]).more(),
                rest([2; 126]).more(),
                rest([3; 65_536]).more(),
                rest([4; 1]),
            ],
        ),
        same(
            "empty fragments",
            &[text("").more(), rest("").more(), rest("x").more(), rest("")],
        ),
        same(
            "five hundred fragments of one byte",
            &bytes.collect::<Vec<_>>(),
        ),
        same(
            "a fragmented message, a whole one, a fragmented one",
            &[
                text("a").more(),
                rest("b"),
                binary("whole"),
                binary("c").more(),
                rest("d"),
            ],
        ),
        same(
            "a Ping between two fragments",
            &[text("Hel").more(), ping("?"), rest("lo")],
        ),
        same(
            "Pings and Pongs between all fragments",
            &[
                binary("one").more(),
                ping("1"),
                pong("2"),
                rest("two").more(),
                ping([7; 125]),
                rest("three").more(),
                pong(""),
                rest(""),
            ],
        ),
        tunnel(
            "RFC 6455 5.4",
            "a Pong comes back while a message is in pieces",
        )
        .passes(End::Client, &[text("Hel").more(), ping("?")])
        .passes(End::Backend, &[pong("?")])
        .passes(End::Client, &[rest("lo")]),
        tunnel(
            "RFC 6455 5.4",
            "fragments pass one by one, none waits for the last",
        )
        .passes(End::Client, &[text("1").more()])
        .passes(End::Client, &[rest("2").more()])
        .passes(End::Backend, &[binary("3").more()])
        .passes(End::Client, &[rest("4")])
        .passes(End::Backend, &[rest("5")]),
        both_ways(
            extended(
                "RFC 6455 5.4",
                "fragments of a message under an unknown extension",
            ),
            &[text("a").more(), rest("b").more(), rest("c")],
        ),
        tunnel(
            "RFC 6455 5.5.1",
            "a Close between two fragments ends the message",
        )
        .passes(End::Client, &[text("Hel").more(), close(1001, "")])
        .passes(End::Backend, &[close(1001, "")]),
    ]
    .into_iter()
}
