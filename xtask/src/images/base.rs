//! The base of the images: the public one where a registry can be reached, else one made from the
//! package archive, under the same tag.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use super::exists;
use crate::shell::{self, command, output, run};

pub(super) const TAG: &str = "debian:bookworm-slim";
const SUITE: &str = "bookworm";
const ARCHIVE: &str = "http://deb.debian.org/debian";

/// Docker has the base afterwards.
pub(super) fn provide() -> Result<()> {
    if exists(TAG) {
        return Ok(());
    }
    let pull = command("docker").args(["pull", "--quiet", TAG]).output()?;
    if pull.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&pull.stderr);
    println!("no registry gives {TAG} ({}): making it", why.trim());
    if !shell::provide("debootstrap", &["debootstrap"])? {
        bail!("{TAG} can neither be pulled nor made: install debootstrap");
    }
    make().with_context(|| format!("cannot make {TAG} (debootstrap wants root)"))
}

fn make() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("root");
    let archive = archive()?;
    run(command("debootstrap")
        .args(["--variant=minbase", SUITE])
        .arg(&root)
        .arg(&archive)
        .stdout(Stdio::null()))?;
    take_over_configuration(&root)?;
    import(&root)
}

/// The archive that this machine is set up with, if it is Debian's; else the public one.
fn archive() -> Result<String> {
    let mut sources = String::new();
    for file in sources_files() {
        sources += &fs::read_to_string(file).unwrap_or_default();
        sources.push('\n');
    }
    Ok(first_archive(&sources).unwrap_or(ARCHIVE).to_owned())
}

fn sources_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let parts = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten();
    files.extend(parts.flatten().map(|entry| entry.path()));
    files.sort();
    files
}

/// The first address in a list of sources, of either format, whose folder is called `debian`.
fn first_archive(sources: &str) -> Option<&str> {
    let lines = sources.lines().map(str::trim);
    let lines = lines.filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"));
    let mut words = lines.flat_map(str::split_whitespace);
    words.find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
}

/// How this machine fetches packages (a proxy, say) holds for the image, too.
fn take_over_configuration(root: &Path) -> Result<()> {
    let Ok(all) = output(command("apt-config").arg("dump")) else {
        return Ok(());
    };
    let fetching: String = all
        .lines()
        .filter(|line| line.starts_with("Acquire::"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(root.join("etc/apt/apt.conf.d/99host"), fetching)?;
    Ok(())
}

fn import(root: &Path) -> Result<()> {
    // What was fetched to make it is of no use in it.
    let archives = root.join("var/cache/apt/archives");
    for entry in fs::read_dir(archives)?.flatten() {
        if entry.path().extension().is_some_and(|kind| kind == "deb") {
            fs::remove_file(entry.path())?;
        }
    }
    let mut tar = command("tar")
        .arg("-C")
        .arg(root)
        .args(["--numeric-owner", "-c", "."])
        .stdout(Stdio::piped())
        .spawn()?;
    let stream = tar.stdout.take().context("tar has an output")?;
    let imported = run(command("docker")
        .args(["import", "-", TAG])
        .stdin(stream)
        .stdout(Stdio::null()));
    if !tar.wait()?.success() {
        bail!("tar failed");
    }
    imported
}

#[cfg(test)]
mod tests {
    use super::first_archive;

    #[test]
    fn the_archive_is_found_in_either_format() {
        let rows = [
            ("", None),
            (
                "deb http://one.test/debian bookworm main",
                Some("http://one.test/debian"),
            ),
            (
                "# deb http://off.test/debian x main\ndeb [arch=amd64] https://two.test/debian/ bookworm main",
                Some("https://two.test/debian/"),
            ),
            (
                "Types: deb\nURIs: http://sec.test/debian-security http://three.test/debian\nSuites: x",
                Some("http://three.test/debian"),
            ),
            ("deb http://archive.test/ubuntu noble main", None),
        ];
        for (sources, archive) in rows {
            assert_eq!(first_archive(sources), archive, "{sources}");
        }
    }
}
