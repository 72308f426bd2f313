//! The runner itself, as people run it: what it leaves behind when it is told to stop.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A machine that is busy with other things takes its time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that never becomes ready, so that the run is surely in the middle of everything. It
/// writes down its process id, and then becomes something that sleeps.
fn sleeping_gateway(folder: &Path) -> PathBuf {
    let program = folder.join("gateway");
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo gateway 0 && exit\n\
         echo $$ > {0}/$$.new\nmv {0}/$$.new {0}/$$.pid\nexec sleep 600\n",
        folder.display()
    );
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// The ids of the gateways that were started.
fn gateways(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().path());
    let files = names.filter(|path| path.extension().is_some_and(|end| end == "pid"));
    files
        .map(|file| fs::read_to_string(file).unwrap().trim().parse().unwrap())
        .collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two looks at a state"
)]
fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a run that gets no further than the start of its gateways.
fn run(folder: &Path, temporary: &Path, more: &[&str]) -> Child {
    let gateway = sleeping_gateway(folder);
    Command::new(env!("CARGO_BIN_EXE_conformance"))
        .args([
            "--backends",
            "process",
            "--filter",
            "the RFC's own handshake",
            "--filter",
            "half a head",
        ])
        .arg("--gateway")
        .arg(&gateway)
        .arg("--backend")
        .arg(&gateway)
        .args(more)
        .env("TMPDIR", temporary)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_run_that_is_stopped_leaves_nothing_behind() {
    for (signal, more) in [
        ("INT", [].as_slice()),
        ("TERM", &[]),
        ("HUP", &[]),
        // What has not failed is not kept.
        ("INT", &["--keep"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let temporary = tempfile::tempdir().unwrap();
        let child = run(folder.path(), temporary.path(), more);
        // Two quick lanes, and a slow one.
        until("three gateways start", || {
            gateways(folder.path()).len() == 3
        });
        let kill = ["-s", signal, &child.id().to_string()].map(str::to_owned);
        assert!(Command::new("kill").args(kill).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{signal}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("INTERRUPTED"), "{said}");
        for id in gateways(folder.path()) {
            let process = PathBuf::from(format!("/proc/{id}"));
            assert!(!process.exists(), "{signal} {more:?}: {id} is left");
        }
        let left: Vec<_> = fs::read_dir(temporary.path()).unwrap().collect();
        assert!(left.is_empty(), "{signal} {more:?}: {left:?}");
    }
}
