//! Section 10: security.

use super::{Clause, Client, Endpoints, shown};

pub(super) const CLAUSES: &[Clause] = &[
    shown(
        "10.3",
        1,
        Client,
        "each frame has a new masking key that applications cannot foretell",
        &[
            "volume/the gateway's own frames have masking keys that nobody can foretell",
            "frames/the client's masking keys are kept",
        ],
    ),
    shown(
        "10.3",
        0,
        Client,
        "what a payload looks like deceives nobody on the way",
        &[
            "frames/a masked payload that looks like a request",
            "handshake/a request smuggled behind a handshake stays inside the tunnel",
        ],
    ),
    shown(
        "10.4",
        1,
        Endpoints,
        "protects itself against frames and messages beyond its limits: it holds none whole",
        &[
            "volume/a frame of 64 MiB each way, in bounded memory",
            "volume/backends that do not read stop their clients",
            "volume/clients that do not read stop their backends",
            "bounds/a stalled tunnel holds little",
        ],
    ),
    shown(
        "10.6",
        1,
        Endpoints,
        "supports TLS",
        &[
            "handshake/tls: the RFC's own handshake",
            "handshake/the handshake with a TLS backend runs inside TLS",
            "closing/tls: TLS of the client breaks off: the backend sees a reset",
        ],
    ),
    shown(
        "10.7",
        1,
        Endpoints,
        "validates what comes in",
        &[
            "handshake/a key of 15 bytes",
            "handshake/101 with the accept of another key",
            "frames/opcode *",
            "frames/a length of 2^63, from *",
        ],
    ),
];
