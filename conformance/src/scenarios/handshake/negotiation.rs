//! Subprotocols and extensions: offered by the client, chosen by the backend, understood by neither
//! of the gateway's sides (RFC 6455 sections 4.1 (10) and (11), 4.2.2, 9.1 and 11.3).

use super::{SWITCH, and, but};
use crate::harness::recorder::Then;
use crate::scenario::{Saw, Step};
use crate::scenarios::rows::{Row, row};

const CHOICE: &str = "Sec-WebSocket-Protocol: chat\r\n";

pub(super) fn rows() -> impl Iterator<Item = Row> {
    subprotocols().chain(extensions())
}

/// The client's offer, the backend's choice: lines that take the place of those of the RFC's handshake.
fn agree(clause: &'static str, name: &'static str, offer: &str, choice: &str) -> Row {
    row(clause, name)
        .reply(SWITCH.replace(CHOICE, choice), Then::Echo)
        .send(but("Sec-WebSocket-Protocol: chat, superchat\r\n", offer))
        .saw(Saw::Requests(1))
}

fn granted(clause: &'static str, name: &'static str, offer: &str, choice: &str) -> Row {
    agree(clause, name, offer, choice).answer(&[101])
}

fn refused(clause: &'static str, name: &'static str, offer: &str, choice: &str) -> Row {
    agree(clause, name, offer, choice)
        .answer(&[502])
        .no_field("sec-websocket-accept")
        // The RFC leaves it to the client to find out.
        .ours()
}

fn subprotocols() -> impl Iterator<Item = Row> {
    let offered = "RFC 6455 4.1 (10)";
    let chosen = "RFC 6455 4.1 (6)";
    let field = "sec-websocket-protocol";
    let both = "Sec-WebSocket-Protocol: chat, superchat\r\n";
    [
        granted(
            offered,
            "a list of subprotocols keeps its order",
            "Sec-WebSocket-Protocol: c, a, b\r\n",
            "",
        )
        .saw(Saw::Field(field, "c, a, b")),
        granted(
            offered,
            "every character of a token",
            "Sec-WebSocket-Protocol: v2.chat!#$%&'*+-^_`|~\r\n",
            "Sec-WebSocket-Protocol: v2.chat!#$%&'*+-^_`|~\r\n",
        )
        .field(field, "v2.chat!#$%&'*+-^_`|~"),
        granted(
            chosen,
            "the backend chooses the second subprotocol",
            both,
            "Sec-WebSocket-Protocol: superchat\r\n",
        )
        .field(field, "superchat"),
        granted(
            chosen,
            "the backend chooses from the second line",
            "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b, c\r\n",
            "Sec-WebSocket-Protocol: c\r\n",
        )
        .field(field, "c"),
        granted(
            "RFC 6455 4.2.2 (4)",
            "no subprotocol offered, none chosen",
            "",
            "",
        )
        .no_field(field)
        .saw(Saw::NoField(field)),
        refused(chosen, "a subprotocol though none was offered", "", CHOICE),
        refused(
            chosen,
            "a subprotocol in another case",
            both,
            "Sec-WebSocket-Protocol: Chat\r\n",
        ),
        refused(
            "RFC 6455 4.2.2 (4)",
            "two subprotocols on one line",
            both,
            "Sec-WebSocket-Protocol: chat, superchat\r\n",
        ),
        refused(
            "RFC 6455 11.3.4",
            "two subprotocols on two lines",
            both,
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: superchat\r\n",
        ),
        refused(
            "RFC 6455 4.2.2 (4)",
            "an empty subprotocol",
            both,
            "Sec-WebSocket-Protocol:\r\n",
        ),
    ]
    .into_iter()
}

fn extensions() -> impl Iterator<Item = Row> {
    let field = "sec-websocket-extensions";
    let deflate = "permessage-deflate; client_max_window_bits=\"10\"; server_no_context_takeover";
    let offer = "Sec-WebSocket-Extensions: x-one, permessage-deflate; client_max_window_bits\r\n";
    let chosen = "RFC 6455 4.1 (5)";
    [
        row(
            "RFC 6455 4.1 (11)",
            "extensions on two lines keep their order",
        )
        .reply(SWITCH, Then::Echo)
        .send(and(
            "Sec-WebSocket-Extensions: x-one; a=1\r\nSec-WebSocket-Extensions: x-two",
        ))
        .answer(&[101])
        .no_field(field)
        .saw(Saw::List(field, "x-one; a=1, x-two")),
        granted(
            chosen,
            "the extension's parameters pass as they are written",
            offer,
            &format!("Sec-WebSocket-Extensions: {deflate}\r\n"),
        )
        .field(field, deflate),
        granted(
            chosen,
            "two extensions are chosen",
            offer,
            "Sec-WebSocket-Extensions: permessage-deflate, x-one\r\n",
        )
        .field(field, "permessage-deflate, x-one"),
        granted(
            "RFC 6455 4.2.2 (5.6)",
            "extensions chosen on two lines",
            offer,
            "Sec-WebSocket-Extensions: x-one\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
        )
        .step(Step::Values(field, &["x-one", "permessage-deflate"])),
        granted(chosen, "no extension is chosen", offer, "").no_field(field),
        refused(
            chosen,
            "one extension that was offered and one that was not",
            offer,
            "Sec-WebSocket-Extensions: x-one, x-two\r\n",
        ),
        refused(
            chosen,
            "an extension though none was offered",
            "",
            "Sec-WebSocket-Extensions: x-one\r\n",
        ),
        row("RFC 6455 9.1", "an extension is the backend's to refuse")
            .reply(
                "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno",
                Then::NextRequest,
            )
            .send(and("Sec-WebSocket-Extensions: x-one; a=\"b c\""))
            .answer(&[400])
            .step(Step::Body("no"))
            .saw(Saw::Field(field, "x-one; a=\"b c\"")),
    ]
    .into_iter()
}
