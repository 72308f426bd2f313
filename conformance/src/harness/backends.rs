//! Where the backends of a run live, and what the report says of it.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::containers::{Containers, daemon};

/// What `--backends` may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// Containers, each with an address of its own
    Docker,
    /// Processes of this machine
    Process,
}

/// Where the backends live.
#[derive(Clone)]
pub(crate) struct Backends {
    containers: Option<Rc<Containers>>,
    /// Docker's version, or why there are no containers.
    told: String,
}

impl Backends {
    /// Containers where they are asked for, or where nothing is asked and they can be had. Nothing may
    /// be left out in CI: there a Docker that cannot be used is an error.
    pub(crate) async fn choose(choice: Option<Choice>, images: &Path) -> Result<Self> {
        if choice == Some(Choice::Process) {
            return Ok(Self::processes("as asked"));
        }
        match Self::in_containers(images).await {
            Ok(backends) => Ok(backends),
            Err(error) if choice.is_some() => Err(error.context("--backends docker")),
            Err(error) if is_ci() && has_docker() => {
                Err(error.context("CI leaves nothing out, and Docker is installed"))
            }
            Err(error) => Ok(Self::processes(&format!("{error:#}"))),
        }
    }

    async fn in_containers(images: &Path) -> Result<Self> {
        let version = daemon().await.context("no Docker daemon")?;
        Ok(Self {
            containers: Some(Containers::open(images).await?),
            told: format!("Docker {version}"),
        })
    }

    pub(crate) fn processes(why: &str) -> Self {
        Self {
            containers: None,
            told: why.to_owned(),
        }
    }

    pub(crate) fn containers(&self) -> Option<&Rc<Containers>> {
        self.containers.as_ref()
    }

    /// The report's first line. `left_out` are the scenarios that did not run for want of containers.
    pub(crate) fn headline(&self, left_out: &[String]) -> String {
        let of_stories = match &self.containers {
            Some(containers) => {
                format!("containers ({}, {} started)", self.told, containers.count())
            }
            None => format!("processes only ({})", self.told),
        };
        let mut line =
            format!("backends: {of_stories}; of cases on the wire, recorders in this program");
        if !left_out.is_empty() {
            line += &format!("; so did not run: {}", left_out.join("; "));
        }
        line
    }

    /// Whether it is a failure to leave these out.
    pub(crate) fn check(&self, left_out: &[String]) -> Result<()> {
        if !left_out.is_empty() && is_ci() && has_docker() {
            bail!(
                "CI leaves nothing out, and Docker is installed; did not run: {}",
                left_out.join("; ")
            );
        }
        Ok(())
    }

    /// Leaves no container and no network behind.
    pub(crate) async fn close(&self) -> Result<()> {
        match &self.containers {
            Some(containers) => containers.close().await,
            None => Ok(()),
        }
    }
}

fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Whether Docker is meant to work here.
fn has_docker() -> bool {
    if std::env::var_os("DOCKER_HOST").is_some() || Path::new("/var/run/docker.sock").exists() {
        return true;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("dockerd").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_names_what_did_not_run() {
        let backends = Backends::processes("as asked");
        assert_eq!(
            backends.headline(&[]),
            "backends: processes only (as asked); of cases on the wire, recorders in this program"
        );
        let left_out = ["group/one".to_owned(), "group/two, too".to_owned()];
        assert_eq!(
            backends.headline(&left_out),
            "backends: processes only (as asked); of cases on the wire, recorders in this program; \
             so did not run: group/one; group/two, too"
        );
    }
}
