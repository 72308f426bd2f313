//! The change from HTTP to frames.

use std::time::Duration;

use super::{ACCEPT, RFC, SWITCH, good};
use crate::harness::frames::{CLOSE, TEXT, masked, unmasked};
use crate::harness::recorder::Then;
use crate::scenario::{Saw, Step};
use crate::scenarios::rows::{Row, row};

/// Bytes before, with and after the heads.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    let hello = masked(TEXT, b"Hello");
    let with_head = [RFC.as_bytes(), &hello].concat();
    let long = masked(TEXT, &[b'x'; 40_000]);
    let close = masked(CLOSE, &1000_u16.to_be_bytes());
    let early = RFC.len() / 2;
    [
        good("RFC 6455 5.7", "frames go both ways", RFC)
            .send(&hello)
            .receive(unmasked(TEXT, b"Hello"))
            .saw(Saw::After(hello.clone())),
        good("RFC 6455 5.2", "a long frame is untouched", RFC)
            .send(&long)
            .receive(unmasked(TEXT, &[b'x'; 40_000]))
            .saw(Saw::After(long)),
        row("RFC 6455 4.1", "nothing after the head reaches the backend before its 101")
            .reply(SWITCH, Then::Echo)
            .quiet_first()
            .send(&with_head)
            .answer(&[101])
            .receive(unmasked(TEXT, b"Hello"))
            .saw(Saw::NothingEarly)
            .saw(Saw::After(hello.clone())),
        row("RFC 6455 4.1", "frames sent after the head but before the 101 wait for it")
            .reply(SWITCH, Then::Echo)
            .quiet_first()
            .send(RFC)
            .send(&hello)
            .answer(&[101])
            .receive(unmasked(TEXT, b"Hello"))
            .saw(Saw::NothingEarly)
            .saw(Saw::After(hello.clone())),
        row("RFC 6455 4.1", "frames that come in the 101's segment are not lost")
            .reply(SWITCH, Then::Echo)
            .tail(unmasked(TEXT, b"welcome"))
            .send(RFC)
            .answer(&[101])
            .receive(unmasked(TEXT, b"welcome"))
            .send(&hello)
            .receive(unmasked(TEXT, b"Hello")),
        row("RFC 6455 4.1", "a head in two pieces")
            .reply(SWITCH, Then::Echo)
            .send(&RFC.as_bytes()[..early])
            .step(Step::Trickle {
                bytes: RFC.as_bytes()[early..early + 3].to_vec(),
                every: Duration::from_millis(10),
            })
            .send(&RFC.as_bytes()[early + 3..])
            .answer(&[101])
            .field("sec-websocket-accept", ACCEPT),
        good("RFC 6455 7.1", "a closing handshake passes, then the end", RFC)
            .send(&close)
            .receive(unmasked(CLOSE, &1000_u16.to_be_bytes()))
            .step(Step::Finish)
            .ends(),
        row("RFC 9112 9.6", "a refused upgrade and a second answer after it")
            .reply(
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled",
                Then::NextRequest,
            )
            .send(RFC)
            .answer(&[403])
            .step(Step::Body("no"))
            .send("GET /sentinel HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
            .step(Step::AnswerOrEnd(&[200]))
            .saw(Saw::Requests(1)),
        row("RFC 9112 9.3", "a refused upgrade, and a request pipelined after it")
            .reply("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", Then::NextRequest)
            .send([RFC, "GET /second HTTP/1.1\r\nHost: gateway.test\r\n\r\n"].concat())
            .answer(&[403])
            .step(Step::AnswerOrEnd(&[403]))
            .saw(Saw::AtMost(2)),
        row("RFC 9112 9.3", "a request smuggled behind a handshake stays inside the tunnel")
            .reply(SWITCH, Then::Echo)
            .send([RFC, "GET /smuggled HTTP/1.1\r\nHost: gateway.test\r\n\r\n"].concat())
            .answer(&[101])
            .saw(Saw::Requests(1)),
    ]
    .into_iter()
}
