//! `cargo xtask conformance`: builds the real programs, and runs the scenarios against them.

use anyhow::Result;

use crate::shell::{self, cargo, command, target_directory};

/// Builds and runs; `arguments` go on to the runner (`-- --help` lists them).
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let packages = ["gateway", "test-backend", "conformance"];
    shell::run(
        cargo()
            .arg("build")
            .args(packages.map(|name| format!("--package={name}"))),
    )?;
    let built = target_directory().join("debug");
    let junit = target_directory().join("conformance").join("junit.xml");
    shell::run(
        command(built.join("conformance"))
            .arg("--junit")
            .arg(junit)
            .args(arguments),
    )
}
