//! The ways in which a backend falls ill, as its probe sees them.

use serde_json::{Value, json};

/// One way to fall ill.
pub(super) struct Illness {
    pub(super) name: &'static str,
    pub(super) clause: &'static str,
    /// What goes wrong at the backend.
    pub(super) fault: &'static str,
    /// Of the probe.
    pub(super) probe: fn() -> Value,
    /// One of these is in the probe log.
    pub(super) reason: &'static [&'static str],
}

const NOTHING: fn() -> Value = || json!({});
const WANTS_BODY: fn() -> Value = || json!({ "match": { "body": "is healthy" } });

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        name: "connections are refused",
        clause: "reference 5",
        fault: "?refuse=true",
        probe: NOTHING,
        reason: &["refused"],
    },
    Illness {
        name: "the probe hangs",
        clause: "reference 5",
        fault: "/health?mode=hang",
        probe: NOTHING,
        reason: &["no answer within", "timeout", "timed out"],
    },
    Illness {
        name: "the probe gets 500",
        clause: "reference 5",
        fault: "/health?status=500",
        probe: NOTHING,
        reason: &["500"],
    },
    Illness {
        name: "the probe gets 404",
        clause: "reference 5",
        fault: "/health?status=404",
        probe: NOTHING,
        reason: &["404"],
    },
    Illness {
        name: "a status outside a narrow match",
        clause: "reference 5 (match)",
        fault: "/health?status=302",
        probe: || json!({ "match": { "statusCodes": ["200-204", "418"] } }),
        reason: &["302"],
    },
    Illness {
        name: "the body lacks the text",
        clause: "reference 5 (match)",
        fault: "/health?body=ill",
        probe: WANTS_BODY,
        reason: &["body"],
    },
    Illness {
        name: "the probe is slower than its timeout",
        clause: "reference 5",
        fault: "/health?delayMs=1500",
        probe: NOTHING,
        reason: &["no answer within", "timeout", "timed out"],
    },
    Illness {
        name: "the probe is reset",
        clause: "reference 5",
        fault: "/health?mode=reset",
        probe: NOTHING,
        reason: &["reset", "closed"],
    },
    Illness {
        name: "the probe is closed without an answer",
        clause: "reference 5",
        fault: "/health?mode=empty",
        probe: NOTHING,
        reason: &["closed"],
    },
    Illness {
        name: "the probe gets garbage",
        clause: "reference 5",
        fault: "/health?mode=garbage",
        probe: NOTHING,
        reason: &["not valid HTTP", "HTTP"],
    },
    Illness {
        name: "the probe's body is truncated",
        clause: "reference 5 (match)",
        fault: "/health?mode=truncated",
        probe: WANTS_BODY,
        reason: &["closed", "body"],
    },
];
