//! What backends answer: RFC 6455 sections 4.1 (the last list) and 4.2.2.

use super::{ACCEPT, RFC, SWITCH};
use crate::harness::recorder::Then;
use crate::scenario::{Saw, Step};
use crate::scenarios::rows::{Row, row};

/// Wrong and right answers to a good attempt.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    let wrong = |clause, name, from: &str, to: &str| {
        assert!(SWITCH.contains(from), "the answer has no {from:?}");
        row(clause, name)
            .reply(SWITCH.replace(from, to), Then::Echo)
            .send(RFC)
            .answer(&[502])
            .no_field("sec-websocket-accept")
            .saw(Saw::Requests(1))
            // The RFC leaves it to the client to find out.
            .ours()
    };
    let good = |clause, name, from: &str, to: &str| {
        assert!(SWITCH.contains(from), "the answer has no {from:?}");
        row(clause, name)
            .reply(SWITCH.replace(from, to), Then::Echo)
            .send(RFC)
            .answer(&[101])
            .field("sec-websocket-accept", ACCEPT)
    };
    let relayed = |clause, name, status_line: &str, statuses| {
        let answer = format!("HTTP/1.1 {status_line}\r\nContent-Length: 2\r\n\r\nno");
        row(clause, name)
            .reply(answer, Then::NextRequest)
            .send(RFC)
            .answer(statuses)
            .no_field("sec-websocket-accept")
            .step(Step::Body("no"))
    };
    let protocol = "Sec-WebSocket-Protocol: chat\r\n";
    let accept = "Sec-WebSocket-Accept: {accept}\r\n";
    [
        wrong("RFC 6455 4.1 (2)", "101 without Upgrade", "Upgrade: websocket\r\n", ""),
        wrong("RFC 6455 4.1 (2)", "101 to something else", "websocket\r\nConnection", "h2c\r\nConnection"),
        wrong("RFC 6455 4.1 (2)", "101 to websocket and something else", "websocket\r\nConnection", "websocket, h2c\r\nConnection"),
        good("RFC 6455 4.1 (2)", "Upgrade of the 101 compares without case", "Upgrade: websocket", "uPGRADE: WebSocket"),
        wrong("RFC 6455 4.1 (3)", "101 without Connection", "Connection: Upgrade\r\n", ""),
        wrong("RFC 6455 4.1 (3)", "101 with another Connection", "Connection: Upgrade", "Connection: keep-alive"),
        wrong("RFC 6455 4.1 (3)", "101 with upgrade inside another token", "Connection: Upgrade", "Connection: not-upgrade"),
        good("RFC 6455 4.1 (3)", "Connection of the 101 compares without case", "Connection: Upgrade", "cOnnection: keep-alive, UPGRADE"),
        wrong("RFC 6455 4.1 (4)", "101 without accept", accept, ""),
        wrong(
            "RFC 6455 4.1 (4)",
            "101 with the accept of another key",
            "{accept}",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ),
        wrong(
            "RFC 6455 4.1 (4)",
            "101 with the accept in another case",
            "{accept}",
            "S3PPLMBITXAQ9KYGZZHZRBK+XOO=",
        ),
        good("RFC 6455 4.1 (4)", "101 with white space around the accept", "{accept}", " \t{accept} \t"),
        wrong("RFC 6455 4.1 (4)", "101 with two accepts", accept, &[accept, accept].concat()),
        wrong(
            "RFC 6455 4.1 (5)",
            "101 with an extension that was not offered",
            protocol,
            "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        ),
        wrong(
            "RFC 6455 4.1 (6)",
            "101 with a subprotocol that was not offered",
            "Protocol: chat\r\n",
            "Protocol: other\r\n",
        ),
        row("RFC 6455 4.2.2 (5.5)", "101 without a subprotocol")
            .reply(SWITCH.replace(protocol, ""), Then::Echo)
            .send(RFC)
            .answer(&[101])
            .no_field("sec-websocket-protocol"),
        row("RFC 6455 4.2.2", "other fields of a 101 pass, hop-by-hop ones do not")
            .reply(
                SWITCH.replace(
                    "Connection: Upgrade",
                    "Connection: Upgrade, X-Hop\r\nX-Hop: secret\r\nSet-Cookie: a=b",
                ),
                Then::Echo,
            )
            .send(RFC)
            .answer(&[101])
            .field("set-cookie", "a=b")
            .no_field("x-hop"),
        row("RFC 6455 4.1 (1)", "a 401 is relayed as it is")
            .reply(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno",
                Then::NextRequest,
            )
            .send(RFC)
            .answer(&[401])
            .field("www-authenticate", "Basic realm=\"x\"")
            .step(Step::Body("no")),
        relayed("RFC 6455 4.1 (1)", "a 200 is no tunnel", "200 OK", &[200]),
        relayed("RFC 6455 4.2.2 (4)", "a 403 for the Origin is relayed", "403 Forbidden", &[403]),
        relayed("RFC 6455 4.2.2 (4)", "a 404 for the resource is relayed", "404 Not Found", &[404]),
        relayed("RFC 6455 4.2.2 (4)", "a 500 is relayed", "500 Internal Server Error", &[500]),
        row("RFC 6455 4.1", "an interim answer before the 101")
            .reply(format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{SWITCH}"), Then::Echo)
            .send(RFC)
            .answer(&[103])
            .answer(&[101])
            .field("sec-websocket-accept", ACCEPT),
        row("RFC 6455 4.2.2 (5)", "the backend ends inside its 101")
            .reply(&SWITCH[..SWITCH.len() / 2], Then::Close)
            .send(RFC)
            .answer(&[502])
            .no_field("sec-websocket-accept"),
        row("RFC 6455 4.1 (1)", "a redirect is relayed as it is")
            .reply(
                "HTTP/1.1 302 Found\r\nLocation: wss://other.test/\r\nContent-Length: 0\r\n\r\n",
                Then::NextRequest,
            )
            .send(RFC)
            .answer(&[302])
            .field("location", "wss://other.test/"),
        row("RFC 6455 4.2.2 (4)", "a 426 of the backend is relayed with its versions")
            .reply(
                "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 7, 8\r\nContent-Length: 0\r\n\r\n",
                Then::NextRequest,
            )
            .send(RFC)
            .answer(&[426])
            .field("sec-websocket-version", "7, 8"),
        row("RFC 9112 9.6", "the backend closes instead of answering")
            .reply("", Then::Close)
            .send(RFC)
            .answer(&[502])
            .saw(Saw::AtMost(2)),
        row("RFC 9112 9.6", "the backend resets instead of answering")
            .reply("", Then::Reset)
            .send(RFC)
            .answer(&[502])
            .saw(Saw::AtMost(2)),
    ]
    .into_iter()
}
