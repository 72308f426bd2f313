//! The `gateway` binary: reads the command line and hands over.

#![forbid(unsafe_code)]

mod cli;
mod store;

use clap::Parser;

fn main() {
    let cli = cli::Cli::parse();
    let _ = cli;
}
