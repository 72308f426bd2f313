//! Attacks on parsing: each is data in `conformance/attacks/`, bytes in and allowed outcomes, judged at
//! the recording backend like every wire case.
//!
//! This is what an attack is. [`read`] reads the files, whose format is in `conformance/attacks/README.md`;
//! [`judge`] plays one, and compares what happened with what may happen.

mod judge;
mod read;

use std::fs;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};

use crate::harness::recorder::{Reply, Then};
use crate::scenario::{Plot, Scenario, Step, Transport, WireCase};

const GROUP: &str = "attacks";

/// One attack, as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attack {
    name: String,
    clause: String,
    /// What would go wrong.
    why: String,
    over_tls: bool,
    /// The outcomes are stricter than the clause.
    ours: bool,
    send: Vec<u8>,
    /// Bytes that the backend answers with, and what it does then.
    reply: Option<(Vec<u8>, Then)>,
    allowed: Vec<Outcome>,
    /// The first request that the backend saw, if it saw one.
    backend: Vec<Claim>,
    /// The last answer that the client got, if it got one.
    client: Vec<Claim>,
}

/// One way in which an attack may end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    /// The answers that the client gets, in order.
    answers: Vec<Expected>,
    /// Then the connection ends without another byte.
    closes: bool,
    /// Method and target of each request that the backend sees, in order.
    requests: Vec<String>,
}

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expected {
    status: u16,
    /// It is seen not to be whole.
    broken: bool,
}

/// What a head or body must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Claim {
    Field(String, String),
    NoField(String),
    Body(String),
}

/// The scenarios of all files in `folder`, by the files' names.
pub(crate) fn scenarios(folder: &Path) -> Result<Vec<Scenario>> {
    let entries = fs::read_dir(folder);
    let entries = entries.with_context(|| format!("no attacks in {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "txt") {
            files.push(file);
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "no attacks in {}", folder.display());
    let mut scenarios: Vec<Scenario> = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        let attacks = read::attacks(&text);
        // An editor finds `FILE:LINE`.
        let attacks = attacks.map_err(|error| {
            anyhow::anyhow!("{}:{}: {}", file.display(), error.line, error.what)
        })?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        for attack in attacks {
            let name = format!("{stem}: {}", attack.name);
            let taken = scenarios.iter().any(|other| other.name == name);
            ensure!(
                !taken,
                "{}: two attacks are called [{}]",
                file.display(),
                attack.name
            );
            scenarios.push(attack.into_scenario(name));
        }
    }
    Ok(scenarios)
}

impl Attack {
    fn into_scenario(self, name: String) -> Scenario {
        let reply = self.reply.clone().map(|(bytes, then)| Reply {
            text: String::new(),
            tail: bytes,
            then,
            quiet_first: false,
        });
        let transport = if self.over_tls {
            Transport::Tls
        } else {
            Transport::Plain
        };
        Scenario {
            group: GROUP,
            name,
            // Read once, and needed to the end of the process.
            clause: self.clause.clone().leak(),
            plot: Plot::Wire(WireCase {
                transport,
                reply,
                ours: self.ours,
                steps: vec![Step::Attack(Rc::new(self))],
                saw: Vec::new(),
                slow: false,
            }),
        }
    }
}
