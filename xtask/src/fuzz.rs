//! `cargo xtask fuzz`: builds the targets in `fuzz/`, and runs each for a bounded time.
//!
//! The layout is cargo-fuzz's, but the targets are built without it: coverage is a stable compiler's
//! own, so that neither cargo-fuzz nor a nightly has to be installed. The address sanitizer, which wants
//! a nightly, is left out: no crate of ours has `unsafe`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::shell::{self, cargo, command, is_ci, target_directory};

/// A target, where its seeds are, and the longest input that it is given.
struct Target {
    name: &'static str,
    seeds: &'static [&'static str],
    longest: u32,
}

const TARGETS: &[Target] = &[
    Target {
        name: "document",
        seeds: &["examples", "fuzz/three-listeners.json"],
        longest: 16 * 1024,
    },
    Target {
        name: "handshake",
        seeds: &["fuzz/seeds/handshake"],
        longest: 4096,
    },
    Target {
        name: "frames",
        seeds: &["fuzz/seeds/frames"],
        longest: 4096,
    },
    Target {
        name: "request",
        seeds: &["fuzz/seeds/request"],
        longest: 4096,
    },
];

/// What libFuzzer needs of the compiler: counters of edges and their places, compared values.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1";

#[derive(Args)]
pub(crate) struct Options {
    /// Only these targets
    target: Vec<String>,
    /// How long each runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// Repeat the random choices of an earlier run: its log has the number
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// Run the one target on this file alone, as after a find
    #[arg(long, value_name = "FILE", conflicts_with = "seconds")]
    input: Option<PathBuf>,
}

/// A few seconds each, for `cargo xtask test`: always the same choices there, so that a change is blamed
/// for what it broke and for nothing else.
pub(crate) fn briefly() -> Result<()> {
    run(&Options {
        target: Vec::new(),
        seconds: 5,
        seed: Some(1),
        input: None,
    })
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let targets = chosen(&options.target)?;
    if !shell::provide("c++", &["g++"])? {
        ensure!(!is_ci(), "libFuzzer needs a C++ compiler");
        println!("left out: fuzzing (libFuzzer needs a C++ compiler: apt-get install g++)");
        return Ok(());
    }
    let built = build(&targets)?;
    if let Some(input) = &options.input {
        let [target] = targets.as_slice() else {
            bail!("`--input` wants one target");
        };
        let input = input.canonicalize().context("no such input")?;
        return shell::run(command(built.join(target.name)).arg(input));
    }
    let mut found = Vec::new();
    for target in &targets {
        match fuzz(target, &built, options) {
            Ok(told) => println!("{:<10} {told}", target.name),
            Err(error) => {
                println!("{:<10} {error:#}", target.name);
                found.push(target.name);
            }
        }
    }
    ensure!(
        found.is_empty(),
        "fuzzing has found something in: {}",
        found.join(", ")
    );
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Target>> {
    if names.is_empty() {
        return Ok(TARGETS.iter().collect());
    }
    let by_name = |name: &String| {
        let target = TARGETS.iter().find(|target| target.name == name);
        target.with_context(|| {
            let known: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            format!("no target {name:?}; there are: {}", known.join(", "))
        })
    };
    names.iter().map(by_name).collect()
}

/// Builds into a folder of its own, since the flags are others; says where the programs are.
fn build(targets: &[&Target]) -> Result<PathBuf> {
    let host = shell::host()?;
    let folder = folder();
    let mut build = cargo();
    // With a `--target`, the flags are not those of build scripts and macros.
    build
        .env("RUSTFLAGS", COVERAGE)
        .env("CARGO_TARGET_DIR", &folder)
        .args(["build", "--locked", "--manifest-path", "fuzz/Cargo.toml"])
        .args(["--target", &host]);
    for target in targets {
        build.args(["--bin", target.name]);
    }
    shell::run(&mut build)?;
    Ok(folder.join(host).join("debug"))
}

fn folder() -> PathBuf {
    target_directory().join("fuzz")
}

/// Runs one target; tells how far it came.
fn fuzz(target: &Target, built: &Path, options: &Options) -> Result<String> {
    // What it has learned stays for the next run; what it has found, for who mends it.
    let [corpus, finds] = ["corpus", "finds"].map(|kind| folder().join(kind).join(target.name));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&finds)?;
    let log = folder().join(format!("{}.log", target.name));
    let mut fuzzer = command(built.join(target.name));
    fuzzer
        // 0 is libFuzzer's word for a number of its own.
        .arg(format!("-seed={}", options.seed.unwrap_or(0)))
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-max_len={}", target.longest))
        .arg(format!("-artifact_prefix={}/", finds.display()))
        .args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048"])
        .arg(&corpus)
        .args(seed_folders(target)?)
        .stdout(fs::File::create(&log)?)
        .stderr(fs::File::options().append(true).open(&log)?);
    let status = fuzzer.status()?;
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() {
        bail!(
            "{}; all of it in {}",
            told_of_find(&text, target.name),
            log.display()
        );
    }
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .with_context(|| format!("it says nothing of its runs: see {}", log.display()))?;
    Ok(format!("{} runs, nothing found", count.trim()))
}

