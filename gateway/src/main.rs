//! The `gateway` binary: reads the command line and hands over.

#![forbid(unsafe_code)]

mod access_log;
mod admin_listener;
mod apply;
mod check;
mod cli;
mod config_file;
mod control;
mod demo;
mod descriptors;
mod diagnostics;
mod document;
mod events;
mod healthcheck;
mod live;
mod metrics;
mod precondition;
mod process;
mod rebalance;
mod recovery;
mod run;
mod service_manager;
mod shutdown;
mod store;
mod stored;
mod supervisor;
mod telemetry;
mod unhealthy;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Healthcheck(arguments) => healthcheck::healthcheck(&arguments),
        Command::Check(arguments) => check::check(&arguments),
    }
}
