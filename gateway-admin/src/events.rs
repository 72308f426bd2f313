//! What happens in the process, as `GET /v1/events` tells it.
//!
//! Whoever keeps the events (see [`Control::events`](crate::Control::events)) names and numbers them;
//! this is what they say.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use gateway_core::resource::ResourceChange;
use serde::Serialize;
use utoipa::ToSchema;

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name.
    pub id: EventId,
    /// When.
    pub at: SystemTime,
    /// What.
    pub what: Happening,
}

/// Names an event, also beyond the life of its process: a reader that comes back to another process
/// must not be told that it missed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// Differs from process to process.
    pub process: u64,
    /// Counts that process's events, from 1.
    pub serial: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.process, self.serial)
    }
}

/// Not an id that any process gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no id of an event")]
pub struct EventIdError;

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let (process, serial) = text.split_once('-').ok_or(EventIdError)?;
        Ok(Self {
            process: u64::from_str_radix(process, 16).map_err(|_| EventIdError)?,
            serial: serial.parse().map_err(|_| EventIdError)?,
        })
    }
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With what happens from now on.
    Now,
    /// Behind this event.
    After(EventId),
    /// With the oldest that is kept.
    Oldest,
}

/// What a reader is told next.
#[derive(Debug, Clone)]
pub enum Told {
    /// Something happened.
    Event(Arc<Event>),
    /// So many events are not kept any more; `None` where nobody can know how many.
    Missed(Option<u64>),
    /// So many events came faster than the reader took them. The last that it is told.
    TooSlow(u64),
}

/// What happened. Each kind is an event type of its own on the wire.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Happening {
    /// A target's health turned.
    Health(HealthChange),
    /// Something else is served than before.
    Revision(Publication),
    /// A drain began, has come further, or is over.
    Drain(DrainChange),
    /// Handshakes were refused within a second.
    RefusedHandshakes(RefusedHandshakes),
    /// The process is in another phase of its life.
    Process(ProcessChange),
}

/// A kind of event: its type on the wire, and the text that `?types=` selects it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// [`Happening::Health`].
    Health,
    /// [`Happening::Revision`].
    Revision,
    /// [`Happening::Drain`].
    Drain,
    /// [`Happening::RefusedHandshakes`].
    RefusedHandshakes,
    /// [`Happening::Process`].
    Process,
}

impl EventKind {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Health,
        Self::Revision,
        Self::Drain,
        Self::RefusedHandshakes,
        Self::Process,
    ];

    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Revision => "revision",
            Self::Drain => "drain",
            Self::RefusedHandshakes => "refusedHandshakes",
            Self::Process => "process",
        }
    }
}

impl Happening {
    /// Which kind it is.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Health(_) => EventKind::Health,
            Self::Revision(_) => EventKind::Revision,
            Self::Drain(_) => EventKind::Drain,
            Self::RefusedHandshakes(_) => EventKind::RefusedHandshakes,
            Self::Process(_) => EventKind::Process,
        }
    }
}

/// A target's health turned (`event: health`).
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthChange {
    /// The pool.
    #[schema(example = "web")]
    pub pool: String,
    /// The HTTP settings that it is probed under.
    #[schema(example = "plain")]
    pub settings: String,
    /// The member as the document has it: an address or a domain name.
    #[schema(example = "10.0.0.4")]
    pub address: String,
    /// Where requests go: address and port.
    #[schema(example = "10.0.0.4:8080")]
    pub target: String,
    /// What it was: `Up`, `Down`, or `Unknown` before the first probe.
    #[schema(value_type = String, example = "Up")]
    pub from: &'static str,
    /// What it is.
    #[schema(value_type = String, example = "Down")]
    pub to: &'static str,
    /// What the probe found, or requests.
    #[schema(example = "connection refused")]
    pub reason: String,
}

/// Something else is served than before (`event: revision`): a change by a user, new DNS answers or
/// renewed certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    /// The revision that is live: counts what users changed.
    #[schema(example = 7)]
    pub revision: u64,
    /// The generation that is live: counts every publication.
    #[schema(example = 9)]
    pub generation: u64,
    /// Why: `start`, `change` by the API, `file changed`, `DNS answers changed`, `certificates
    /// reloaded`.
    #[schema(value_type = String, example = "change")]
    pub cause: &'static str,
    /// The resources that differ, by name: the first hundred.
    pub changes: Vec<ResourceChange>,
    /// How many more there are.
    #[schema(example = 0)]
    pub more_changes: usize,
}

/// A drain began, has come further, or is over (`event: drain`): at most one event a second for each.
/// `GET /v1/drains` has the same at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrainChange {
    /// Names the drain for as long as the process lives.
    #[schema(example = 3)]
    pub id: u64,
    /// `Started`, `Progress`, `Cancelled`, `Resumed` or `Finished`.
    #[schema(value_type = String, example = "Progress")]
    pub phase: &'static str,
    /// Why tunnels are ended: `TargetRemoved`, `ListenerRemoved`, `TargetDrained`, `TargetUnhealthy`,
    /// `Closed`, `Rebalance` or `Shutdown`.
    #[schema(value_type = String, example = "TargetDrained")]
    pub kind: &'static str,
    /// Whose tunnels: a target, a listener, a filter.
    #[schema(example = "10.0.0.4:8080 in web")]
    pub what: String,
    /// How many tunnels it is about.
    #[schema(example = 2000)]
    pub total: usize,
    /// To how many of them it has said Close.
    #[schema(example = 900)]
    pub told: usize,
    /// How many have ended by themselves or by a closing handshake.
    #[schema(example = 880)]
    pub closed: usize,
    /// How many were cut at the deadline.
    #[schema(example = 0)]
    pub cut: usize,
    /// How many stay, since it was cancelled before it told them.
    #[schema(example = 0)]
    pub kept: usize,
    /// How many are still to end.
    #[schema(example = 1120)]
    pub left: usize,
}

/// Handshakes that were refused, or failed at a backend (`event: refusedHandshakes`): at most one
/// event a second, however many there were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedHandshakes {
    /// How many in all.
    #[schema(example = 1200)]
    pub count: u64,
    /// By listener, pool and reason: those with most, a hundred of them.
    pub refusals: Vec<Refusal>,
}

/// The handshakes of one kind that were refused within a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The listener.
    #[schema(example = "site")]
    pub listener: String,
    /// The pool that its rule leads to.
    #[schema(example = "web")]
    pub pool: String,
    /// Why; the values are those of the metric `gateway_handshake_failures`.
    #[schema(value_type = String, example = "listener_rate")]
    pub reason: &'static str,
    /// How many.
    #[schema(example = 1200)]
    pub count: u64,
}

/// The process is in another phase of its life (`event: process`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProcessChange {
    /// `Serving`; `Draining`: a signal ends it; `Ended`: nothing is open any more. The last event of
    /// all.
    #[schema(value_type = String, example = "Draining")]
    pub phase: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = EventId {
            process: 0x18c0_ffee,
            serial: 42,
        };
        assert_eq!(id.to_string(), "18c0ffee-42");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "0",
            "-",
            "1-",
            "-1",
            "x-1",
            "1-x",
            "1-1-1",
            "ffffffffffffffffff-1",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(EventIdError), "{text}");
        }
    }
}
