//! `cargo xtask conformance`: builds the real programs, and runs the scenarios against them.

use std::path::PathBuf;

use anyhow::Result;

use crate::images;
use crate::shell::{self, cargo, command, is_ci, target_directory};

/// Builds and runs; `arguments` go on to the runner (`-- --help` lists them).
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    for system in systems(arguments) {
        // What is not there and cannot be installed is the runner's to say, with the remedy.
        match system {
            "nginx" => drop(shell::provide("nginx", &["nginx-light"])?),
            "haproxy" => drop(shell::provide("haproxy", &["haproxy"])?),
            _ => {}
        }
    }
    let built = build()?;
    if uses_images(arguments) {
        provide_images()?;
    }
    let folder = target_directory().join("conformance");
    let mut command = command(built.join("conformance"));
    // Written in every run, elsewhere if asked.
    for (option, file) in [("--junit", "junit.xml"), ("--json", "report.json")] {
        if !arguments
            .iter()
            .any(|argument| argument.starts_with(option))
        {
            command.arg(option).arg(folder.join(file));
        }
    }
    shell::run(command.args(arguments))
}

/// What `--sut` asks for.
fn systems(arguments: &[String]) -> Vec<&str> {
    let mut systems = Vec::new();
    let mut is_value = false;
    for argument in arguments {
        let value = argument.strip_prefix("--sut=");
        if let Some(value) = value.or(is_value.then_some(argument)) {
            systems.extend(value.split(','));
        }
        is_value = argument == "--sut";
    }
    systems
}

/// Builds the programs; says where they are. Always all of them, since cargo builds dependencies anew
/// for another choice of packages.
pub(crate) fn build() -> Result<PathBuf> {
    let packages = ["gateway", "test-backend", "conformance"];
    shell::run(
        cargo()
            .arg("build")
            .args(packages.map(|name| format!("--package={name}"))),
    )?;
    Ok(target_directory().join("debug"))
}

/// Whether the runner, called so, may start containers.
fn uses_images(arguments: &[String]) -> bool {
    let words: Vec<&str> = arguments
        .iter()
        .flat_map(|argument| argument.split('='))
        .collect();
    !words.contains(&"--list")
        && !words
            .windows(2)
            .any(|pair| pair == ["--backends", "process"])
}

/// Without images the scenarios that need containers do not run, which the report says; CI leaves
/// nothing out.
fn provide_images() -> Result<()> {
    match images::build_if_docker_answers() {
        Err(error) if !is_ci() => println!("no images: {error:#}"),
        other => drop(other?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::systems;

    #[test]
    fn systems_are_what_sut_asks_for() {
        let rows: [(&[&str], &[&str]); 4] = [
            (&["--filter", "nginx"], &[]),
            (&["--sut", "nginx", "--all"], &["nginx"]),
            (
                &["--sut=gateway,nginx,haproxy"],
                &["gateway", "nginx", "haproxy"],
            ),
            (
                &["--sut", "nginx", "--sut", "haproxy"],
                &["nginx", "haproxy"],
            ),
        ];
        for (arguments, expected) in rows {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            assert_eq!(systems(&arguments), expected, "{arguments:?}");
        }
    }
}
