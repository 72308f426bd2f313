//! How people and CI run everything: `cargo xtask test` is the one command that must pass.

#![forbid(unsafe_code)]

mod autobahn;
mod bench;
mod children;
mod conformance;
mod deps;
#[path = "../../gateway-proxy/tests/it/free_port.rs"]
mod free_port;
mod fuzz;
mod images;
mod openapi;
mod packaging;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must pass: format, lints, docs, import rules, tests, conformance, packaging.
    Test(test::Options),
    /// Starts the real gateway and real backends, and runs the conformance scenarios.
    Conformance(Forwarded),
    /// Runs the Autobahn test suite through the gateway, and compares with the same run without it.
    Autobahn(autobahn::Options),
    /// Builds the container images of the conformance scenarios, those that have changed.
    Images,
    /// Runs the fuzz targets, each for a bounded time.
    Fuzz(fuzz::Options),
    /// Measures the gateway side by side with nginx and HAProxy.
    Bench(Forwarded),
    /// Writes `openapi/gateway-admin.json` anew from the code.
    Openapi,
    /// Checks which crate may import which, licences and duplicate dependencies.
    Deps,
    /// Checks what no compiler checks: file headers, links in the docs, lint tables.
    Tidy,
    /// Builds the container image, and checks the systemd unit.
    Packaging {
        /// What the image's binary is built with: `dist` for one that is meant to serve.
        #[arg(long, default_value = "dev")]
        profile: String,
    },
}

/// Arguments that go on to the program behind the command; `-- --help` lists them.
#[derive(Args)]
struct Forwarded {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Conformance(forwarded) => conformance::run(&forwarded.arguments),
        Command::Autobahn(options) => autobahn::run(&options),
        Command::Images => images::build(),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Bench(forwarded) => bench::run(&forwarded.arguments),
        Command::Openapi => openapi::write(),
        Command::Deps => deps::check(),
        Command::Tidy => tidy::check(),
        Command::Packaging { profile } => packaging::run_with(&profile),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
