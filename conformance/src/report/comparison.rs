//! Several systems side by side: how many scenarios of each group they pass, and each scenario that
//! not all of them pass. One that every peer fails should be looked at: is our expectation right?

use std::fmt::Write as _;

use super::{Run, Verdict};

/// The comparison; every run has the same scenarios in the same order. What no RFC asks of a proxy
/// is counted apart, and told one by one only when `all`.
pub(crate) fn text(runs: &[Run], all: bool) -> String {
    let mut text = String::from("\ncomparison\n\n");
    let mut rows = vec![header("asked by an RFC", runs)];
    rows.extend(counts(runs, false));
    rows.push(vec![String::new(); runs.len() + 1]);
    rows.push(header("promised beyond it", runs));
    rows.extend(counts(runs, true));
    write_rows(&mut text, &rows);
    for (title, ours) in [
        ("asked by an RFC, not passed by all", false),
        ("promised beyond it, not passed by all", true),
    ] {
        let mut rows = vec![header(title, runs)];
        rows.extend(differences(runs, ours));
        if rows.len() > 1 && (all || !ours) {
            text.push('\n');
            write_rows(&mut text, &rows);
        }
    }
    text
}

fn header(first: &str, runs: &[Run]) -> Vec<String> {
    let labels = runs.iter().map(|run| run.label.clone());
    std::iter::once(first.to_owned()).chain(labels).collect()
}

/// How many pass, by group.
fn counts(runs: &[Run], ours: bool) -> Vec<Vec<String>> {
    let mut names: Vec<&str> = Vec::new();
    let lines = runs.iter().flat_map(|run| &run.lines);
    for line in lines.filter(|line| line.ours == ours) {
        if !names.contains(&line.group) {
            names.push(line.group);
        }
    }
    let row = |name: &str, is_of: &dyn Fn(&str) -> bool| {
        let counts = runs.iter().map(|run| {
            let lines = run.lines.iter();
            let lines = lines.filter(|line| line.ours == ours && is_of(line.group));
            let passed = lines.clone().filter(|line| passes(&line.verdict)).count();
            format!("{passed} of {}", lines.count())
        });
        std::iter::once(name.to_owned()).chain(counts).collect()
    };
    let mut rows: Vec<Vec<String>> = names
        .iter()
        .map(|name| row(name, &|group| group == *name))
        .collect();
    rows.push(row("together", &|_| true));
    rows
}

fn differences(runs: &[Run], ours: bool) -> Vec<Vec<String>> {
    let Some((first, _)) = runs.split_first() else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for (index, line) in first.lines.iter().enumerate() {
        let verdicts = runs
            .iter()
            .filter_map(|run| Some(&run.lines.get(index)?.verdict));
        if line.ours != ours || verdicts.clone().all(passes) {
            continue;
        }
        let name = format!("{}/{} ({})", line.group, line.name, line.clause);
        let words = verdicts.map(|verdict| match verdict {
            Verdict::Passed(_) => "ok".to_owned(),
            Verdict::Skipped(_) => "skipped".to_owned(),
            Verdict::Failed(_) | Verdict::ExpectedFailure(_) | Verdict::UnexpectedPass(_) => {
                "fails".to_owned()
            }
        });
        rows.push(std::iter::once(name).chain(words).collect());
    }
    rows
}

fn passes(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Passed(_))
}

/// Columns as wide as their widest cell.
fn write_rows(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{line, run};

    fn labelled(label: &str, verdicts: &[(&str, bool, bool)]) -> Run {
        let line = |(name, ours, passes): &(&str, bool, bool)| {
            let mut line = match passes {
                true => line(name, Verdict::Passed(None)),
                false => line(name, Verdict::Failed("status 200".to_owned())),
            };
            line.ours = *ours;
            line
        };
        let lines: Vec<_> = verdicts.iter().map(line).collect();
        let mut run = run(&lines);
        run.label = label.to_owned();
        run
    }

    #[test]
    fn groups_are_counted_and_differences_named() {
        let us = [
            ("one", false, true),
            ("two", false, true),
            ("more", true, true),
        ];
        let them = [
            ("one", false, true),
            ("two", false, false),
            ("more", true, false),
        ];
        let runs = [labelled("gateway 1", &us), labelled("nginx 2", &them)];
        assert_eq!(
            text(&runs, false),
            "\ncomparison\n\n\
             asked by an RFC     gateway 1  nginx 2\n\
             group               2 of 2     1 of 2\n\
             together            2 of 2     1 of 2\n\
             \n\
             promised beyond it  gateway 1  nginx 2\n\
             group               1 of 1     0 of 1\n\
             together            1 of 1     0 of 1\n\
             \n\
             asked by an RFC, not passed by all  gateway 1  nginx 2\n\
             group/two (RFC 6455 4.1)            ok         fails\n"
        );
        assert!(text(&runs, true).contains("\ngroup/more (RFC 6455 4.1)"));
    }
}
