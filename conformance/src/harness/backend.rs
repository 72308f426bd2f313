//! A real backend, as a process.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use super::admin::Admin;
use super::process::Process;
use super::{PATIENCE, Programs, until};

/// A running `test-backend`.
#[derive(Debug)]
pub(crate) struct TestBackend {
    process: Process,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    control: Admin,
}

impl TestBackend {
    pub(crate) async fn start(programs: &Programs, name: &str) -> Result<Self> {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(programs, name, anywhere, None).await
    }

    /// At a given address; over TLS with the certificate and key in `tls`.
    pub(crate) async fn start_at(
        programs: &Programs,
        name: &str,
        listen: SocketAddr,
        tls: Option<&Path>,
    ) -> Result<Self> {
        let mut command = Command::new(&programs.backend);
        command
            .args(["--name", name, "--listen", &listen.to_string()])
            .args(["--control", "127.0.0.1:0"]);
        if let Some(file) = tls {
            command.arg("--tls").arg(file);
        }
        let mut process = Process::start(name, &mut command)?;
        let said = until("the backend says where it listens", PATIENCE, async || {
            process.is_running()?;
            let lines = process.log.lines();
            Ok(lines
                .iter()
                .find_map(|line| serde_json::from_str::<Value>(line).ok()))
        })
        .await?;
        let at = |key: &str| said[key].as_str().and_then(|text| text.parse().ok());
        let address = at("address").with_context(|| format!("no address in {said}"))?;
        let control = at("control").with_context(|| format!("no control in {said}"))?;
        Ok(Self {
            process,
            name: name.to_owned(),
            address,
            control: Admin(control),
        })
    }

    /// `POST /_fault...`
    pub(crate) async fn fault(&self, order: &str) -> Result<()> {
        let answer = self
            .control
            .request("POST", &format!("/_fault{order}"), "", None)
            .await?;
        ensure!(answer.status == 200, "fault {order}: {}", answer.text());
        Ok(())
    }

    /// Nothing is wrong any more.
    pub(crate) async fn heal(&self) -> Result<()> {
        self.control.request("DELETE", "/_fault", "", None).await?;
        Ok(())
    }

    /// The targets of the requests that it saw, but for `/health`.
    pub(crate) async fn requests(&self) -> Result<Vec<String>> {
        let seen = self.control.get("/_requests").await?;
        let targets = seen.as_array().into_iter().flatten();
        let targets = targets.filter_map(|request| request["target"].as_str());
        Ok(targets
            .filter(|&target| target != "/health")
            .map(str::to_owned)
            .collect())
    }

    /// How often it was probed.
    pub(crate) async fn probes(&self) -> Result<usize> {
        let seen = self.control.get("/_requests").await?;
        let targets = seen.as_array().into_iter().flatten();
        Ok(targets
            .filter(|request| request["target"] == "/health")
            .count())
    }

    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }
}
