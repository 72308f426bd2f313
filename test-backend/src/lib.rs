//! One fault-injecting HTTP and WebSocket backend, for the demo, the conformance suite and the
//! benchmark.
//!
//! It says who it is in every answer, keeps a log of the requests that it saw, and misbehaves on
//! demand ([`FaultSet`]). It is no general web server, and it knows nothing of the gateway. Nothing
//! in it is process-wide, so that several live in one process.

#![forbid(unsafe_code)]

mod answer;
mod backend;
mod body;
mod connection;
mod control;
mod faults;
mod journal;
mod misbehave;
mod tls;
mod websocket;

pub use backend::{Backend, BackendOptions};
pub use faults::{AnswerFault, FaultSet, Faults, HealthFault, UpgradeFault};
pub use journal::RequestSeen;
pub use tls::{TlsIdentity, TlsIdentityError};
