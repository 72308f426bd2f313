//! The API as its clients see it, over a fake process.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stand outside of test functions"
)]

mod bodies;
mod config;
mod connections;
mod documents;
mod events;
mod fake;
mod health;
mod openapi;
mod preconditions;
mod process;
mod rebalance;
mod serve;
