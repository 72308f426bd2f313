//! `cargo xtask test`: everything that must pass, one step after another, all of them even when one
//! fails, and a table at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::shell::{self, cargo, is_ci};
use crate::{autobahn, conformance, deps, fuzz, packaging, tidy};

#[derive(Args)]
pub(crate) struct Options {
    /// Run only the steps whose name contains this.
    #[arg(long)]
    only: Option<String>,
}

type Step = (&'static str, fn() -> Result<()>);
type Done = (&'static str, Duration, Result<()>);

const STEPS: &[Step] = &[
    ("format", || {
        shell::run(cargo().args(["fmt", "--all", "--check"]))
    }),
    ("tidy", tidy::check),
    ("lints", lints),
    ("documentation", documentation),
    ("imports", deps::check),
    ("tests", || {
        shell::run(cargo().args(["test", "--workspace", "--all-features"]))
    }),
    ("conformance", || conformance::run(&[])),
    ("autobahn", autobahn::quick),
    ("fuzzing", fuzz::briefly),
    ("packaging", packaging::check),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    let wanted = |step: &&Step| {
        options
            .only
            .as_deref()
            .is_none_or(|only| step.0.contains(only))
    };
    let steps: Vec<Step> = STEPS.iter().filter(wanted).copied().collect();
    if steps.is_empty() {
        let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
        bail!("no such step; there are: {}", names.join(", "));
    }
    let done: Vec<Done> = steps.iter().map(run_step).collect();
    println!(
        "\n=== summary{}",
        if is_ci() {
            " (CI: nothing left out)"
        } else {
            ""
        }
    );
    for (name, took, outcome) in &done {
        let word = if outcome.is_ok() { "passed" } else { "FAILED" };
        println!("{word}  {:>6.1} s  {name}", took.as_secs_f64());
    }
    let failed = done
        .iter()
        .filter(|(_, _, outcome)| outcome.is_err())
        .count();
    // Once more, and last: of a long run often only the end is kept.
    for (name, _, outcome) in &done {
        if let Err(error) = outcome {
            println!("\n{name} failed: {error:#}");
        }
    }
    println!("\nsteps: {} passed, {failed} failed", done.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} steps failed", done.len());
    }
    Ok(())
}

fn run_step((name, step): &Step) -> Done {
    println!("\n=== {name}");
    let started = Instant::now();
    let outcome = step();
    if let Err(error) = &outcome {
        println!("{name} failed: {error:#}");
    }
    (name, started.elapsed(), outcome)
}

fn lints() -> Result<()> {
    shell::run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "--deny",
        "warnings",
    ]))
}

fn documentation() -> Result<()> {
    shell::run(cargo().env("RUSTDOCFLAGS", "--deny warnings").args([
        "doc",
        "--workspace",
        "--no-deps",
        "--all-features",
        "--document-private-items",
    ]))
}
