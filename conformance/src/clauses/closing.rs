//! Section 7: closing the connection.

use super::{Clause, Client, Endpoints, Server, shown};

pub(super) const CLAUSES: &[Clause] = &[
    shown(
        "7.1.1",
        0,
        Endpoints,
        "TCP is ended in order, by the server first, in one direction after the other",
        &[
            "closing/half closed by *",
            "closing/the client ends TCP first, behind both Closes",
            "closing/the client resets behind its Close*",
            "closing/a reset of the client behind its Close*",
            "closing/a reset of the backend behind its Close*",
            "closing/the client says Close and FIN at once",
            "closing/the backend says Close and FIN at once",
            "closing/both have said Close and keep TCP open: it is cut",
            "handshake/a closing handshake passes, then the end",
        ],
    ),
    shown(
        "7.1.2",
        1,
        Endpoints,
        "begins the closing handshake with a Close of its code and reason",
        &[
            "closing/the client says Close first",
            "closing/the backend says Close first",
            "closing/both say Close at once, each with its own code",
        ],
    ),
    shown(
        "7.1.5",
        0,
        Endpoints,
        "the code is that of the first Close that comes; 1005 without one, 1006 without a Close: none is made up",
        &[
            "closing/a Close without a code",
            "closing/a FIN of the *",
            "volume/independent ends agree on code and reason, whoever closes",
        ],
    ),
    shown(
        "7.1.6",
        0,
        Endpoints,
        "the reason is that of the same Close",
        &[
            "closing/a reason beyond ASCII",
            "volume/independent ends agree on code and reason, whoever closes",
        ],
    ),
    shown(
        "7.1.7",
        2,
        Endpoints,
        "to fail a connection is to close it, which follows a Close with a code",
        &[
            "frames/opcode *",
            "frames/a Close 1002 waits for the end of the frame on its way *",
            "closing/a peer that does not answer Close 1002 is cut",
            "frames/the other end does not answer the Close 1002 *",
        ],
    ),
    shown(
        "7.1.7",
        1,
        Endpoints,
        "processes nothing of the peer after that",
        &["frames/opcode *", "frames/an offence in the tenth byte*"],
    ),
    shown(
        "7.2.1",
        1,
        Client,
        "fails the connection where the rules above say so",
        &[
            "handshake/101 without accept",
            "frames/the wrong mask bit, from the backend",
        ],
    ),
    shown(
        "7.2.1",
        1,
        Client,
        "fails when the connection is lost: the loss passes as what it was, behind all bytes",
        &[
            "closing/a reset of the client *",
            "closing/a reset of the backend *",
            "closing/a FIN of the *",
        ],
    ),
    shown(
        "7.2.2",
        1,
        Server,
        "aborts by closing the connection",
        &[
            "frames/the wrong mask bit, from the client",
            "handshake/the backend closes instead of answering",
        ],
    ),
    shown(
        "7.4.1",
        3,
        Endpoints,
        "1005, 1006 and 1015 are in no Close: the gateway's own are 1001, 1002 and 1012, others' pass",
        &[
            "closing/Close 1005, which is reserved*",
            "closing/Close 1006, which is reserved*",
            "closing/Close 1015, which is reserved*",
            "frames/opcode *",
        ],
    ),
    shown(
        "7.4.1 (1001)",
        0,
        Endpoints,
        "1001 when an end goes away: a target or a listener that is removed, a process that stops",
        &[
            "reconfiguration/a removed target is drained with a Close",
            "reconfiguration/SIGTERM drains, and ends with status 0",
            "containers/a backend that is stopped closes its WebSockets, and comes back",
            "containers/Python: when it is stopped, its clients get 1001",
            "containers/Node: when it is stopped, its clients get 1001",
        ],
    ),
    shown(
        "7.4.1",
        0,
        Endpoints,
        "all other codes pass both ways",
        &[
            "closing/Close 1*",
            "lifetime/the backend's Close passes with its code",
        ],
    ),
    shown(
        "7.4.2",
        0,
        Endpoints,
        "so do those of libraries and applications, and those that nobody has defined",
        &["closing/Close 3*", "closing/Close 4*", "closing/Close *"],
    ),
];
