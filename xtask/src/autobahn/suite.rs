//! Where the suite's client comes from: an environment of its own for Python 2.7, which it is written
//! in, or its public container image. And the environment of the server behind the gateway.
//!
//! Environments live in `target/autobahn`, and are made anew when their list of packages changes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::shell::{self, command, is_installed, output};

/// The suite's public image.
pub(super) const IMAGE: &str = "crossbario/autobahn-testsuite";

/// The last version that makes environments for Python 2.7.
const VIRTUALENV: &str = "virtualenv==20.15.1";

/// The fuzzing client.
#[derive(Debug)]
pub(super) enum Suite {
    /// `wstest` of an environment.
    Environment(PathBuf),
    /// The image, which may see this folder.
    Container { folder: PathBuf },
}

/// The suite, if the machine can have it. That it cannot be installed where Python 2.7 is found is an
/// error.
pub(super) fn find(folder: &Path) -> Result<Option<Suite>> {
    if let Some(python) = interpreters()
        .into_iter()
        .find(|python| is_python_2_7(python))
    {
        let environment = environment(
            &folder.join("fuzzing-client"),
            "fuzzing-client.txt",
            &|place| virtualenv(&python, folder, place),
        );
        let environment = environment
            .with_context(|| format!("cannot install the suite for {}", python.display()))?;
        return Ok(Some(Suite::Environment(environment.join("bin/wstest"))));
    }
    let folder = folder.to_owned();
    Ok(image_is_here().then_some(Suite::Container { folder }))
}

impl Suite {
    /// Runs what `specification` says.
    pub(super) fn command(&self, specification: &Path) -> Command {
        let mut command = match self {
            Self::Environment(wstest) => {
                let mut command = command(wstest);
                // What the last Python 2 packages say about Python 2.
                command.env("PYTHONWARNINGS", "ignore");
                command
            }
            Self::Container { folder } => {
                let mut command = command("docker");
                let volume = format!("{0}:{0}", folder.display());
                command
                    .args(["run", "--rm", "--init", "--network=host", "--volume"])
                    .args([volume.as_str(), IMAGE, "wstest"]);
                command
            }
        };
        command
            .args(["--mode", "fuzzingclient", "--spec"])
            .arg(specification);
        command
    }
}

/// Where a Python 2.7 may be: on the PATH, or among pyenv's.
fn interpreters() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("python2.7"), PathBuf::from("python2")];
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv"));
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home);
    let versions = pyenv.and_then(|root| fs::read_dir(root.join("versions")).ok());
    for version in versions.into_iter().flatten().flatten() {
        if version.file_name().to_string_lossy().starts_with("2.7") {
            found.push(version.path().join("bin/python2.7"));
        }
    }
    found
}

/// pyenv puts commands on the PATH that only say which versions there are.
fn is_python_2_7(python: &Path) -> bool {
    let said = command(python)
        .args([
            "-c",
            "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])",
        ])
        .output();
    said.is_ok_and(|said| said.status.success() && said.stdout == b"2.7")
}

/// The interpreter of the server's environment.
pub(super) fn server_environment(folder: &Path) -> Result<PathBuf> {
    ensure!(
        shell::provide("python3", &["python3", "python3-venv"])?,
        "python3 is needed for the server behind the gateway: apt-get install python3 python3-venv"
    );
    let environment = environment(&folder.join("echo-server"), "echo-server.txt", &|place| {
        let made = output(command("python3").args(["-m", "venv"]).arg(place));
        made.map(drop)
            .context("python3 makes no environment: apt-get install python3-venv")
    });
    let environment = environment.context("cannot install the server behind the gateway")?;
    Ok(environment.join("bin/python"))
}

/// The environment at `place`, with the packages in `conformance/autobahn/LIST`; made by `make` where
/// there is none with just those.
fn environment(place: &Path, list: &str, make: &dyn Fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let list = shell::root().join("conformance/autobahn").join(list);
    let wanted = fs::read_to_string(&list)?;
    // Written last, so that half an environment has none.
    let mark = place.join("installed.txt");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(place.to_owned());
    }
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    println!("installing {} into {}", list.display(), place.display());
    make(place)?;
    output(
        pip_install(&place.join("bin/python"))
            .args(["--no-deps", "--requirement"])
            .arg(&list),
    )?;
    fs::write(mark, wanted)?;
    Ok(place.to_owned())
}

/// Asks again where the package index does not answer, for up to some minutes.
fn pip_install(python: &Path) -> Command {
    let mut command = command(python);
    command.args(["-m", "pip", "install", "--quiet", "--retries", "10"]);
    command
}

/// Python 2.7 has no module for environments of its own.
fn virtualenv(python: &Path, folder: &Path, place: &Path) -> Result<()> {
    let tool = folder.join("virtualenv");
    if tool.exists() {
        fs::remove_dir_all(&tool)?;
    }
    output(
        pip_install(python)
            .arg("--target")
            .arg(&tool)
            .arg(VIRTUALENV),
    )?;
    output(
        command(python)
            .env("PYTHONPATH", &tool)
            .args(["-m", "virtualenv", "--quiet"])
            .arg(place),
    )?;
    Ok(())
}

/// Whether the image is here, or can be fetched.
fn image_is_here() -> bool {
    let succeeds = |arguments: &[&str]| {
        let output = command("docker").args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    is_installed("docker")
        && (succeeds(&["image", "inspect", IMAGE]) || succeeds(&["pull", "--quiet", IMAGE]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_sees_the_folder_and_the_machines_ports() {
        let folder = PathBuf::from("/built/autobahn");
        let suite = Suite::Container { folder };
        let command = suite.command(Path::new("/built/autobahn/reports/specification.json"));
        let arguments: Vec<_> = command
            .get_args()
            .map(|one| one.to_string_lossy())
            .collect();
        assert_eq!(
            arguments.join(" "),
            "run --rm --init --network=host --volume /built/autobahn:/built/autobahn \
             crossbario/autobahn-testsuite wstest --mode fuzzingclient \
             --spec /built/autobahn/reports/specification.json"
        );
    }

    #[test]
    fn what_is_no_python_2_7_is_passed_over() {
        assert!(!is_python_2_7(Path::new("python3")));
        assert!(!is_python_2_7(Path::new("/there/is/no/python2.7")));
    }
}
