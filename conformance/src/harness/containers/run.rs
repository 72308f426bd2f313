//! Who a run is, in a label: from it every later run knows whether this one is still alive.

use std::fmt;
use std::fs;
use std::str::FromStr;

use anyhow::{Context, Result};

/// A process of a machine since its start. A process id alone would come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunId {
    /// This start of the machine, and the namespace that the process id is of.
    machine: String,
    process: u32,
    /// When the process began, in ticks since the machine's start.
    began: u64,
}

impl RunId {
    pub(super) fn of_this_process() -> Result<Self> {
        let process = std::process::id();
        Ok(Self {
            machine: machine()?,
            process,
            began: began(process).context("cannot read /proc/self/stat")?,
        })
    }

    /// Whether the run is surely over. Nothing is known of other machines, whose runs may use the
    /// same daemon.
    pub(super) fn is_dead(&self) -> Result<bool> {
        Ok(self.machine == machine()? && began(self.process) != Some(self.began))
    }
}

fn machine() -> Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let processes = fs::read_link("/proc/self/ns/pid")?;
    let digits = processes.to_string_lossy();
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    Ok(format!("{}{digits}", boot.trim().replace('-', "")))
}

fn began(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may hold anything; field 22 is the 20th after it (proc(5)).
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.machine, self.process, self.began)
    }
}

impl FromStr for RunId {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split('-');
        let mut next = || parts.next().context("no run");
        Ok(Self {
            machine: next()?.to_owned(),
            process: next()?.parse()?,
            began: next()?.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_lives_as_long_as_its_process() {
        let this = RunId::of_this_process().unwrap();
        assert_eq!(this.to_string().parse::<RunId>().unwrap(), this);
        assert!(!this.is_dead().unwrap());
        let another_process_of_that_number = RunId {
            began: this.began + 1,
            ..this.clone()
        };
        assert!(another_process_of_that_number.is_dead().unwrap());
        let elsewhere = RunId {
            machine: "elsewhere".to_owned(),
            ..another_process_of_that_number
        };
        assert!(!elsewhere.is_dead().unwrap());
    }
}
