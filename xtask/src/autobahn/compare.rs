//! The suite's reports, and what is worse in one than in the other. No files, no processes.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Behavior {
    Ok,
    /// The suite has no opinion.
    Informational,
    /// Allowed, but another way would have been better.
    NonStrict,
    /// The server did not negotiate what the case is about.
    Unimplemented,
    /// Closed by another code than asked for.
    WrongCode,
    /// The connection broke instead of being closed.
    Unclean,
    FailedByClient,
    Failed,
    /// There is no report of it.
    Missing,
}

/// How the messages of a case went, and its close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) behavior: Behavior,
    pub(super) close: Behavior,
}

/// The outcomes of one lane by case, in the suite's order.
pub(super) type Outcomes = BTreeMap<CaseId, Outcome>;

/// `9.10.1` comes after `9.2.1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CaseId(Vec<u32>);

/// One run on all lanes.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) direct: Outcomes,
    pub(super) through: [Outcomes; 2],
}

/// A case that ended worse through the gateway.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Worse {
    pub(super) case: String,
    listener: &'static str,
    direct: Outcome,
    through: Outcome,
}

const LISTENERS: [&str; 2] = ["plain", "tls"];

/// Reads the suite's `index.json`.
pub(super) fn read(json: &str, agent: &str) -> Result<Outcomes> {
    let report: Value = serde_json::from_str(json)?;
    let cases = report[agent].as_object();
    let cases = cases.with_context(|| format!("it says nothing of {agent}"))?;
    let mut outcomes = Outcomes::new();
    for (id, case) in cases {
        let numbers: Result<Vec<u32>, _> = id.split('.').map(str::parse).collect();
        let numbers = numbers.with_context(|| format!("{id:?} is no case"))?;
        let told = |property: &str| {
            let word = case[property].as_str().unwrap_or_default();
            Behavior::from_word(word).with_context(|| format!("case {id}: {property} is {word:?}"))
        };
        let outcome = Outcome {
            behavior: told("behavior")?,
            close: told("behaviorClose")?,
        };
        outcomes.insert(CaseId(numbers), outcome);
    }
    Ok(outcomes)
}

impl Behavior {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "OK" => Self::Ok,
            "INFORMATIONAL" => Self::Informational,
            "NON-STRICT" => Self::NonStrict,
            "UNIMPLEMENTED" => Self::Unimplemented,
            "WRONG CODE" => Self::WrongCode,
            "UNCLEAN" => Self::Unclean,
            "FAILED BY CLIENT" => Self::FailedByClient,
            "FAILED" => Self::Failed,
            _ => return None,
        })
    }

    fn is_good(self) -> bool {
        self <= Self::NonStrict
    }
}

impl Outcome {
    const MISSING: Self = Self {
        behavior: Behavior::Missing,
        close: Behavior::Missing,
    };

    fn is_worse_than(self, other: Self) -> bool {
        self.behavior > other.behavior || self.close > other.close
    }

    fn is_good(self) -> bool {
        self.behavior.is_good() && self.close.is_good()
    }
}

impl Worse {
    /// The same case by the same listener.
    pub(super) fn is_about_the_same(&self, other: &Self) -> bool {
        self.case == other.case && self.listener == other.listener
    }
}

impl Report {
    /// What ended worse through the gateway, by whichever listener.
    pub(super) fn worse(&self) -> Vec<Worse> {
        let mut worse = Vec::new();
        for (id, direct) in &self.direct {
            for (listener, outcomes) in LISTENERS.into_iter().zip(&self.through) {
                let through = outcomes.get(id).copied().unwrap_or(Outcome::MISSING);
                if through.is_worse_than(*direct) {
                    worse.push(Worse {
                        case: id.to_string(),
                        listener,
                        direct: *direct,
                        through,
                    });
                }
            }
        }
        worse
    }

    /// Whether the comparison says something: of a server that fails by itself nothing can be worse.
    pub(super) fn is_telling(&self) -> bool {
        let good = self.direct.values().filter(|outcome| outcome.is_good());
        !self.direct.is_empty() && good.count() * 20 >= self.direct.len() * 19
    }
}

/// A line for each lane, and what the server gets wrong by itself.
pub(super) fn summary(report: &Report) -> String {
    let mut text = String::new();
    let [plain, tls] = &report.through;
    for (lane, outcomes) in [("direct", &report.direct), ("plain", plain), ("tls", tls)] {
        let mut counts = BTreeMap::<Behavior, usize>::new();
        for outcome in outcomes.values() {
            *counts
                .entry(outcome.behavior.max(outcome.close))
                .or_default() += 1;
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(behavior, count)| format!("{count} {behavior}"))
            .collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{lane:<7} {:>4} cases: {}",
            outcomes.len(),
            counts.join(", ")
        );
    }
    let by_itself: Vec<String> = report
        .direct
        .iter()
        .filter(|(_, outcome)| !outcome.is_good())
        .map(|(id, outcome)| format!("{id} ({outcome})"))
        .collect();
    if !by_itself.is_empty() {
        let _ = writeln!(
            text,
            "the server's own, which say nothing of the gateway: {}",
            by_itself.join(", ")
        );
    }
    text
}

impl fmt::Display for Behavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Informational => "INFORMATIONAL",
            Self::NonStrict => "NON-STRICT",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::WrongCode => "WRONG CODE",
            Self::Unclean => "UNCLEAN",
            Self::FailedByClient => "FAILED BY CLIENT",
            Self::Failed => "FAILED",
            Self::Missing => "not run",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.behavior == self.close {
            return self.behavior.fmt(f);
        }
        write!(f, "{}, close {}", self.behavior, self.close)
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

impl fmt::Display for Worse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<8} {:<6} {} instead of {}",
            self.case, self.listener, self.through, self.direct
        )
    }
}

#[cfg(test)]
mod tests;
