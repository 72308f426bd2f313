//! A child process: started, listened to, and ended by its own id. It never outlives its owner.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// So many of a process's lines are kept.
const MAX_LINES: usize = 2000;

/// What a process wrote, newest last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// The last `count` lines, as one text.
    pub(crate) fn tail(&self, count: usize) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

/// A running child. It is killed when this is dropped, by panic and Ctrl-C too.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    pub(crate) log: Log,
    readers: JoinSet<()>,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}: {:?}", command.as_std()))?;
        let log = Log::default();
        let mut readers = JoinSet::new();
        if let Some(output) = child.stdout.take() {
            readers.spawn(collect(output, log.clone()));
        }
        if let Some(output) = child.stderr.take() {
            readers.spawn(collect(output, log.clone()));
        }
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
            readers,
        })
    }

    /// Fails when the process has ended, with what it said last.
    pub(crate) fn is_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.log.tail(20)),
        }
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let id = self.child.id().context("the process has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("no VmRSS")?.parse()?)
    }

    /// How many descriptors are open.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        let id = self.child.id().context("the process has ended")?;
        Ok(std::fs::read_dir(format!("/proc/{id}/fd"))?.count())
    }

    /// `kill -9`, and waits for the end.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await?;
        self.settle().await;
        Ok(())
    }

    /// Asks the process to end (SIGTERM), and waits for it.
    pub(crate) async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        if let Some(id) = self.child.id() {
            signal(id, "TERM").await?;
        }
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        let status = ended.with_context(|| format!("{} does not end", self.name))??;
        self.settle().await;
        Ok(status)
    }

    /// What was written before the end has been read.
    async fn settle(&mut self) {
        while self.readers.join_next().await.is_some() {}
    }
}

/// Sends a signal by name to a process of ours.
async fn signal(id: u32, name: &str) -> Result<()> {
    let status = Command::new("kill")
        .args([format!("-{name}"), id.to_string()])
        .status()
        .await?;
    if !status.success() {
        bail!("kill -{name} {id}: {status}");
    }
    Ok(())
}

async fn collect(output: impl AsyncRead + Unpin, log: Log) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.push(line);
    }
}
