//! Starts the real gateway and real backends, and proves from outside what the gateway promises.

#![forbid(unsafe_code)]

mod attacks;
mod clauses;
mod expectations;
mod harness;
mod report;
mod runner;
mod scenario;
mod scenarios;
mod stop;
mod terminal;
mod tunnel_play;
mod wire_case;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use expectations::Expected;
use harness::backends::{Backends, Choice};
use harness::certificates::Certificates;
use harness::front::System;
use harness::{NotHere, Programs, peer, process};
use report::{Line, Run, Verdict};
use runner::Manner;
use scenario::{Scenario, Stage};
use stop::Stop;

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
    /// What is under test. A peer is asked only what any proxy can be asked, and its failures are
    /// told, not held against the run; several are compared
    #[arg(
        long,
        value_enum,
        value_name = "SYSTEM",
        value_delimiter = ',',
        default_value = "gateway"
    )]
    sut: Vec<System>,
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
    /// Write JSON here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Leave what a failed scenario has set up standing, and say where
    #[arg(long)]
    keep: bool,
    /// Scenarios that are known to fail
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/expected_failures.toml"))]
    expected_failures: PathBuf,
    /// The folder of the attacks on parsing
    #[arg(long, value_name = "FOLDER", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/attacks"))]
    attacks: PathBuf,
    /// Where backends live [default: docker if a daemon answers]
    #[arg(long, value_enum)]
    backends: Option<Choice>,
    /// The images that `cargo xtask images` has built [default: beside this program's folder]
    #[arg(long, value_name = "FILE")]
    images: Option<PathBuf>,
    /// Run what RFC 6455 demands, and write the table of its clauses into the document
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "filter",
        default_missing_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md"))]
    write_docs: Option<PathBuf>,
    /// How many stories, each with its own gateway, run at once
    #[arg(long, default_value_t = 8)]
    stories: usize,
    /// Repeat the random choices of an earlier run [default: new ones]
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// How long the scenario of `churn` changes the configuration
    #[arg(long, value_name = "N", default_value_t = 60)]
    churn_seconds: u64,
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
    scenarios.extend(attacks::scenarios(&arguments.attacks)?);
    let ids: Vec<String> = scenarios.iter().map(Scenario::id).collect();
    let expected = expectations::read(&arguments.expected_failures, &ids)?;
    scenarios.retain(|scenario| {
        let id = scenario.id();
        let filters = &arguments.filter;
        let wanted = filters.is_empty() || filters.iter().any(|filter| id.contains(filter));
        wanted && (arguments.write_docs.is_none() || clauses::names(&id))
    });
    ensure!(
        !scenarios.is_empty(),
        "no scenario has {:?} in its name",
        arguments.filter
    );
    if arguments.list {
        let lines = scenarios.iter();
        let lines = lines.map(|scenario| format!("{:<24} {}\n", scenario.clause, scenario.id()));
        terminal::say(&lines.collect::<String>())?;
        return Ok(true);
    }
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let all = run_all(arguments, scenarios, &expected);
    let runs = tokio::task::LocalSet::new().block_on(&runtime, all)?;
    if runs.len() > 1 {
        terminal::say(&report::comparison::text(&runs, arguments.all))?;
    }
    if let Some(file) = &arguments.junit {
        report::junit::write(&runs, file)?;
    }
    if let Some(file) = &arguments.json {
        report::json::write(&runs, file)?;
    }
    if let Some(file) = &arguments.write_docs {
        let own = runs.iter().find(|run| run.system == System::Gateway);
        let own = own.context("the table is about the gateway")?;
        ensure!(!own.interrupted, "the table is written by whole runs only");
        clauses::table::write(file, &own.lines)?;
    }
    Ok(runs.iter().all(Run::is_good))
}

/// Scenarios open ten thousand WebSockets, and what is started here inherits the limit. Where more is
/// not to be had, it stays as it was.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
}

