//! The container image and the systemd unit: built, started, and checked by the tools of their trade.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{self, cargo, command, is_ci, output, run};

/// What the image is tagged.
const IMAGE: &str = "open-application-gateway";
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Checks both, with a binary that is quick to build.
pub(crate) fn check() -> Result<()> {
    run_with("dev")
}

/// Checks both; the image holds a binary built with `profile`.
pub(crate) fn run_with(profile: &str) -> Result<()> {
    unit()?;
    image(profile)
}

/// systemd's own verdict on the unit.
fn unit() -> Result<()> {
    if !shell::provide("systemd-analyze", &["systemd"])? {
        println!("left out: the systemd unit (systemd-analyze is not installed)");
        return Ok(());
    }
    // The unit names an installed binary; verify a copy that names one that exists.
    let folder = shell::target_directory().join("packaging");
    fs::create_dir_all(&folder)?;
    let unit = fs::read_to_string(shell::root().join("packaging/gateway.service"))?;
    let copy = folder.join("gateway.service");
    fs::write(&copy, unit.replace("/usr/local/bin/gateway", "/bin/true"))?;
    run(command("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&copy))?;
    run(command("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=25", "--no-pager"])
        .arg(&copy)
        .stdout(std::process::Stdio::null()))
}

/// Builds the image, starts it, and waits until its own health check passes.
fn image(profile: &str) -> Result<()> {
    if !docker_answers() {
        if is_ci() && shell::is_installed("dockerd") {
            bail!("Docker is installed but its daemon does not answer");
        }
        println!("left out: the container image (no Docker daemon)");
        return Ok(());
    }
    let context = shell::target_directory().join("packaging/image");
    fs::create_dir_all(context.join("state"))?;
    fs::copy(static_binary("gateway", profile)?, context.join("gateway"))?;
    fs::copy(ROOTS, context.join("ca-certificates.crt"))
        .with_context(|| format!("{ROOTS}: install the package ca-certificates"))?;
    let file = shell::root().join("packaging/Dockerfile");
    run(command("docker")
        .args(["build", "--quiet", "--tag", IMAGE, "--file"])
        .arg(file)
        .arg(&context))?;
    let container = output(command("docker").args(["run", "--detach", IMAGE]))?;
    let container = container.trim();
    let outcome = wait_until_healthy(container);
    if outcome.is_err() {
        run(command("docker").args(["logs", container]))?;
    }
    run(command("docker")
        .args(["rm", "--force", "--volumes", container])
        .stdout(std::process::Stdio::null()))?;
    outcome
}

pub(crate) fn docker_answers() -> bool {
    Command::new("docker")
        .arg("info")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The package's program without a dynamic loader, for an image that holds nothing else.
pub(crate) fn static_binary(package: &str, profile: &str) -> Result<PathBuf> {
    let host = shell::host()?;
    run(cargo()
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .args([
            "build",
            "--package",
            package,
            "--target",
            &host,
            "--profile",
            profile,
        ]))?;
    // Cargo's one profile whose folder is not called by its name.
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(shell::target_directory()
        .join(&host)
        .join(folder)
        .join(package))
}

#[expect(clippy::disallowed_methods, reason = "pauses between looks at a state")]
fn wait_until_healthy(container: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut health = command("docker");
        health.args(["exec", container, "/gateway", "healthcheck"]);
        if health.output()?.status.success() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("the container did not become healthy within 60 s");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
