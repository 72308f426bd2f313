//! The prober against backends that misbehave, over real sockets on loopback.

mod backend;
mod hostile;
mod outcomes;
mod schedule;
mod setup;
mod tls;