/// One system after another; each one's table is printed when it is done.
async fn run_all(
    arguments: &Arguments,
    scenarios: Vec<Scenario>,
    expected: &[Expected],
) -> Result<Vec<Run>> {
    let images = match &arguments.images {
        Some(file) => file.clone(),
        None => std::env::current_exe()?
            .with_file_name("..")
            .join("conformance/images.json"),
    };
    let programs = Programs {
        gateway: program(arguments.gateway.as_deref(), "gateway")?,
        backend: program(arguments.backend.as_deref(), "test-backend")?,
    };
    let mut labels = Vec::new();
    for &system in &arguments.sut {
        labels.push(peer::version(system, &programs).await?);
    }
    let stop = Stop::listen()?;
    let stage = Stage {
        programs,
        certificates: Rc::new(Certificates::new()?),
        backends: Backends::choose(arguments.backends, &images).await?,
        seed: arguments.seed.unwrap_or_else(|| fastrand::u32(..)).into(),
        churn: Duration::from_secs(arguments.churn_seconds),
        system: System::Gateway,
    };
    let (chosen, left_out) = choose(&arguments.sut, scenarios);
    let mut runs = Vec::new();
    for (&system, label) in arguments.sut.iter().zip(labels) {
        let mut stage = stage.clone();
        stage.system = system;
        let mut run = Run {
            system,
            label,
            notes: Vec::new(),
            seed: stage.seed,
            lines: Vec::new(),
            interrupted: false,
            left_out: left_out.clone(),
            took: Duration::ZERO,
        };
        // Excuses and scenes that stay are for what we can mend.
        let ours = system == System::Gateway;
        let manner = Manner {
            expected: if ours { expected } else { &[] },
            stories: arguments.stories,
            keep: arguments.keep && ours,
        };
        let started = Instant::now();
        run.lines = runner::run(&chosen, &stage, manner, stop.wait()).await;
        run.took = started.elapsed();
        run.interrupted = stop.is_here();
        let wanting = for_want_of_containers(&run.lines);
        run.notes.push(stage.backends.headline(&wanting));
        let seed = stage.seed;
        run.notes.push(format!(
            "seed: {seed} (--seed {seed} repeats its random choices)"
        ));
        // Whoever reads it may have gone; what the run has set up is removed all the same.
        let said = terminal::say(&report::table::text(&run, arguments.all));
        said.unwrap_or_else(|error| eprintln!("the report cannot be written: {error}"));
        runs.push(run);
        if stop.is_here() {
            break;
        }
    }
    let standing = |run: &Run| {
        run.lines
            .iter()
            .any(|line| !line.evidence.standing.is_empty())
    };
    if runs.iter().any(standing) {
        let keeps = format!("\n{}\n", stage.certificates.keep());
        terminal::say(&keeps).unwrap_or_else(|_| eprint!("{keeps}"));
    }
    let closed = stage.backends.close().await;
    process::reap().await;
    closed.context("something was left behind")?;
    for run in &runs {
        let wanting = for_want_of_containers(&run.lines);
        stage.backends.check(&wanting)?;
    }
    Ok(runs)
}

/// What all of `systems` can be asked, and how many others there are of each group.
fn choose(
    systems: &[System],
    scenarios: Vec<Scenario>,
) -> (Vec<Scenario>, Vec<(&'static str, usize)>) {
    if systems == [System::Gateway] {
        return (scenarios, Vec::new());
    }
    let (chosen, others): (Vec<Scenario>, Vec<Scenario>) =
        scenarios.into_iter().partition(Scenario::is_for_peers);
    let mut left_out: Vec<(&'static str, usize)> = Vec::new();
    for Scenario { group, .. } in others {
        match left_out.iter_mut().find(|(name, _)| *name == group) {
            Some((_, count)) => *count += 1,
            None => left_out.push((group, 1)),
        }
    }
    (chosen, left_out)
}

fn for_want_of_containers(lines: &[Line]) -> Vec<String> {
    let left_out = lines.iter().filter(|line| {
        matches!(&line.verdict, Verdict::Skipped(reason) if NotHere::wants_containers(reason))
    });
    left_out
        .map(|line| format!("{}/{}", line.group, line.name))
        .collect()
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
