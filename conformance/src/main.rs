//! Starts the real gateway and real backends, and proves from outside what the gateway promises.

#![forbid(unsafe_code)]

mod expectations;
mod harness;
mod report;
mod runner;
mod scenario;
mod scenarios;
mod wire_case;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use harness::Programs;
use harness::certificates::Certificates;
use scenario::{Scenario, Stage};

/// Runs the conformance scenarios against the real gateway.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The gateway [default: beside this program]
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// The test backend [default: beside this program]
    #[arg(long, value_name = "FILE")]
    backend: Option<PathBuf>,
    /// Only scenarios whose `group/name` contains this; may be given several times
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Say which scenarios there are, and end
    #[arg(long)]
    list: bool,
    /// Show every scenario, not only those that did not pass
    #[arg(long)]
    all: bool,
    /// Write JUnit XML here
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Scenarios that are known to fail
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/expected_failures.toml"))]
    expected_failures: PathBuf,
    /// How many stories, each with its own gateway, run at once
    #[arg(long, default_value_t = 8)]
    stories: usize,
}

fn main() -> ExitCode {
    match start(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn start(arguments: &Arguments) -> Result<bool> {
    let mut scenarios = scenarios::all();
    let ids: Vec<String> = scenarios.iter().map(Scenario::id).collect();
    let expected = expectations::read(&arguments.expected_failures, &ids)?;
    scenarios.retain(|scenario| {
        let id = scenario.id();
        let filters = &arguments.filter;
        filters.is_empty() || filters.iter().any(|filter| id.contains(filter))
    });
    ensure!(
        !scenarios.is_empty(),
        "no scenario has {:?} in its name",
        arguments.filter
    );
    if arguments.list {
        for scenario in &scenarios {
            println!("{:<24} {}", scenario.clause, scenario.id());
        }
        return Ok(true);
    }
    let stage = Stage {
        programs: Programs {
            gateway: program(arguments.gateway.as_deref(), "gateway")?,
            backend: program(arguments.backend.as_deref(), "test-backend")?,
        },
        certificates: Rc::new(Certificates::new()?),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let started = Instant::now();
    let lines = tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            lines = runner::run(&scenarios, &stage, &expected, arguments.stories) => Ok(lines),
            // Dropping the run kills every child.
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        }
    })?;
    print!(
        "{}",
        report::table(&lines, arguments.all, started.elapsed())
    );
    if let Some(file) = &arguments.junit {
        report::write_junit(&lines, file)?;
    }
    Ok(report::is_good(&lines))
}

/// The program that is given, or the one of that name beside this one.
fn program(given: Option<&Path>, name: &str) -> Result<PathBuf> {
    let program = match given {
        Some(given) => given.to_owned(),
        None => std::env::current_exe()?.with_file_name(name),
    };
    let found = program.canonicalize();
    found.with_context(|| {
        format!(
            "no program {} (build it, or say where it is)",
            program.display()
        )
    })
}