/// libFuzzer reads folders; a seed that is a file comes in one of its own.
fn seed_folders(target: &Target) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for seed in target.seeds {
        let seed = shell::root().join(seed);
        if seed.is_dir() {
            folders.push(seed);
            continue;
        }
        let folder = folder().join("seeds").join(target.name);
        fs::create_dir_all(&folder)?;
        let name = seed.file_name().context("a seed has a name")?;
        fs::copy(&seed, folder.join(name))?;
        folders.push(folder);
    }
    Ok(folders)
}

/// What broke, and how to see it again.
fn told_of_find(log: &str, target: &str) -> String {
    let lines = || log.lines();
    let panic = lines().position(|line| line.contains("panicked at"));
    let what = match panic {
        Some(at) => lines().skip(at).take(2).collect::<Vec<_>>().join(" "),
        None => lines()
            .find(|line| line.contains("ERROR: libFuzzer"))
            .unwrap_or("it ended badly")
            .to_owned(),
    };
    let file = lines().find_map(|line| line.split_once("Test unit written to "));
    match file {
        Some((_, file)) => format!("{what}\n  again: cargo xtask fuzz {target} --input {file}"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_find_is_told_with_its_input() {
        let log = "INFO: Seed: 1\n\
            thread '<unnamed>' (7) panicked at fuzz_targets/frames.rs:4:9:\n\
            left and right differ\n\
            ==7== ERROR: libFuzzer: deadly signal\n\
            artifact_prefix='x/'; Test unit written to x/crash-1\n";
        let told = told_of_find(log, "frames");
        assert!(
            told.contains("frames.rs:4:9: left and right differ"),
            "{told}"
        );
        assert!(
            told.ends_with("cargo xtask fuzz frames --input x/crash-1"),
            "{told}"
        );
        let told = told_of_find(
            "==7== ERROR: libFuzzer: timeout after 10 seconds\n",
            "frames",
        );
        assert!(told.contains("timeout"), "{told}");
    }

    #[test]
    fn unknown_targets_are_told() {
        let error = chosen(&["frame".to_owned()]).err().unwrap();
        assert!(
            error.to_string().contains("there are: document, "),
            "{error}"
        );
        assert_eq!(chosen(&[]).unwrap().len(), TARGETS.len());
    }

    #[test]
    fn every_target_is_run() {
        let manifest = fs::read_to_string(shell::root().join("fuzz/Cargo.toml")).unwrap();
        assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
        for target in TARGETS {
            assert!(manifest.contains(&format!("name = \"{}\"", target.name)));
            for seed in target.seeds {
                assert!(shell::root().join(seed).exists(), "{seed}");
            }
        }
    }
}
