//! `cargo xtask images`: the container images of the conformance scenarios, built from the folders of
//! `conformance/images` and kept for as long as nothing in them changes.

mod base;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::packaging::{docker_answers, static_binary};
use crate::shell::{self, command, output, run};

/// Images are called `PREFIX/FOLDER:HASH`.
const PREFIX: &str = "open-application-gateway-conformance";
/// The one that holds our own test backend; it is called after the program.
const OWN: &str = "test-backend";
/// So many versions of an image are kept: other checkouts use the same daemon.
const KEPT: usize = 8;

/// Builds what is missing, and writes `target/conformance/images.json`, which names them all.
pub(crate) fn build() -> Result<()> {
    let list = place().join("images.json");
    // A run must not take old images for new ones when this fails.
    if list.exists() {
        fs::remove_file(&list)?;
    }
    let tags = std::thread::scope(|scope| {
        // The one takes the processor, the others wait for the package archive.
        let own = scope.spawn(own_image);
        let mut tags = foreign_images()?;
        let (name, tag) = own.join().expect("a panic ends the program anyway")?;
        tags.insert(name, tag);
        anyhow::Ok(tags)
    })?;
    fs::write(list, serde_json::to_string_pretty(&tags)? + "\n")?;
    Ok(())
}

/// Our test backend.
fn own_image() -> Result<(String, String)> {
    let context = copy_of(&images().join(OWN))?;
    let binary = static_binary(OWN, "dev")?;
    // Symbols are most of it, and Docker copies the whole context.
    run(command("strip")
        .arg("-o")
        .arg(context.join(OWN))
        .arg(binary))?;
    Ok((OWN.to_owned(), provide(OWN, &context)?))
}

/// All others, in the order of their names.
fn foreign_images() -> Result<BTreeMap<String, String>> {
    let mut tags = BTreeMap::new();
    for entry in fs::read_dir(images())? {
        let folder = entry?.path();
        let name = name_of(&folder)?;
        if name != OWN {
            let tag = provide(&name, &copy_of(&folder)?)?;
            tags.insert(name, tag);
        }
    }
    Ok(tags)
}

/// The image's name and tag; it is built unless there is one of the same content.
fn provide(name: &str, context: &Path) -> Result<String> {
    let tag = format!("{PREFIX}/{name}:{}", hash(context)?);
    if !exists(&tag) {
        build_one(&tag, context)?;
        forget_old(&format!("{PREFIX}/{name}"))?;
    }
    Ok(tag)
}

/// The same, where there is a daemon to build them with.
pub(crate) fn build_if_docker_answers() -> Result<bool> {
    if !docker_answers() {
        return Ok(false);
    }
    build().map(|()| true)
}

fn place() -> PathBuf {
    shell::target_directory().join("conformance")
}

fn images() -> PathBuf {
    shell::root().join("conformance/images")
}

fn name_of(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(OsStr::to_str);
    Ok(name.context("a name is text")?.to_owned())
}

/// What Docker gets to see of a folder, in a place where more can be added.
fn copy_of(folder: &Path) -> Result<PathBuf> {
    let context = place().join("images").join(name_of(folder)?);
    if context.exists() {
        fs::remove_dir_all(&context)?;
    }
    fs::create_dir_all(&context)?;
    for file in files(folder)? {
        fs::copy(&file, context.join(name_of(&file)?))?;
    }
    Ok(context)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = entries.collect::<Result<_>>()?;
    files.retain(|file| file.is_file());
    files.sort();
    Ok(files)
}

fn hash(context: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files(context)? {
        let bytes = fs::read(&file)?;
        hash.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    let digest = hash.finalize();
    Ok(digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn exists(tag: &str) -> bool {
    let mut inspect = command("docker");
    inspect.args(["image", "inspect", tag]);
    inspect.output().is_ok_and(|output| output.status.success())
}

fn build_one(tag: &str, context: &Path) -> Result<()> {
    let file = fs::read_to_string(context.join("Dockerfile"))?;
    let mut bases = file.lines().filter_map(|line| line.strip_prefix("FROM "));
    if bases.any(|base| base.trim() == base::TAG) {
        base::provide()?;
    }
    let mut build = command("docker");
    // The host's network, since only the host is sure to reach the package archive.
    build.args(["build", "--quiet", "--network=host", "--tag", tag]);
    for proxy in ["http_proxy", "https_proxy", "no_proxy"] {
        if std::env::var_os(proxy).is_some() {
            build.args(["--build-arg", proxy]);
        }
    }
    println!("building: {tag}");
    // What it says on the way is of interest only when it fails.
    output(build.arg(context)).map(drop)
}

/// Removes all but the newest versions of an image. One that is in use stays.
fn forget_old(repository: &str) -> Result<()> {
    let tags = output(command("docker").args([
        "image",
        "ls",
        "--format={{.Repository}}:{{.Tag}}",
        repository,
    ]))?;
    for old in tags.lines().skip(KEPT) {
        command("docker").args(["image", "rm", old]).output()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_of_names_and_contents() {
        let hash_of = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(folder.path().join(name), text).unwrap();
            }
            hash(folder.path()).unwrap()
        };
        let one = hash_of(&[("Dockerfile", "FROM scratch"), ("a", "b")]);
        assert_eq!(one, hash_of(&[("a", "b"), ("Dockerfile", "FROM scratch")]));
        for other in [
            hash_of(&[("Dockerfile", "FROM scratch"), ("a", "c")]),
            hash_of(&[("Dockerfile", "FROM scratch"), ("b", "b")]),
            hash_of(&[("Dockerfile", "FROM scratch")]),
        ] {
            assert_ne!(one, other);
        }
    }
}
