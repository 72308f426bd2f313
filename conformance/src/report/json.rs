//! The report for programs: `docs/conformance.md` says what its members mean. Members may be added;
//! none changes its meaning without a new `version`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Line, Run, Verdict};

/// Of the shape below.
const VERSION: u32 = 1;

/// Writes all runs.
pub(crate) fn write(runs: &[Run], file: &Path) -> Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(&document(runs))? + "\n";
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn document(runs: &[Run]) -> Value {
    let runs: Vec<Value> = runs.iter().map(run).collect();
    json!({ "version": VERSION, "runs": runs })
}

fn run(run: &Run) -> Value {
    let left_out = run.left_out.iter();
    let left_out = left_out.map(|(group, count)| ((*group).to_owned(), json!(count)));
    let scenarios: Vec<Value> = run.lines.iter().map(scenario).collect();
    json!({
        "system": run.system.name(),
        "label": run.label,
        "notes": run.notes,
        "seed": run.seed,
        "good": run.is_good(),
        "interrupted": run.interrupted,
        "seconds": seconds(run.took),
        "leftOut": left_out.collect::<serde_json::Map<_, _>>(),
        "scenarios": scenarios,
    })
}

fn scenario(line: &Line) -> Value {
    let evidence = &line.evidence;
    let logs = evidence.logs.iter();
    let logs: Vec<Value> = logs
        .map(|(process, lines)| json!({ "process": process, "lines": lines }))
        .collect();
    json!({
        "group": line.group,
        "name": line.name,
        "clause": line.clause,
        "ours": line.ours,
        "outcome": outcome(&line.verdict),
        "reason": line.verdict.reason(),
        "seconds": seconds(line.took),
        "transcript": evidence.transcript,
        "logs": logs,
        "standing": evidence.standing,
    })
}

fn outcome(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed(_) => "passed",
        Verdict::Failed(_) => "failed",
        Verdict::ExpectedFailure(_) => "expectedFailure",
        Verdict::UnexpectedPass(_) => "unexpectedPass",
        Verdict::Skipped(_) => "skipped",
    }
}

/// To the millisecond.
fn seconds(took: std::time::Duration) -> f64 {
    (took.as_secs_f64() * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{line, run};

    #[test]
    fn every_scenario_is_an_object() {
        let failed = line("two", Verdict::Failed("status 200".to_owned()));
        let passed = line("one", Verdict::Passed(None));
        let mut run = run(&[passed, failed]);
        run.left_out = vec![("eviction", 12)];
        let document = document(&[run]);
        let run = &document["runs"][0];
        assert_eq!(run["seed"], 7);
        assert_eq!(run["system"], "gateway");
        assert_eq!(run["good"], false);
        assert_eq!(run["leftOut"]["eviction"], 12);
        assert_eq!(run["scenarios"][0]["outcome"], "passed");
        assert_eq!(
            run["scenarios"][1],
            json!({
                "group": "group",
                "name": "two",
                "clause": "RFC 6455 4.1",
                "ours": false,
                "outcome": "failed",
                "reason": "status 200",
                "seconds": 0.01,
                "transcript": ["  0.001 client 1 > GET /"],
                "logs": [{ "process": "gateway", "lines": ["it said so"] }],
                "standing": [],
            })
        );
    }
}
