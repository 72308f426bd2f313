//! What single frames look like: lengths, masks, reserved bits, payloads, many at once
//! (RFC 6455 sections 5.1 to 5.3, 5.5 to 5.8).

use super::{both_ways, extended, tunnel};
use crate::harness::frames::{End, Frame, binary, frame, ping, pong, text};
use crate::scenarios::rows::Row;

/// Both sides of every border of the length field.
const LENGTHS: [usize; 8] = [0, 1, 124, 125, 126, 127, 65_535, 65_536];

pub(super) fn rows() -> impl Iterator<Item = Row> {
    lengths().chain(masks()).chain(bits()).chain(payloads())
}

fn lengths() -> impl Iterator<Item = Row> {
    LENGTHS.into_iter().flat_map(|length| {
        let payload = vec![b'x'; length];
        let row = |kind| tunnel("RFC 6455 5.2", format!("a {kind} frame of {length} bytes"));
        [
            both_ways(row("text"), &[text(&payload)]),
            both_ways(row("binary"), &[binary(&payload)]),
        ]
    })
}

fn masks() -> impl Iterator<Item = Row> {
    let hello = |key| text("Hello, world").key(key);
    [
        tunnel("RFC 6455 5.3", "the client's masking keys are kept").passes(
            End::Client,
            &[
                hello([0, 0, 0, 0]),
                hello([0xff, 0xff, 0xff, 0xff]),
                hello([0x81, 0x05, 0x88, 0x80]),
                ping("?").key([1, 2, 3, 4]),
                frame(0x8, [3, 232]).key([9, 8, 7, 6]),
            ],
        ),
        tunnel(
            "RFC 6455 5.1",
            "what the backend sends is not masked on the way",
        )
        .passes(End::Backend, &[text("Hello"), binary([0; 200]), ping("?")]),
        tunnel(
            "RFC 6455 10.3",
            "a masked payload that looks like a request",
        )
        .passes(
            End::Client,
            &[text("GET /other HTTP/1.1\r\nHost: gateway.test\r\n\r\n").key([0; 4])],
        )
        .passes(
            End::Backend,
            &[text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")],
        )
        .passes(End::Client, &[text("still a tunnel")]),
    ]
    .into_iter()
}

fn bits() -> impl Iterator<Item = Row> {
    let every: Vec<Frame> = (1..=7)
        .map(|bits| text(format!("RSV {bits:03b}")).reserved(bits))
        .collect();
    [
        both_ways(
            extended(
                "RFC 6455 5.2",
                "reserved bits pass when an extension was agreed on",
            ),
            &every,
        ),
        both_ways(
            extended(
                "RFC 6455 5.4",
                "fragments with reserved bits keep their borders",
            ),
            &[
                binary("one").reserved(4).more(),
                frame(0, "two").reserved(2).more(),
                ping("?").reserved(1),
                frame(0, "three"),
            ],
        ),
        both_ways(
            tunnel(
                "RFC 6455 5.2",
                "reserved bits without an extension are left to the peer to refuse",
            ),
            &every,
        ),
    ]
    .into_iter()
}

fn payloads() -> impl Iterator<Item = Row> {
    let tiny: Vec<Frame> = (0..2000_u32)
        .map(|number| match number % 4 {
            0 => text(""),
            1 => binary([number as u8]),
            2 => ping([number as u8; 3]),
            _ => text(format!("{number}")),
        })
        .collect();
    [
        both_ways(
            tunnel("RFC 6455 5.4", "two thousand tiny frames in one piece"),
            &tiny,
        ),
        both_ways(
            tunnel(
                "RFC 6455 5.6",
                "text that is not UTF-8 is left to the peer to refuse",
            ),
            &[text([0xff, 0xfe, 0xc0])],
        ),
        both_ways(
            tunnel("RFC 6455 5.6", "every byte there is"),
            &[binary((0..=255).collect::<Vec<u8>>())],
        ),
        tunnel(
            "RFC 6455 5.5.2",
            "a Ping is answered by the peer, not on the way",
        )
        .passes(End::Client, &[ping("are you there?")])
        // Were the gateway to answer, its Pong would come before this.
        .passes(End::Backend, &[text("busy")])
        .passes(End::Backend, &[pong("are you there?")])
        .passes(End::Backend, &[ping("and you?")])
        .passes(End::Client, &[text("busy")])
        .passes(End::Client, &[pong("and you?")]),
        both_ways(
            tunnel("RFC 6455 5.5.3", "a Pong that nobody has asked for"),
            &[pong(""), pong("tick"), pong([0; 125])],
        ),
        both_ways(
            tunnel("RFC 6455 5.5", "control frames of 0, 1 and 125 bytes"),
            &[
                ping(""),
                ping("x"),
                ping([7; 125]),
                pong("x"),
                pong([7; 125]),
            ],
        ),
        tunnel("RFC 6455 5.1", "both ends send at once")
            .sends(End::Client, &[text("from the client"), binary([1; 3000])])
            .sends(End::Backend, &[text("from the backend"), binary([2; 3000])])
            .gets(End::Backend, &[text("from the client"), binary([1; 3000])])
            .gets(End::Client, &[text("from the backend"), binary([2; 3000])]),
    ]
    .into_iter()
}
