//! The REST admin API. Knows the rest of the process only through [`Control`].
//!
//! [`router`] is the whole API, [`health_router`] the two questions of an orchestrator, [`serve()`]
//! puts either on a socket, and [`openapi()`] describes it. `docs/admin-api.md` is its manual.

#![forbid(unsafe_code)]

mod answer;
mod api;
mod body;
mod control;
mod error;
mod events;
mod guard;
mod openapi;
mod options;
mod preconditions;
mod problem;
mod routes;
mod serve;

pub use api::{health_router, router};
pub use control::{
    Applied, ApplyError, CannotRebalance, CloseTunnels, Control, HealthReport, MemberHealth,
    NoSuchTarget, Precondition, Published, WhichTunnels, Write,
};
pub use events::{
    DrainChange, Event, EventId, EventIdError, EventKind, Happening, HealthChange, ProcessChange,
    Publication, Refusal, RefusedHandshakes, Since, Told,
};
pub use openapi::openapi;
pub use options::{AdminOptions, AllowedHosts, Token, TokenError};
pub use serve::{ServeLimits, serve};
