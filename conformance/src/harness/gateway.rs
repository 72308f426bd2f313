//! The gateway under test, as a process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use super::admin::Admin;
use super::document::Document;
use super::ports::free_port;
use super::process::{Log, Process};
use super::{Programs, until};

/// A debug build on a busy machine takes its time.
const START: Duration = Duration::from_secs(20);

/// Where the gateway's configuration comes from.
#[derive(Debug)]
enum Source {
    File(PathBuf),
    State(PathBuf),
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    process: Process,
    pub(crate) admin: Admin,
    program: PathBuf,
    folder: tempfile::TempDir,
    source: Source,
}

impl Gateway {
    /// `gateway run --config`, ready.
    pub(crate) async fn with_file(programs: &Programs, document: Document) -> Result<Self> {
        Self::with_file_in(programs, document, None).await
    }

    /// The same, inside `wrapper`: a program that ends by becoming the one it is given.
    pub(crate) async fn with_file_in(
        programs: &Programs,
        document: Document,
        wrapper: Option<&[String]>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("gateway.json");
        write(&file, &document)?;
        Self::start(&programs.gateway, folder, Source::File(file), wrapper).await
    }

    /// `gateway run --state`, ready, with `document` put by the API.
    pub(crate) async fn with_state(programs: &Programs, document: Document) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let state = folder.path().join("state");
        let mut gateway = Self::spawn(&programs.gateway, folder, Source::State(state), None)?;
        let admin = gateway.admin;
        gateway
            .answers("the admin API answers", async || {
                Ok(admin.request("GET", "/healthz", "", None).await?.status == 200)
            })
            .await?;
        admin.put("/v1/config", &document.into_json()).await?;
        gateway.ready().await?;
        Ok(gateway)
    }

    async fn start(
        program: &Path,
        folder: tempfile::TempDir,
        source: Source,
        wrapper: Option<&[String]>,
    ) -> Result<Self> {
        let mut gateway = Self::spawn(program, folder, source, wrapper)?;
        gateway.ready().await?;
        Ok(gateway)
    }

    fn spawn(
        program: &Path,
        folder: tempfile::TempDir,
        source: Source,
        wrapper: Option<&[String]>,
    ) -> Result<Self> {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let process = Process::start("gateway", &mut command(program, &source, admin, wrapper))?;
        Ok(Self {
            process,
            admin: Admin(admin),
            program: program.to_owned(),
            folder,
            source,
        })
    }

    async fn ready(&mut self) -> Result<()> {
        let admin = self.admin;
        self.answers("the gateway is ready", async || admin.is_ready().await)
            .await
    }

    /// Waits until `asked` says yes; fails at once when the process ends.
    async fn answers(&mut self, what: &str, asked: impl AsyncFn() -> Result<bool>) -> Result<()> {
        let process = &mut self.process;
        let answered = until(what, START, async || {
            if let Err(ended) = process.is_running() {
                return Ok(Some(Err(ended)));
            }
            Ok(asked().await?.then_some(Ok(())))
        });
        let answered = answered.await.and_then(|answered| answered);
        answered.with_context(|| format!("the gateway says:\n{}", self.process.log.tail(20)))
    }

    /// `kill -9`, and a new process from the same state.
    pub(crate) async fn kill_and_restart(&mut self) -> Result<()> {
        self.process.kill().await?;
        let command = &mut command(&self.program, &self.source, self.admin.0, None);
        self.process = Process::start("gateway", command)?;
        self.ready().await
    }

    /// Replaces the configuration file at once, as editors and orchestrators do.
    pub(crate) fn replace_file(&self, text: &str) -> Result<()> {
        let Source::File(file) = &self.source else {
            anyhow::bail!("this gateway has no configuration file");
        };
        let new = self.folder.path().join("gateway.json.new");
        std::fs::write(&new, text)?;
        Ok(std::fs::rename(&new, file)?)
    }

    pub(crate) async fn terminate(&mut self) -> Result<std::process::ExitStatus> {
        self.process.terminate(Duration::from_secs(10)).await
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        self.process.resident_kib()
    }

    /// How many descriptors are open.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        self.process.descriptors()
    }

    pub(crate) fn log(&self) -> &Log {
        &self.process.log
    }
}

fn command(
    program: &Path,
    source: &Source,
    admin: SocketAddr,
    wrapper: Option<&[String]>,
) -> Command {
    let mut command = match wrapper.and_then(<[String]>::split_first) {
        None => Command::new(program),
        Some((wrapper, arguments)) => {
            let mut command = Command::new(wrapper);
            command.args(arguments).arg(program);
            command
        }
    };
    command.arg("run");
    match source {
        Source::File(file) => command.arg("--config").arg(file),
        Source::State(folder) => command.arg("--state").arg(folder),
    };
    command
        .args(["--admin", &admin.to_string()])
        .args(["--workers", "2", "--log", "text", "--access-log", "off"])
        .args([
            "--log-level",
            "info,gateway_proxy=debug,gateway_probe=debug",
        ])
        .args(["--drain-timeout", "5"])
        // The place of a panic is enough; a trace would push everything else out of the report.
        .env("RUST_BACKTRACE", "0");
    command
}

pub(crate) fn write(file: &Path, document: &Document) -> Result<()> {
    let text = serde_json::to_string_pretty(&document.clone().into_json())?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
