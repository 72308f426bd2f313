//! Section 5: frames.

use super::{Clause, Client, Endpoints, Intermediary, Server, not_ours, shown};

const KEYS: &str = "volume/the gateway's own frames have masking keys that nobody can foretell";
const KEPT: &str = "frames/the client's masking keys are kept";
const RESERVED: &str = "frames/reserved bits without an extension are left to the peer to refuse";
const EXTENDED: &str = "frames/reserved bits pass when an extension was agreed on";
const RANDOM: &str = "volume/fragments and cuts at random, read by an independent server";

pub(super) const CLAUSES: &[Clause] = &[
    // 5.1
    shown("5.1", 1, Client, "masks all frames", &[KEPT, KEYS]),
    shown(
        "5.1",
        1,
        Server,
        "closes at a frame that is not masked",
        &[
            "frames/the wrong mask bit, from the client",
            "frames/the wrong mask bit of a Close, from the client",
        ],
    ),
    shown(
        "5.1",
        1,
        Server,
        "masks no frame",
        &[
            "frames/what the backend sends is not masked on the way",
            "frames/both ends send at once",
        ],
    ),
    shown(
        "5.1",
        1,
        Client,
        "closes at a frame that is masked",
        &[
            "frames/the wrong mask bit, from the backend",
            "frames/the wrong mask bit of a Close, from the backend",
        ],
    ),
    // 5.2
    shown(
        "5.2",
        4,
        Endpoints,
        "reserved bits are 0 unless an extension gives them a meaning; the gateway changes none",
        &[EXTENDED, RESERVED],
    ),
    shown(
        "5.2",
        1,
        Endpoints,
        "fails at a reserved bit that no extension explains: which do, the peers know, so it passes",
        &[RESERVED],
    ),
    shown(
        "5.2",
        1,
        Endpoints,
        "fails at an unknown opcode",
        &["frames/opcode *"],
    ),
    shown(
        "5.2",
        1,
        Endpoints,
        "the highest bit of a length of eight bytes is 0",
        &[
            "frames/a length of 2^63, from *",
            "frames/the longest length there is not, from *",
        ],
    ),
    shown(
        "5.2",
        1,
        Endpoints,
        "a length takes as few bytes as it can",
        &[
            "frames/0 as a length of two bytes*",
            "frames/125 as a length of two bytes*",
            "frames/1 as a length of eight bytes*",
            "frames/65535 as a length of eight bytes*",
            "frames/a text frame of *",
            "frames/a binary frame of *",
            "handshake/a long frame is untouched",
        ],
    ),
    shown(
        "5.2",
        0,
        Endpoints,
        "a frame is one wherever TCP cuts it",
        &["frames/cut at each place*", "frames/byte by byte*", RANDOM],
    ),
    not_ours(
        "5.2",
        1,
        Endpoints,
        "an extension says how long its data is",
        "It binds who defines an extension.",
    ),
    shown(
        "5.2",
        1,
        Endpoints,
        "an extension is negotiated in the handshake",
        &["handshake/extensions are offered to the backend", EXTENDED],
    ),
    // 5.3
    shown(
        "5.3",
        1,
        Client,
        "a masked frame has its mask bit set",
        &["frames/the wrong mask bit, from *", KEYS],
    ),
    shown(
        "5.3",
        3,
        Client,
        "each frame has a fresh key that nobody can foretell: the client's are kept, the gateway's are random",
        &[KEPT, KEYS],
    ),
    // 5.4
    shown(
        "5.4",
        1,
        Endpoints,
        "control frames are not fragmented",
        &["frames/a fragmented Ping*", "frames/a fragmented Close*"],
    ),
    shown(
        "5.4",
        1,
        Intermediary,
        "fragments arrive in their order",
        &[
            "frames/three fragments",
            "frames/fragments of every length form",
            "frames/empty fragments",
            "frames/five hundred fragments of one byte",
            "frames/fragments pass one by one, none waits for the last",
            RANDOM,
        ],
    ),
    shown(
        "5.4",
        1,
        Endpoints,
        "messages are not interleaved",
        &[
            "frames/a message inside another one*",
            "frames/a fragmented message inside another one*",
            "frames/a continuation of nothing*",
            "frames/a continuation behind *",
        ],
    ),
    shown(
        "5.4",
        1,
        Endpoints,
        "handles control frames between fragments",
        &[
            "frames/a Ping between two fragments",
            "frames/Pings and Pongs between all fragments",
            "frames/a Pong comes back while a message is in pieces",
        ],
    ),
    shown(
        "5.4",
        1,
        Endpoints,
        "takes messages in fragments and whole ones",
        &[
            "frames/a fragmented message, a whole one, a fragmented one",
            "volume/a message of 64 MiB in fragments, between independent ends",
            "lifetime/many messages both ways, for an independent client",
            "frames/two thousand tiny frames in one piece",
        ],
    ),
    shown(
        "5.4",
        1,
        Intermediary,
        "does not fragment a control frame",
        &[
            "frames/control frames of 0, 1 and 125 bytes",
            "closing/a Close with a reason of 123 bytes",
        ],
    ),
    shown(
        "5.4",
        1,
        Intermediary,
        "does not change the fragments of a message with reserved bits",
        &["frames/fragments with reserved bits keep their borders"],
    ),
    shown(
        "5.4",
        2,
        Intermediary,
        "does not change fragments under an extension that it does not know, or in a handshake that it did not see",
        &[
            "frames/fragments of a message under an unknown extension",
            "frames/fragments with reserved bits keep their borders",
        ],
    ),
    shown(
        "5.4",
        1,
        Endpoints,
        "all fragments of a message are of one type",
        &["frames/a message inside another one*", "frames/opcode *"],
    ),
    // 5.5
    shown(
        "5.5",
        1,
        Endpoints,
        "control frames have 125 bytes at most",
        &[
            "frames/control frames of 0, 1 and 125 bytes",
            "frames/a Ping of 126 bytes*",
            "frames/a Pong of 126 bytes*",
            "frames/a Close of 126 bytes*",
            "frames/a Ping that says that it is of 2^32 bytes*",
        ],
    ),
    shown(
        "5.5",
        1,
        Endpoints,
        "control frames are not fragmented",
        &["frames/a fragmented Ping*", "frames/a fragmented Close*"],
    ),
    shown(
        "5.5.1",
        1,
        Endpoints,
        "a Close's body begins with a code of two bytes: the gateway's own do, others' pass",
        &[
            "frames/opcode *",
            "closing/a Close with half a code is left to the peer to refuse",
            "closing/a Close byte by byte",
        ],
    ),
    not_ours(
        "5.5.1",
        1,
        Client,
        "does not show the reason to people",
        "A gateway shows nobody a page; it counts codes and logs no reason.",
    ),
    shown(
        "5.5.1",
        1,
        Endpoints,
        "sends no data behind its Close",
        &[
            "closing/a message behind *",
            "closing/a Ping behind *",
            "closing/a second Close behind *",
            "closing/what is no frame behind *",
            "frames/a Close between two fragments ends the message",
        ],
    ),
    shown(
        "5.5.1",
        1,
        Endpoints,
        "answers a Close with a Close: it passes, and so does the answer",
        &[
            "closing/the client says Close first",
            "closing/the backend says Close first",
            "closing/both say Close at once, each with its own code",
            "closing/after the *",
        ],
    ),
    shown(
        "5.5.1",
        2,
        Endpoints,
        "closes TCP when Close was said both ways, the server at once",
        &[
            "closing/the backend ends TCP together with its answer to a Close",
            "closing/the client ends TCP first, behind both Closes",
            "closing/both have said Close and keep TCP open: it is cut",
            "handshake/a closing handshake passes, then the end",
        ],
    ),
    shown(
        "5.5.1",
        0,
        Endpoints,
        "a reason is UTF-8 of 123 bytes at most: it passes as it is",
        &[
            "closing/a Close with a reason of 123 bytes",
            "closing/a reason that is not UTF-8 is left to the peer to refuse",
        ],
    ),
    shown(
        "5.5.2",
        1,
        Endpoints,
        "answers a Ping with a Pong: the peer does, the gateway leaves both alone",
        &["frames/a Ping is answered by the peer, not on the way"],
    ),
    shown(
        "5.5.3",
        0,
        Endpoints,
        "a Pong has its Ping's data; it may come unasked",
        &[
            "frames/a Ping is answered by the peer, not on the way",
            "frames/a Pong that nobody has asked for",
            RANDOM,
        ],
    ),
    // 5.6 to 5.8
    shown(
        "5.6",
        1,
        Endpoints,
        "a text message is UTF-8: payload is never looked at, so it passes",
        &[
            "frames/text that is not UTF-8 is left to the peer to refuse",
            "frames/every byte there is",
        ],
    ),
    shown(
        "5.7",
        0,
        Endpoints,
        "the RFC's examples",
        &[
            "handshake/frames go both ways",
            "frames/the RFC's own fragments",
        ],
    ),
    shown(
        "5.8",
        1,
        Endpoints,
        "extensions are negotiated in the handshake",
        &[
            "handshake/extensions on two lines keep their order",
            "containers/Python: permessage-deflate with clients of Python and Node",
            "containers/Node: permessage-deflate with clients of Python and Node",
            EXTENDED,
        ],
    ),
];
