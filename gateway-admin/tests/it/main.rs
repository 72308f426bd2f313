//! The API as its clients see it, over a fake process.

mod fake;
mod openapi;
mod process;
mod serve;
