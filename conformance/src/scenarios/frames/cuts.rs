//! Where TCP cuts the stream is nobody's business: headers and payloads arrive whole, however they
//! came (RFC 6455 section 5.2).

use super::tunnel;
use crate::harness::frames::{End, Frame, binary, ping, pong, rest, text, written_by};
use crate::scenarios::rows::Row;
use crate::tunnel_play::Move;

pub(super) fn rows() -> impl Iterator<Item = Row> {
    let sequences = [
        (
            "short frames",
            vec![text("Hello"), ping("?"), text(""), pong("!")],
        ),
        (
            "a message in fragments",
            vec![text("Hel").more(), ping("?"), rest("lo")],
        ),
        (
            "a length of two bytes",
            vec![binary([b'x'; 126]), text("next")],
        ),
        // The payload is left out: its borders are what counts.
        (
            "reserved bits",
            vec![text("bits").reserved(7), binary("").reserved(1)],
        ),
    ];
    sequences
        .into_iter()
        .flat_map(|(name, frames)| {
            [End::Client, End::Backend].into_iter().flat_map({
                let frames = frames.clone();
                move |end| [everywhere(end, name, &frames), bytes(end, name, &frames)]
            })
        })
        .chain(long_header())
}

fn name(end: End) -> &'static str {
    match end {
        End::Client => "client",
        End::Backend => "backend",
    }
}

fn everywhere(end: End, what: &str, frames: &[Frame]) -> Row {
    let title = format!("cut at each place: {what}, from the {}", name(end));
    tunnel("RFC 6455 5.2", title).play(end, Move::SendsCutEverywhere(written_by(end, frames)))
}

fn bytes(end: End, what: &str, frames: &[Frame]) -> Row {
    let title = format!("byte by byte: {what}, from the {}", name(end));
    tunnel("RFC 6455 5.2", title)
        .play(end, Move::SendsByteByByte(written_by(end, frames)))
        .gets(end.other(), frames)
}

/// The longest header there is, 14 bytes, cut at each place; its payload in one piece.
fn long_header() -> impl Iterator<Item = Row> {
    [End::Client, End::Backend].into_iter().map(|end| {
        let frame = binary(vec![b'x'; 65_536]);
        let bytes = frame.written_by(end);
        let (head, payload) = bytes.split_at(14);
        let title = format!(
            "byte by byte: a length of eight bytes, from the {}",
            name(end)
        );
        tunnel("RFC 6455 5.2", title)
            .play(end, Move::SendsByteByByte(head.to_vec()))
            .play(end, Move::Sends(payload.to_vec()))
            .gets(end.other(), &[frame])
    })
}
