//! Sections 4.2 to 4.4: how a server reads a handshake, and how it answers.

use super::{Clause, Endpoints, Server, shown};

const OWN: &str = "handshake/the RFC's own handshake";

pub(super) const CLAUSES: &[Clause] = &[
    // 4.2.1, reading.
    shown(
        "4.2.1",
        1,
        Server,
        "a handshake that is not as below is answered with an error, such as 400",
        &[
            "handshake/a body with a length",
            "handshake/a chunked body",
            "handshake/the order of the fields does not matter",
        ],
    ),
    shown(
        "4.2.1 (1)",
        0,
        Server,
        "a GET of HTTP/1.1 or higher; anything else is no attempt, and plain HTTP",
        &[
            "handshake/a POST is no attempt",
            "handshake/HTTP/1.0 is no attempt",
            "handshake/an absolute target",
            "handshake/the query goes along",
        ],
    ),
    shown(
        "4.2.1 (2)",
        0,
        Server,
        "Host",
        &["handshake/no Host", "handshake/two Hosts"],
    ),
    shown(
        "4.2.1 (3)",
        0,
        Server,
        "Upgrade: websocket, in any case; without it, plain HTTP",
        &[
            "handshake/no Upgrade",
            "handshake/another upgrade token",
            "handshake/Upgrade compares without case",
            "handshake/websocket among other tokens",
        ],
    ),
    shown(
        "4.2.1 (4)",
        0,
        Server,
        "Connection: Upgrade, in any case; without it, plain HTTP",
        &[
            "handshake/no Connection",
            "handshake/Connection without upgrade",
            "handshake/upgrade inside another token",
            "handshake/upgrade among other options",
            "handshake/upgrade on the second Connection line",
        ],
    ),
    shown(
        "4.2.1 (5)",
        0,
        Server,
        "a key that decodes to 16 bytes",
        &[
            "handshake/no key",
            "handshake/an empty key",
            "handshake/a key of 15 bytes",
            "handshake/a key of 17 bytes",
            "handshake/a key that is not base64",
            "handshake/a key without padding",
            "handshake/two keys",
        ],
    ),
    shown(
        "4.2.1 (6)",
        0,
        Server,
        "version 13",
        &[
            "handshake/no version",
            "handshake/no number",
            "handshake/two versions on two lines",
        ],
    ),
    shown(
        "4.2.1 (7)",
        0,
        Server,
        "Origin is optional",
        &["handshake/no Origin: no browser"],
    ),
    shown(
        "4.2.1 (8)",
        0,
        Server,
        "subprotocols are optional",
        &["handshake/no subprotocol offered, none chosen"],
    ),
    shown(
        "4.2.1 (9)",
        0,
        Server,
        "extensions are optional",
        &[
            "handshake/no extension is chosen",
            "handshake/an extension is the backend's to refuse",
        ],
    ),
    shown(
        "4.2.1 (10)",
        0,
        Server,
        "other fields are optional; unknown ones do no harm",
        &[
            "handshake/cookies and authorization pass",
            "handshake/fields that nobody knows pass",
        ],
    ),
    // 4.2.2, answering.
    shown(
        "4.2.2",
        1,
        Server,
        "accepts a connection by the steps below",
        &[OWN],
    ),
    shown(
        "4.2.2 (1)",
        1,
        Server,
        "on an HTTPS port, TLS comes first and all else runs inside it",
        &["handshake/tls: the RFC's own handshake"],
    ),
    shown(
        "4.2.2 (4)",
        1,
        Server,
        "an Origin that is not wanted gets an HTTP error",
        &["handshake/a 403 for the Origin is relayed"],
    ),
    shown(
        "4.2.2 (4)",
        1,
        Server,
        "another version gets an HTTP error and Sec-WebSocket-Version",
        &[
            "handshake/an older version",
            "handshake/a later version",
            "handshake/a version with a leading zero",
            "handshake/a list of versions",
            "handshake/a 426 of the backend is relayed with its versions",
        ],
    ),
    shown(
        "4.2.2 (4)",
        1,
        Server,
        "a resource that is not there gets an HTTP error",
        &[
            "handshake/a 404 for the resource is relayed",
            "handshake/a 500 is relayed",
        ],
    ),
    shown(
        "4.2.2 (4)",
        2,
        Server,
        "one subprotocol of those offered, or none at all",
        &[
            "handshake/101 with a subprotocol that was not offered",
            "handshake/two subprotocols on one line",
            "handshake/an empty subprotocol",
            "handshake/no subprotocol offered, none chosen",
        ],
    ),
    shown(
        "4.2.2 (4)",
        2,
        Server,
        "extensions of those offered, and no others",
        &[
            "handshake/101 with an extension that was not offered",
            "handshake/one extension that was offered and one that was not",
            "handshake/two extensions are chosen",
        ],
    ),
    shown(
        "4.2.2 (5)",
        1,
        Server,
        "a 101 with Upgrade, Connection and Sec-WebSocket-Accept",
        &[
            OWN,
            "handshake/the backend ends inside its 101",
            "handshake/other fields of a 101 pass, hop-by-hop ones do not",
        ],
    ),
    shown(
        "4.2.2 (5.5)",
        0,
        Server,
        "the subprotocol is optional",
        &["handshake/101 without a subprotocol"],
    ),
    shown(
        "4.2.2 (5.6)",
        0,
        Server,
        "extensions stand on one line or on several",
        &["handshake/extensions chosen on two lines"],
    ),
    shown(
        "4.3",
        1,
        Endpoints,
        "a quoted parameter of an extension is a token: it passes as it is written",
        &[
            "handshake/the extension's parameters pass as they are written",
            "handshake/an extension is the backend's to refuse",
        ],
    ),
    shown(
        "4.4",
        1,
        Server,
        "a version that is not served is answered with all that are",
        &[
            "handshake/an older version",
            "handshake/a later version",
            "handshake/no number",
            "handshake/no version",
            "handshake/a version with a leading zero",
            "handshake/a list of versions",
            "handshake/a 426 of the backend is relayed with its versions",
        ],
    ),
];
