//! A child process: started, listened to, and ended by its own id. It never outlives its owner.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::scene::{Prop, Scene};
use super::{between_looks, until};

/// So many of a process's lines are kept.
const MAX_LINES: usize = 2000;

/// What a process wrote, newest last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    lines: VecDeque<String>,
    /// Those that are not kept any more.
    forgotten: usize,
}

impl Log {
    pub(super) fn push(&self, line: String) {
        let mut written = self.lock();
        if written.lines.len() == MAX_LINES {
            written.lines.pop_front();
            written.forgotten += 1;
        }
        written.lines.push_back(line);
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().cloned().collect()
    }

    /// How many lines there were so far.
    pub(super) fn count(&self) -> usize {
        let written = self.lock();
        written.forgotten + written.lines.len()
    }

    /// What came after the first `before` lines, the last `limit` lines of it.
    pub(super) fn since(&self, before: usize, limit: usize) -> Vec<String> {
        let written = self.lock();
        let fresh = written.lines.iter();
        let fresh: Vec<&String> = fresh
            .skip(before.saturating_sub(written.forgotten))
            .collect();
        let last = fresh.iter().skip(fresh.len().saturating_sub(limit));
        last.map(|line| (*line).clone()).collect()
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
    child: Prop<Child>,
    pub(crate) log: Log,
    readers: JoinSet<()>,
    /// Tells those who follow a file that nothing more comes.
    has_ended: Arc<AtomicBool>,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let scene = Scene::current();
        let folder = scene.as_ref().map(Scene::log_folder).transpose()?.flatten();
        // A pipe would end with us; a process that may be left standing writes to a file.
        let mut file = None;
        command.stdin(Stdio::null()).kill_on_drop(true);
        if let Some(folder) = folder {
            let (output, path) = tempfile::Builder::new()
                .prefix(&format!("{name}-"))
                .suffix(".log")
                .tempfile_in(folder)?
                .keep()?;
            command.stdout(output.try_clone()?).stderr(output);
            // Nor does it take the Ctrl-C that is meant for us.
            command.process_group(0);
            file = Some(path);
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {name}: {:?}", command.as_std()))?;
        let log = Log::default();
        if let Some(scene) = &scene {
            scene.watch(name, &log);
        }
        let has_ended = Arc::new(AtomicBool::new(false));
        let mut readers = JoinSet::new();
        let id = child.id().unwrap_or_default();
        let mut what = format!("{name}: process {id}  (kill {id})");
        if let Some(file) = file {
            what += &format!(", log {}", file.display());
            readers.spawn(follow(file, log.clone(), Arc::clone(&has_ended)));
        }
        if let Some(output) = child.stdout.take() {
            readers.spawn(collect(output, log.clone()));
        }
        if let Some(output) = child.stderr.take() {
            readers.spawn(collect(output, log.clone()));
        }
        Ok(Self {
            name: name.to_owned(),
            child: Prop::new(child, what),
            log,
            readers,
            has_ended,
        })
    }

    /// Where it can be found, when it is left standing.
    pub(crate) fn describe(&mut self, more: &str) {
        self.child.describe(more);
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

    /// The process stands still (SIGSTOP), or goes on (SIGCONT). The kernel still answers for it.
    pub(crate) async fn pause(&self, pause: bool) -> Result<()> {
        let id = self.child.id().context("the process has ended")?;
        signal(id, if pause { "STOP" } else { "CONT" }).await
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
        self.child.has_ended();
        self.has_ended.store(true, Ordering::Relaxed);
        while self.readers.join_next().await.is_some() {}
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended by itself leaves nothing standing, and its id may soon be another's.
        if !matches!(self.child.try_wait(), Ok(None)) {
            self.child.has_ended();
        }
    }
}

/// Waits for the end of the children that were killed by dropping them, so that none is left to
/// whoever adopts it. What is left standing does not end; then the limit does it.
pub(crate) async fn reap() {
    let limit = Duration::from_secs(2);
    let reaped = until("children end", limit, async || {
        // Every child was started by this thread.
        let children = std::fs::read_to_string("/proc/thread-self/children")?;
        Ok(children.trim().is_empty().then_some(()))
    });
    // Where the kernel does not tell, nothing is waited for that matters.
    let _ = reaped.await;
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

/// Reads a file that grows.
async fn follow(file: PathBuf, log: Log, has_ended: Arc<AtomicBool>) {
    let Ok(file) = tokio::fs::File::open(file).await else {
        return;
    };
    let mut reader = BufReader::new(file);
    let mut line = String::new();
    loop {
        let is_last = has_ended.load(Ordering::Relaxed);
        match reader.read_line(&mut line).await {
            Ok(0) if is_last => return,
            Ok(0) => between_looks().await,
            Ok(_) if !line.ends_with('\n') => {}
            Ok(_) => log.push(std::mem::take(&mut line).trim_end().to_owned()),
            Err(_) => return,
        }
    }
}

async fn collect(output: impl AsyncRead + Unpin, log: Log) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.push(line);
    }
}
