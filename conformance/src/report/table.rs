//! The table for people: failures first, each with the bytes that went wrong and the logs of that
//! moment.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Line, Run, Verdict, by_group};
use crate::harness::front::System;
use crate::harness::scene::Evidence;

/// The table. Scenarios that passed are shown one by one only when `all`; so are the bytes that
/// a peer got wrong.
pub(crate) fn text(run: &Run, all: bool) -> String {
    let lines = &run.lines;
    let mut text = format!("{}\n{}\n\n", run.notes.join("\n"), run.label);
    let in_full = all || run.system == System::Gateway;
    for line in lines.iter().filter(|line| line.verdict.is_bad() && in_full) {
        text += &failure(line);
    }
    for (group, lines) in by_group(lines) {
        let _ = writeln!(text, "{group}: {}", count(&lines));
        for line in lines {
            text += &row(line, all, in_full).unwrap_or_default();
        }
    }
    if !run.left_out.is_empty() {
        let left_out = run.left_out.iter();
        let left_out: Vec<String> = left_out
            .map(|(group, count)| format!("{count} of {group}"))
            .collect();
        let _ = writeln!(
            text,
            "\nleft out, since only our gateway has or promises what they ask for: {}",
            left_out.join(", ")
        );
    }
    if run.interrupted {
        text += "\nINTERRUPTED: what is missing above did not run to its end\n";
    }
    let every: Vec<&Line> = lines.iter().collect();
    let _ = writeln!(
        text,
        "\nscenarios: {} in {:.1} s",
        count(&every),
        run.took.as_secs_f64()
    );
    text
}

fn failure(line: &Line) -> String {
    let mut text = format!(
        "{}: {}/{} ({})\n",
        line.verdict.word(),
        line.group,
        line.name,
        line.clause
    );
    let reason = line.verdict.reason().unwrap_or_default();
    indent(&mut text, reason.lines());
    text += &told(&line.evidence);
    text.push('\n');
    text
}

/// What happened, as far as it was seen.
pub(super) fn told(evidence: &Evidence) -> String {
    let mut text = String::new();
    let mut part = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            let _ = writeln!(text, "  {title}");
            indent(&mut text, lines.iter().map(String::as_str));
        }
    };
    part(
        "seconds, who, and the bytes (> sent, < received)",
        &evidence.transcript,
    );
    for (process, lines) in &evidence.logs {
        part(&format!("log of {process}"), lines);
    }
    part("left standing", &evidence.standing);
    text
}

fn indent<'a>(text: &mut String, lines: impl Iterator<Item = &'a str>) {
    for line in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {line}");
    }
}

fn row(line: &Line, all: bool, in_full: bool) -> Option<String> {
    let told = match &line.verdict {
        Verdict::Passed(_) if !all => return None,
        Verdict::Failed(reason) if !in_full => {
            format!(" - {}", reason.lines().next().unwrap_or_default())
        }
        Verdict::Passed(Some(reason))
        | Verdict::ExpectedFailure(reason)
        | Verdict::Skipped(reason) => format!(" - {reason}"),
        Verdict::Passed(None) | Verdict::Failed(_) | Verdict::UnexpectedPass(_) => String::new(),
    };
    Some(format!(
        "  {:<16} {:>6.2} s  {:<22} {}{told}\n",
        line.verdict.word(),
        line.took.as_secs_f64(),
        line.clause,
        line.name,
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{line, run};

    #[test]
    fn failures_come_first_with_what_was_seen() {
        let lines = [
            line("one", Verdict::Passed(None)),
            line("two", Verdict::ExpectedFailure("known".to_owned())),
            line("three", Verdict::Skipped("not here".to_owned())),
            line("four", Verdict::Failed("status 200\nstep 1".to_owned())),
        ];
        let shown = text(&run(&lines), false);
        let first = "seed: 7\ngateway 1.2.3\n\n\
            FAILED: group/four (RFC 6455 4.1)\n    status 200\n    step 1\n  \
            seconds, who, and the bytes (> sent, < received)\n      0.001 client 1 > GET /\n  \
            log of gateway\n    it said so\n";
        assert!(shown.starts_with(first), "{shown}");
        let counts = "1 FAILED, 1 expected failure, 1 ok, 1 skipped";
        assert!(shown.contains(counts), "{shown}");
        assert!(!shown.contains(" one"), "{shown}");
        assert!(text(&run(&lines), true).contains(" one"));
    }

    #[test]
    fn measurements_places_and_interruptions_are_told() {
        let mut kept = line("kept", Verdict::Failed("why".to_owned()));
        kept.evidence.standing = vec!["gateway: process 17  (kill 17)".to_owned()];
        let measured = line("one", Verdict::Passed(Some("out after 2.1 s".to_owned())));
        let mut run = run(&[measured, kept]);
        run.interrupted = true;
        run.left_out = vec![("eviction", 12)];
        let shown = text(&run, true);
        for part in [
            "one - out after 2.1 s",
            "  left standing\n    gateway: process 17  (kill 17)\n",
            "INTERRUPTED",
            "12 of eviction",
        ] {
            assert!(shown.contains(part), "no {part:?} in {shown}");
        }
    }

    #[test]
    fn a_peers_failures_are_told_in_a_line() {
        let lines = [line(
            "four",
            Verdict::Failed("status 200\nstep 1".to_owned()),
        )];
        let mut run = run(&lines);
        run.system = System::Nginx;
        let shown = text(&run, false);
        assert!(shown.contains("four - status 200\n"), "{shown}");
        assert!(!shown.contains("client 1"), "{shown}");
    }
}
