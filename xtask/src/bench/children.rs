//! The processes of a benchmark: where they run, what they cost, and their end.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{command, is_installed};

/// Which cores the proxy gets for itself, and which ones everybody else.
#[derive(Debug)]
pub(super) struct Cores {
    pinned: Option<(String, String)>,
}

impl Cores {
    /// The proxy gets core 0 where there are others and `taskset` is here.
    pub(super) fn of_this_machine() -> Self {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let pinned = (count > 1 && is_installed("taskset"))
            .then(|| ("0".to_owned(), format!("1-{}", count - 1)));
        Self { pinned }
    }

    /// A command that runs beside the proxy, with as many descriptors as the machine allows.
    pub(super) fn beside(&self, program: &Path) -> Command {
        self.command(program, self.pinned.as_ref().map(|(_, others)| others))
    }

    /// A command that has the proxy's core.
    pub(super) fn proxy(&self, program: &Path) -> Command {
        self.command(program, self.pinned.as_ref().map(|(proxy, _)| proxy))
    }

    fn command(&self, program: &Path, cores: Option<&String>) -> Command {
        let mut command = command("sh");
        // The shell and taskset become the program, so that its id is the child's.
        command.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"", "sh"]);
        if let Some(cores) = cores {
            command.args(["taskset", "--cpu-list", cores]);
        }
        command.arg(program);
        command
    }

    /// For the report.
    pub(super) fn describe(&self) -> &'static str {
        match self.pinned {
            Some(_) => "the proxy on a core of its own, everything else on the others",
            None => "all processes on all cores",
        }
    }
}

/// A running child; it is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    pub(super) port: u16,
}

impl Drop for Child {
    fn drop(&mut self) {
        // A master that is killed outright would leave its workers.
        let asked = command("kill").arg(self.process.id().to_string()).status();
        let patience = Instant::now() + Duration::from_secs(2);
        while asked.is_ok() && Instant::now() < patience {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            pause();
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Child {
    /// Starts `command`, and waits until it listens on `port`.
    pub(super) fn start(command: &mut Command, port: u16) -> Result<Self> {
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let mut child = Self { process, port };
        let patience = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = child.process.try_wait()? {
                bail!("it ended: {status}");
            }
            anyhow::ensure!(Instant::now() < patience, "nothing listens on port {port}");
            pause();
        }
        Ok(child)
    }

    /// The test backend, on a port of its own choice.
    pub(super) fn backend(program: &Path, cores: &Cores) -> Result<Self> {
        let mut process = cores
            .beside(program)
            .args(["--record", "0", "--name", "benchmark"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().context("no output")?;
        let mut child = Self { process, port: 0 };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line
            .split('"')
            .find_map(|text| text.parse::<SocketAddr>().ok());
        child.port = address
            .with_context(|| format!("no address in {line:?}"))?
            .port();
        Ok(child)
    }

    /// CPU time of the process and its children so far, user and system.
    pub(super) fn cpu(&self) -> Result<Duration> {
        /// What Linux tells /proc in, on every architecture.
        const TICKS_PER_SECOND: u32 = 100;
        let mut ticks = 0;
        for id in self.family()? {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
            // The name, in parentheses, may hold anything; utime and stime are fields 14 and 15.
            let after = stat
                .rsplit_once(')')
                .context("no name in /proc/.../stat")?
                .1;
            let fields: Vec<&str> = after.split_whitespace().collect();
            for field in fields.get(11..13).context("too few fields")? {
                ticks += field.parse::<u32>()?;
            }
        }
        Ok(Duration::from_secs(1) * ticks / TICKS_PER_SECOND)
    }

    /// Resident memory of the process and its children, in KiB.
    pub(super) fn resident_kib(&self) -> Result<u64> {
        let mut total = 0;
        for id in self.family()? {
            let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = line.and_then(|line| line.split_whitespace().next());
            total += kib.context("no VmRSS")?.parse::<u64>()?;
        }
        Ok(total)
    }

    fn family(&self) -> Result<Vec<u32>> {
        let id = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let mut family = vec![id];
        for child in children.unwrap_or_default().split_whitespace() {
            family.push(child.parse()?);
        }
        Ok(family)
    }
}

/// A port that is free now.
pub(super) fn free_port() -> Result<u16> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(socket.local_addr()?.port())
}

/// Between two looks at a state that is waited for.
#[allow(clippy::disallowed_methods)] // Always inside a loop that ends by the state or a deadline.
pub(super) fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
