//! The `gateway` binary: reads the command line and hands over.

#![forbid(unsafe_code)]

mod check;
mod cli;
mod descriptors;
mod diagnostics;
mod document;
mod metrics;
mod service_manager;
mod store;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(_) | Command::Demo(_) => ExitCode::FAILURE,
        Command::Check(arguments) => check::check(&arguments),
    }
}
