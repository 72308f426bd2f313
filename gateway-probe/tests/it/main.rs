//! The prober against backends that misbehave, over real sockets on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backend;
mod hostile;
mod outcomes;
mod schedule;
mod setup;
mod tls;
mod websocket;
