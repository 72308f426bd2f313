//! The API as its clients see it, over a fake process.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests stand outside of test functions"
)]

mod fake;
mod openapi;
mod process;
mod serve;
