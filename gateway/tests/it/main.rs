//! The real binary as its users run it: exit codes, words, signals, files and crashes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api_mode;
mod balancing;
mod check;
mod connections;
mod demo;
mod events;
mod examples;
mod file_mode;
#[path = "../../../gateway-proxy/tests/it/free_port.rs"]
mod free_port;
mod metrics;
mod rebalance;
mod recovery;
mod refusals;
mod support;
