//! Which cores the processes of a benchmark run on.

use std::path::Path;
use std::process::Command;

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
