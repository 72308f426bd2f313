//! Processes that a command starts: what they cost, and their end.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{self, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::command;

/// A running child; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    pub(crate) port: u16,
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
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
    pub(crate) fn start(command: &mut Command, port: u16) -> Result<Self> {
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

    /// Starts `command`, which says in its first line where it listens: an address or a port. Its
    /// standard input ends with us.
    pub(crate) fn that_says_its_port(command: &mut Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().context("no output")?;
        let mut child = Self { process, port: 0 };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        child.port = port_in(&line).with_context(|| format!("no port in {line:?}"))?;
        Ok(child)
    }

    /// Starts `command`, which comes to its own end.
    pub(crate) fn that_ends(command: &mut Command) -> Result<Self> {
        let process = command.stdin(Stdio::null()).spawn()?;
        Ok(Self { process, port: 0 })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// CPU time of the process and its children so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration> {
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
    pub(crate) fn resident_kib(&self) -> Result<u64> {
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

fn port_in(line: &str) -> Option<u16> {
    let address = line
        .split('"')
        .find_map(|text| text.parse::<SocketAddr>().ok());
    address
        .map(|address| address.port())
        .or_else(|| line.trim().parse().ok())
}

/// Between two looks at a state that is waited for.
#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two looks at a state"
)]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

#[cfg(test)]
mod tests {
    use super::port_in;

    #[test]
    fn ports_are_said_as_address_or_number() {
        let rows = [
            (r#"{"name":"b","address":"127.0.0.1:9001"}"#, Some(9001)),
            ("40001\n", Some(40001)),
            ("no port", None),
            ("", None),
        ];
        for (line, expected) in rows {
            assert_eq!(port_in(line), expected, "{line:?}");
        }
    }
}
