//! The proxy from outside: raw sockets on both sides, bytes in and bytes out.

mod forwarding;
mod harness;
mod hostile_backends;
mod hostile_clients;
mod lifecycle;
mod streaming;
mod websocket;
