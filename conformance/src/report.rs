//! What people and CI read after a run: a table with the failures first, and JUnit XML.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

/// How one scenario ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    /// It fails, as expected; the reason from the file.
    ExpectedFailure(String),
    /// It passes although it is expected to fail.
    UnexpectedPass(String),
    /// The machine cannot run it.
    Skipped(String),
}

impl Verdict {
    fn is_bad(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::UnexpectedPass(_))
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed(_) => "FAILED",
            Self::ExpectedFailure(_) => "expected failure",
            Self::UnexpectedPass(_) => "UNEXPECTED PASS",
            Self::Skipped(_) => "skipped",
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Passed => None,
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
    pub(crate) took: Duration,
    pub(crate) verdict: Verdict,
}

/// Whether the run is good.
pub(crate) fn is_good(lines: &[Line]) -> bool {
    !lines.iter().any(|line| line.verdict.is_bad())
}

/// The table. Scenarios that passed are shown one by one only when `all`.
pub(crate) fn table(lines: &[Line], all: bool, took: Duration) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|line| line.verdict.is_bad()) {
        let reason = line
            .verdict
            .reason()
            .unwrap_or_default()
            .replace('\n', "\n    ");
        let _ = writeln!(
            text,
            "{}: {}/{} ({})\n    {reason}\n",
            line.verdict.word(),
            line.group,
            line.name,
            line.clause
        );
    }
    for (group, lines) in by_group(lines) {
        let _ = writeln!(text, "{group}: {}", count(&lines));
        for line in lines {
            let told = match &line.verdict {
                Verdict::Passed if !all => continue,
                Verdict::ExpectedFailure(reason) | Verdict::Skipped(reason) => {
                    format!(" - {reason}")
                }
                Verdict::Passed | Verdict::Failed(_) | Verdict::UnexpectedPass(_) => String::new(),
            };
            let _ = writeln!(
                text,
                "  {:<16} {:>6.2} s  {:<22} {}{told}",
                line.verdict.word(),
                line.took.as_secs_f64(),
                line.clause,
                line.name,
            );
        }
    }
    let every: Vec<&Line> = lines.iter().collect();
    let _ = writeln!(
        text,
        "\nscenarios: {} in {:.1} s",
        count(&every),
        took.as_secs_f64()
    );
    text
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

fn count(lines: &[&Line]) -> String {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for line in lines {
        *counts.entry(line.verdict.word()).or_default() += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    counts.join(", ")
}

/// Writes JUnit XML for CI.
pub(crate) fn write_junit(lines: &[Line], file: &Path) -> Result<()> {
    let mut report = Report::new("conformance");
    for (group, lines) in by_group(lines) {
        let mut suite = TestSuite::new(group);
        for line in lines {
            suite.add_test_case(test_case(line));
        }
        report.add_test_suite(suite);
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, report.to_string()?)
        .with_context(|| format!("cannot write {}", file.display()))
}

fn test_case(line: &Line) -> TestCase {
    let mut status = match &line.verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Failed(_) | Verdict::UnexpectedPass(_) => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
        Verdict::ExpectedFailure(_) | Verdict::Skipped(_) => TestCaseStatus::skipped(),
    };
    if let Some(reason) = line.verdict.reason() {
        let first = reason.lines().next().unwrap_or_default();
        status.set_message(format!("{}: {first}", line.verdict.word()));
        status.set_description(reason);
    }
    let mut case = TestCase::new(line.name.as_str(), status);
    case.set_classname(format!("conformance.{}", line.group));
    case.set_time(line.took);
    case.add_property(("clause", line.clause));
    case
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, verdict: Verdict) -> Line {
        Line {
            group: "group",
            name: name.to_owned(),
            clause: "RFC 6455 4.1",
            took: Duration::from_millis(10),
            verdict,
        }
    }

    #[test]
    fn failures_come_first_and_decide() {
        let good = [
            line("one", Verdict::Passed),
            line("two", Verdict::ExpectedFailure("known".to_owned())),
            line("three", Verdict::Skipped("not here".to_owned())),
        ];
        assert!(is_good(&good));
        let bad = line("four", Verdict::Failed("bytes\nand more".to_owned()));
        let lines = [good.as_slice(), &[bad]].concat();
        assert!(!is_good(&lines));
        let text = table(&lines, false, Duration::from_secs(1));
        assert!(
            text.starts_with("FAILED: group/four (RFC 6455 4.1)\n    bytes\n    and more\n"),
            "{text}"
        );
        assert!(
            text.contains("1 FAILED, 1 expected failure, 1 ok, 1 skipped"),
            "{text}"
        );
        assert!(!text.contains(" one"), "{text}");
        assert!(!is_good(&[line(
            "five",
            Verdict::UnexpectedPass("why".to_owned())
        )]));
    }

    #[test]
    fn junit_has_every_scenario() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/junit.xml");
        let lines = [
            line("one", Verdict::Passed),
            line("two", Verdict::Failed("no\u{1}".to_owned())),
        ];
        write_junit(&lines, &file).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        assert!(
            text.contains("tests=\"2\"") && text.contains("failures=\"1\""),
            "{text}"
        );
    }
}
