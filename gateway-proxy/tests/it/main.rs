//! The proxy from outside: raw sockets on both sides, bytes in and bytes out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod forwarding;
mod harness;
mod hostile_backends;
mod hostile_clients;
mod lifecycle;
mod removal;
mod streaming;
mod tls;
mod websocket;
