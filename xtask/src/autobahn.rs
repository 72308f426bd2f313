//! `cargo xtask autobahn`: the Autobahn test suite through the gateway, on a plain and a TLS listener,
//! and the same without it. No case may end worse with the gateway than without.
//!
//! The suite's fuzzing client speaks to `conformance/autobahn/echo-server.py`, which negotiates
//! permessage-deflate, so that the cases about compression say something. What the server gets wrong
//! by itself is no fault of the gateway's; that it gets nearly everything right is checked.

mod compare;
mod scene;
mod suite;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::children::{Child, pause};
use crate::conformance;
use crate::shell::target_directory;
use compare::{Report, Worse};
use scene::{Lane, Scene};
use suite::Suite;

/// What `cargo xtask test` runs: all groups, of the heavy ones (9: big messages, 12 and 13: a thousand
/// compressed messages a case) some of each kind.
const QUICK: &[&str] = &[
    "1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*", "9.1.1", "9.1.3", "9.2.1", "9.2.3",
    "9.3.4", "9.4.4", "9.5.4", "9.6.4", "9.7.2", "9.8.2", "12.1.1", "12.2.2", "12.3.1", "12.4.2",
    "12.5.1", "13.1.1", "13.2.2", "13.3.1", "13.4.2", "13.5.1", "13.6.2", "13.7.1",
];
/// More than such a run takes on a slow machine.
const QUICK_LIMIT: Duration = Duration::from_secs(5 * 60);
const FULL_LIMIT: Duration = Duration::from_secs(60 * 60);

/// How often a case may try again not to be worse. Cases that send byte by byte (4.1.5, 4.2.5, 5.15) are
/// lost to the detour now and then, several times in a row on some machines.
const TRIES: usize = 10;

#[derive(Args)]
pub(crate) struct Options {
    /// Only the representative part that `cargo xtask test` runs
    #[arg(long)]
    quick: bool,
    /// Only these cases, as the suite names them: `6.*`, `12.1.3`
    #[arg(long, value_name = "CASES", conflicts_with = "quick")]
    cases: Vec<String>,
    /// Take this gateway instead of building one
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
}

/// The representative part.
pub(crate) fn quick() -> Result<()> {
    run(&Options {
        quick: true,
        cases: Vec::new(),
        gateway: None,
    })
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = target_directory().join("autobahn");
    fs::create_dir_all(&folder)?;
    // Containers are given it by its whole name.
    let folder = folder.canonicalize()?;
    let Some(suite) = suite::find(&folder)? else {
        println!(
            "left out: the Autobahn test suite (no Python 2.7 on the PATH or of pyenv, and no image {})",
            suite::IMAGE
        );
        return Ok(());
    };
    let gateway = match &options.gateway {
        Some(gateway) => gateway.canonicalize().context("no such gateway")?,
        None => conformance::build()?.join("gateway"),
    };
    let scene = Scene::open(&gateway, &folder)?;
    let cases: Vec<String> = match options {
        Options { quick: true, .. } => QUICK.iter().map(ToString::to_string).collect(),
        Options { cases, .. } if cases.is_empty() => vec!["*".to_owned()],
        Options { cases, .. } => cases.clone(),
    };
    let limit = if options.quick {
        QUICK_LIMIT
    } else {
        FULL_LIMIT
    };
    let reports = folder.join("reports");
    let report = run_cases(&suite, &scene, &cases, &reports, limit)?;
    print!("{}", compare::summary(&report));
    ensure!(
        report.is_telling(),
        "the server gets too much wrong without the gateway: see {}",
        reports.join("direct/index.html").display()
    );
    let worse = report.worse();
    if !worse.is_empty() {
        confirm(&suite, &scene, worse, &folder, limit)?;
    }
    println!(
        "no case is worse through the gateway; {}",
        reports.display()
    );
    Ok(())
}

/// Some cases are races by the suite's design (an echo against a Close), and a busy machine loses
/// others: a gateway that makes a case worse does so every time.
fn confirm(
    suite: &Suite,
    scene: &Scene,
    mut worse: Vec<Worse>,
    folder: &Path,
    limit: Duration,
) -> Result<()> {
    let reports = folder.join("reports-again");
    for _ in 0..TRIES {
        for worse in &worse {
            println!("worse, so once more: {worse}");
        }
        let mut cases: Vec<String> = worse.iter().map(|worse| worse.case.clone()).collect();
        cases.dedup();
        let again = run_cases(suite, scene, &cases, &reports, limit)?.worse();
        worse.retain(|worse| again.iter().any(|other| other.is_about_the_same(worse)));
        if worse.is_empty() {
            return Ok(());
        }
    }
    let lines: Vec<String> = worse.iter().map(ToString::to_string).collect();
    bail!(
        "worse through the gateway:\n{}\nsee {}, and the gateway's log in {}",
        lines.join("\n"),
        reports.display(),
        scene.log.display()
    );
}

/// Runs `cases` on all lanes, as many at once as there are.
fn run_cases(
    suite: &Suite,
    scene: &Scene,
    cases: &[String],
    reports: &Path,
    limit: Duration,
) -> Result<Report> {
    if reports.exists() {
        fs::remove_dir_all(reports)?;
    }
    let started = Instant::now();
    let mut running = Vec::new();
    for lane in Lane::ALL {
        let folder = reports.join(lane.name());
        fs::create_dir_all(&folder)?;
        let specification = specification(&scene.url(lane), lane, cases, &folder);
        let file = folder.join("specification.json");
        fs::write(&file, specification.to_string())?;
        let log = folder.join("client.log");
        let mut command = suite.command(&file);
        command
            .stdout(fs::File::create(&log)?)
            .stderr(fs::File::options().append(true).open(&log)?);
        running.push((lane, Child::that_ends(&mut command)?, log));
    }
    for (lane, child, log) in &mut running {
        let name = lane.name();
        let status = loop {
            if let Some(status) = child.ended()? {
                break status;
            }
            ensure!(
                started.elapsed() < limit,
                "{name}: not done within {limit:?}: see {}",
                log.display()
            );
            pause();
        };
        ensure!(status.success(), "{name}: {status}: see {}", log.display());
    }
    println!("ran within {:.0} s", started.elapsed().as_secs_f64());
    read(reports)
}

fn specification(url: &str, lane: Lane, cases: &[String], folder: &Path) -> serde_json::Value {
    serde_json::json!({
        "outdir": folder,
        "servers": [{ "agent": lane.name(), "url": url }],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    })
}

fn read(reports: &Path) -> Result<Report> {
    let lane = |lane: Lane| {
        let file = reports.join(lane.name()).join("index.json");
        let text = fs::read_to_string(&file);
        let text = text.with_context(|| format!("no report {}", file.display()))?;
        compare::read(&text, lane.name()).with_context(|| format!("in {}", file.display()))
    };
    Ok(Report {
        direct: lane(Lane::Direct)?,
        through: [lane(Lane::Plain)?, lane(Lane::Tls)?],
    })
}
