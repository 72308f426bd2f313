//! JUnit XML, for CI.

use std::path::Path;

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Line, Run, Verdict, by_group, table};
use crate::harness::front::System;

/// Writes the runs of our gateway: what a peer fails is nobody's failure.
pub(crate) fn write(runs: &[Run], file: &Path) -> Result<()> {
    let mut report = Report::new("conformance");
    for run in runs.iter().filter(|run| run.system == System::Gateway) {
        for (group, lines) in by_group(&run.lines) {
            let mut suite = TestSuite::new(group);
            suite.add_property(("seed", run.seed.to_string().as_str()));
            for line in lines {
                suite.add_test_case(test_case(line));
            }
            report.add_test_suite(suite);
        }
    }
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, report.to_string()?)
        .with_context(|| format!("cannot write {}", file.display()))
}

fn test_case(line: &Line) -> TestCase {
    let mut status = match &line.verdict {
        Verdict::Passed(_) => TestCaseStatus::success(),
        Verdict::Failed(_) | Verdict::UnexpectedPass(_) => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
        Verdict::ExpectedFailure(_) | Verdict::Skipped(_) => TestCaseStatus::skipped(),
    };
    if let Some(reason) = line.verdict.reason()
        && !matches!(line.verdict, Verdict::Passed(_))
    {
        let first = reason.lines().next().unwrap_or_default();
        status.set_message(format!("{}: {first}", line.verdict.word()));
        status.set_description(format!("{reason}\n{}", table::told(&line.evidence)));
    }
    let mut case = TestCase::new(line.name.as_str(), status);
    if let Verdict::Passed(Some(figures)) = &line.verdict {
        case.add_property(("measured", figures.as_str()));
    }
    case.set_classname(format!("conformance.{}", line.group));
    case.set_time(line.took);
    case.add_property(("clause", line.clause));
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{line, run};

    #[test]
    fn every_scenario_is_a_case_with_what_was_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/junit.xml");
        let lines = [
            line("one", Verdict::Passed(Some("out after 2.1 s".to_owned()))),
            line("two", Verdict::Failed("no\u{1}".to_owned())),
        ];
        let mut peer = run(&lines);
        peer.system = System::Nginx;
        write(&[run(&lines), peer], &file).unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        for part in [
            "tests=\"2\"",
            "failures=\"1\"",
            "out after 2.1 s",
            "client 1",
            "value=\"7\"",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
    }
}
