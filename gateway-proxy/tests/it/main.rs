//! The proxy from outside: raw sockets on both sides, bytes in and bytes out.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod balancing;
mod forwarding;
mod free_port;
mod gate;
mod harness;
mod hostile_backends;
mod hostile_clients;
mod known_tunnels;
mod lifecycle;
mod removal;
mod room;
mod streaming;
mod tls;
mod tunnels;
mod websocket;
