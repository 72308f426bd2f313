//! The gateway under test, as a process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::process::Command;

use super::admin::Admin;
use super::document::Document;
use super::ports::free_port;
use super::process::{Log, Process};
use super::scene::Prop;
use super::{Programs, until};

/// A debug build on a busy machine takes its time.
const START: Duration = Duration::from_secs(20);

/// The access log, in the gateway's folder.
const ACCESS_LOG: &str = "access.log";

/// Where the gateway's configuration comes from.
#[derive(Debug)]
enum Source {
    File(PathBuf),
    State(PathBuf),
}

/// What a gateway is started with besides its configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Launch {
    /// How long requests and tunnels have after SIGTERM.
    pub(crate) drain_seconds: u64,
    /// Whether there is an access log, in a file.
    pub(crate) access_log: bool,
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            drain_seconds: 5,
            access_log: false,
        }
    }
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    process: Process,
    pub(crate) admin: Admin,
    program: PathBuf,
    folder: Prop<tempfile::TempDir>,
    source: Source,
    launch: Launch,
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
        let folder = folder()?;
        let file = folder.path().join("gateway.json");
        write(&file, &document)?;
        let launch = Launch::default();
        let mut gateway = Self::spawn(
            &programs.gateway,
            folder,
            Source::File(file),
            launch,
            wrapper,
        )?;
        gateway.ready().await?;
        Ok(gateway)
    }

    /// `gateway run --state`, ready, with `document` put by the API.
    pub(crate) async fn with_state(programs: &Programs, document: Document) -> Result<Self> {
        Self::with_state_as(programs, document, Launch::default()).await
    }

    /// The same, launched so.
    pub(crate) async fn with_state_as(
        programs: &Programs,
        document: Document,
        launch: Launch,
    ) -> Result<Self> {
        let folder = folder()?;
        let state = Source::State(folder.path().join("state"));
        let mut gateway = Self::spawn(&programs.gateway, folder, state, launch, None)?;
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

    fn spawn(
        program: &Path,
        folder: Prop<tempfile::TempDir>,
        source: Source,
        launch: Launch,
        wrapper: Option<&[String]>,
    ) -> Result<Self> {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut command = command(program, &source, admin, wrapper);
        add(&mut command, launch, &folder);
        let mut process = Process::start("gateway", &mut command)?;
        process.describe(&format!("admin API http://{admin}/v1/config"));
        Ok(Self {
            process,
            admin: Admin(admin),
            program: program.to_owned(),
            folder,
            source,
            launch,
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
        let mut command = command(&self.program, &self.source, self.admin.0, None);
        add(&mut command, self.launch, &self.folder);
        self.process = Process::start("gateway", &mut command)?;
        self.process
            .describe(&format!("admin API http://{}/v1/config", self.admin.0));
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
        let limit = Duration::from_secs(self.launch.drain_seconds + 5);
        self.process.terminate(limit).await
    }

    /// The records of the access log so far.
    pub(crate) fn access_log(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.folder.path().join(ACCESS_LOG))?;
        // The last line may not be whole yet.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let records = whole.lines().map(serde_json::from_str);
        records
            .collect::<Result<_, _>>()
            .context("the access log is not JSON")
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

/// For the configuration, and whatever the gateway keeps.
fn folder() -> Result<Prop<tempfile::TempDir>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().display();
    let what = format!("the gateway's folder {path}  (rm -r {path})");
    Ok(Prop::new(folder, what))
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
        .args(["--workers", "2", "--log", "text"])
        .args([
            "--log-level",
            "info,gateway_proxy=debug,gateway_probe=debug",
        ])
        // The place of a panic is enough; a trace would push everything else out of the report.
        .env("RUST_BACKTRACE", "0");
    command
}

fn add(command: &mut Command, launch: Launch, folder: &tempfile::TempDir) {
    command.args(["--drain-timeout", &launch.drain_seconds.to_string()]);
    command.arg("--access-log");
    match launch.access_log {
        true => command.arg(folder.path().join(ACCESS_LOG)),
        false => command.arg("off"),
    };
}

pub(crate) fn write(file: &Path, document: &Document) -> Result<()> {
    let text = serde_json::to_string_pretty(&document.clone().into_json())?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
