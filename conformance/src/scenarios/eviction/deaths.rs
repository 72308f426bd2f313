//! The ways in which a backend dies, and what each may cost its clients.

use serde_json::{Value, json};

use super::pair::Leg;

/// What clients do when a backend dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Requests,
    Handshakes,
    Tunnels,
}

impl Work {
    pub(super) const ALL: &[Self] = &[Self::Requests, Self::Handshakes, Self::Tunnels];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Handshakes => "handshakes",
            Self::Tunnels => "open tunnels",
        }
    }
}

/// What is done to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blow {
    /// SIGKILL: the system closes its sockets, and refuses connections from then on; a container leaves
    /// the network a moment later.
    Kill,
    /// SIGSTOP: the system accepts connections and bytes, and nobody reads them.
    Pause,
    /// Its host leaves the network: no FIN, no reset, no answer.
    Partition,
    /// An order to the backend itself.
    Fault(&'static str),
    /// New TLS connections are shown another certificate; those that are open go on.
    Certificate(Wrong),
    /// Both backends have one name, and it loses the address of this one, which lives on.
    Unname,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    Expired,
    OtherName,
}

/// How many operations may fail, and with what.
#[derive(Debug, Clone, Copy)]
pub(super) enum Budget {
    /// None.
    Nothing,
    /// Those that were under way at the moment of death.
    UnderWay(&'static [&'static str]),
    /// The backend's share of those that began before it was out.
    UntilOut(&'static [&'static str]),
}

/// What becomes of the backend's open tunnels. Those of the other backend never notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They go on as if nothing had happened, since the default is to keep them.
    GoOn,
    /// They are silent, and go on where they stopped when the backend comes back.
    Wait,
    /// They end with it, at once.
    End,
    /// They are closed with 1001, within the time for draining.
    Drain,
}

/// One way to die.
pub(super) struct Death {
    pub(super) name: &'static str,
    pub(super) clause: &'static str,
    pub(super) blow: Blow,
    pub(super) over: &'static [Leg],
    pub(super) work: &'static [Work],
    /// Of the probe, beyond what is quick about it.
    pub(super) probe: fn() -> Value,
    /// One of these is in the probe log.
    pub(super) reason: &'static [&'static str],
    pub(super) requests: Budget,
    pub(super) handshakes: Budget,
    pub(super) tunnels: Fate,
}

const BOTH: &[Leg] = &[Leg::Plain, Leg::Tls];
const NOTHING: fn() -> Value = || json!({});
const WANTS_BODY: fn() -> Value = || json!({ "match": { "body": "is healthy" } });
const SILENCE: &[&str] = &["no answer within"];

/// Those of the issue: each over each leg, under each work.
pub(super) const DEATHS: &[Death] = &[
    Death {
        name: "process killed",
        // Its connections end. New ones are refused, or meet nobody where the container goes with its
        // process; either way what was not sent yet goes to the other backend.
        requests: Budget::UnderWay(&["502"]),
        handshakes: Budget::UnderWay(&["502"]),
        tunnels: Fate::End,
        ..death(
            Blow::Kill,
            &[
                "refused the connection",
                "cannot connect",
                "no answer within",
            ],
        )
    },
    Death {
        name: "connections refused",
        // The listening socket is closed, and idle connections with it; what is in use goes on. A
        // connection is idle, too, while its first request is on the way.
        requests: Budget::UnderWay(&["502"]),
        handshakes: Budget::UnderWay(&["502"]),
        ..death(Blow::Fault("?refuse=true"), &["refused the connection"])
    },
    Death {
        name: "host gone without a FIN",
        // What is sent on a connection from before is lost; a connection that does not come about
        // goes to the other backend when its time is over.
        requests: Budget::UntilOut(&["504"]),
        handshakes: Budget::UntilOut(&["504"]),
        tunnels: Fate::Wait,
        ..death(Blow::Partition, &["no answer within", "cannot connect"])
    },
    Death {
        name: "paused",
        // The system accepts what nobody will answer: it may have been acted on, so it is not
        // sent again.
        requests: Budget::UntilOut(&["504"]),
        handshakes: Budget::UntilOut(&["504"]),
        tunnels: Fate::Wait,
        ..death(Blow::Pause, SILENCE)
    },
    Death {
        name: "500s",
        // An answer is an answer: it is passed on.
        requests: Budget::UntilOut(&["500"]),
        handshakes: Budget::UntilOut(&["500"]),
        ..death(
            Blow::Fault("?status=500"),
            &["status 500, expected 200-399"],
        )
    },
    Death {
        name: "slow answers",
        // Slower than the probe's timeout, quicker than requestTimeout.
        ..death(Blow::Fault("?delayMs=2700"), SILENCE)
    },
    Death {
        name: "wrong body",
        probe: WANTS_BODY,
        ..death(
            Blow::Fault("/health?body=under-maintenance"),
            &["the body does not contain"],
        )
    },
    Death {
        name: "listening, not accepting",
        over: &[Leg::Plain],
        // As paused, but for connections from before, which are served.
        requests: Budget::UntilOut(&["504"]),
        handshakes: Budget::UntilOut(&["504"]),
        ..death(Blow::Fault("?deaf=true"), SILENCE)
    },
    Death {
        name: "listening, not accepting",
        over: &[Leg::Tls],
        // The handshake for TLS gets no answer, so that nothing was sent and all goes elsewhere.
        ..death(
            Blow::Fault("?deaf=true"),
            &["no answer within 2 s (while shaking hands for TLS)"],
        )
    },
    Death {
        name: "certificate expired",
        over: &[Leg::Tls],
        ..death(
            Blow::Certificate(Wrong::Expired),
            &["TLS: the certificate expired on"],
        )
    },
    Death {
        name: "certificate for another name",
        over: &[Leg::Tls],
        ..death(
            Blow::Certificate(Wrong::OtherName),
            &["TLS: the certificate"],
        )
    },
    Death {
        name: "DNS answer changes",
        clause: "reference 3",
        tunnels: Fate::Drain,
        ..death(Blow::Unname, &[])
    },
    ill("the probe hangs", "/health?mode=hang", SILENCE),
    ill("the probe gets 404", "/health?status=404", &["404"]),
    Death {
        name: "the probe gets a status outside a narrow match",
        probe: || json!({ "match": { "statusCodes": ["200-204", "418"] } }),
        ..ill("", "/health?status=302", &["302"])
    },
    ill(
        "the probe is reset",
        "/health?mode=reset",
        &["reset", "closed"],
    ),
    ill(
        "the probe is closed without an answer",
        "/health?mode=empty",
        &["closed"],
    ),
    ill(
        "the probe gets garbage",
        "/health?mode=garbage",
        &["not valid HTTP"],
    ),
    Death {
        name: "the probe's body is truncated",
        probe: WANTS_BODY,
        ..ill("", "/health?mode=truncated", &["closed", "body"])
    },
];

/// A death that costs nothing.
const fn death(blow: Blow, reason: &'static [&'static str]) -> Death {
    Death {
        name: "",
        clause: "reference 5",
        blow,
        over: BOTH,
        work: Work::ALL,
        probe: NOTHING,
        reason,
        requests: Budget::Nothing,
        handshakes: Budget::Nothing,
        tunnels: Fate::GoOn,
    }
}

/// Only the probe sees it, so that neither TLS nor the work makes a difference.
const fn ill(name: &'static str, fault: &'static str, reason: &'static [&'static str]) -> Death {
    Death {
        name,
        over: &[Leg::Plain],
        work: &[Work::Requests],
        ..death(Blow::Fault(fault), reason)
    }
}
