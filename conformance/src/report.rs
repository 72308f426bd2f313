//! What people and programs read after a run: a table with the failures first, JUnit XML, JSON, and
//! a comparison of several systems.

pub(crate) mod comparison;
pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod table;

use std::time::Duration;

use crate::harness::front::System;
use crate::harness::scene::Evidence;

/// How one scenario ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// With what it measured, if it measures.
    Passed(Option<String>),
    Failed(String),
    /// It fails, as expected; the reason from the file.
    ExpectedFailure(String),
    /// It passes although it is expected to fail.
    UnexpectedPass(String),
    /// The machine cannot run it.
    Skipped(String),
}

impl Verdict {
    pub(crate) fn is_bad(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::UnexpectedPass(_))
    }

    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "ok",
            Self::Failed(_) => "FAILED",
            Self::ExpectedFailure(_) => "expected failure",
            Self::UnexpectedPass(_) => "UNEXPECTED PASS",
            Self::Skipped(_) => "skipped",
        }
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Passed(figures) => figures.as_deref(),
            Self::Failed(text)
            | Self::ExpectedFailure(text)
            | Self::UnexpectedPass(text)
            | Self::Skipped(text) => Some(text),
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) group: &'static str,
    pub(crate) name: String,
    pub(crate) clause: &'static str,
    /// Only we promise it: no RFC asks it of a proxy.
    pub(crate) ours: bool,
    pub(crate) took: Duration,
    pub(crate) verdict: Verdict,
    pub(crate) evidence: Evidence,
}

/// What one system made of the scenarios.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) system: System,
    /// Its name and version.
    pub(crate) label: String,
    /// The first lines of every report: what one must know to read and to repeat it.
    pub(crate) notes: Vec<String>,
    pub(crate) seed: u64,
    pub(crate) lines: Vec<Line>,
    /// It was broken off: lines are missing.
    pub(crate) interrupted: bool,
    /// How many scenarios of which groups only our gateway can be asked.
    pub(crate) left_out: Vec<(&'static str, usize)>,
    pub(crate) took: Duration,
}

impl Run {
    /// Peers are compared, not judged.
    pub(crate) fn is_good(&self) -> bool {
        let fails = self.lines.iter().any(|line| line.verdict.is_bad());
        !self.interrupted && (self.system != System::Gateway || !fails)
    }
}

fn by_group(lines: &[Line]) -> Vec<(&'static str, Vec<&Line>)> {
    let mut groups: Vec<(&'static str, Vec<&Line>)> = Vec::new();
    for line in lines {
        match groups.iter_mut().find(|(group, _)| *group == line.group) {
            Some((_, members)) => members.push(line),
            None => groups.push((line.group, vec![line])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scenario's line.
    pub(super) fn line(name: &str, verdict: Verdict) -> Line {
        Line {
            group: "group",
            name: name.to_owned(),
            clause: "RFC 6455 4.1",
            ours: false,
            took: Duration::from_millis(10),
            verdict,
            evidence: Evidence {
                transcript: vec!["  0.001 client 1 > GET /".to_owned()],
                logs: vec![("gateway".to_owned(), vec!["it said so".to_owned()])],
                standing: Vec::new(),
            },
        }
    }

    /// A run of our gateway.
    pub(super) fn run(lines: &[Line]) -> Run {
        Run {
            system: System::Gateway,
            label: "gateway 1.2.3".to_owned(),
            notes: vec!["seed: 7".to_owned()],
            seed: 7,
            lines: lines.to_vec(),
            interrupted: false,
            left_out: Vec::new(),
            took: Duration::from_secs(1),
        }
    }

    #[test]
    fn failures_decide_but_not_those_of_peers() {
        let good = [
            line("one", Verdict::Passed(None)),
            line("two", Verdict::ExpectedFailure("known".to_owned())),
            line("three", Verdict::Skipped("not here".to_owned())),
        ];
        assert!(run(&good).is_good());
        for bad in [
            Verdict::Failed("why".to_owned()),
            Verdict::UnexpectedPass("why".to_owned()),
        ] {
            let mut run = run(&[line("four", bad)]);
            assert!(!run.is_good());
            run.system = System::Nginx;
            assert!(run.is_good());
            run.interrupted = true;
            assert!(!run.is_good());
        }
    }
}
