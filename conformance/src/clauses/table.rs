//! The table of demands in `docs/conformance.md`: what is tested is made of the clauses, the results
//! are those of the run that wrote it.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Binds, Clause, Shown, all, stands_for};
use crate::report::{Line, Verdict};

const BEGIN: &str = "<!-- Written by `cargo xtask conformance --write-docs`, from here -->\n";
const END: &str = "<!-- to here -->\n";

/// Puts the table with these results into the document.
pub(crate) fn write(file: &Path, lines: &[Line]) -> Result<()> {
    let document =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let (before, _, after) = parts(&document)
        .with_context(|| format!("{} has no place for the table", file.display()))?;
    let table = table(|clause| result(clause, lines));
    std::fs::write(file, [before, &table, after].concat())
        .with_context(|| format!("cannot write {}", file.display()))
}

/// What is before the table, the table, what is behind it; the marks are no part of the table.
fn parts(document: &str) -> Option<(&str, &str, &str)> {
    let begin = document.find(BEGIN)? + BEGIN.len();
    let end = begin + document[begin..].find(END)?;
    Some((&document[..begin], &document[begin..end], &document[end..]))
}

fn table(result: impl Fn(&Clause) -> String) -> String {
    let mut text = String::from(
        "\n| clause | MUSTs | who | what the RFC demands | what is tested | result |\n|---|---|---|---|---|---|\n",
    );
    for clause in all() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            clause.section,
            clause.musts,
            who(clause.binds),
            clause.says,
            tested(clause),
            result(clause),
        );
    }
    text + "\n"
}

fn who(binds: Binds) -> &'static str {
    match binds {
        Binds::Client => "client",
        Binds::Server => "server",
        Binds::Endpoints => "both",
        Binds::Intermediary => "between",
    }
}

fn tested(clause: &Clause) -> String {
    match clause.shown {
        Shown::By(patterns) => {
            let names = patterns.iter().map(|pattern| {
                let (group, name) = pattern.split_once('/').unwrap_or((pattern, ""));
                let name = name.strip_suffix('*').map_or_else(
                    || name.to_owned(),
                    |start| format!("{} ...", start.trim_end()),
                );
                format!("`{group}` {name}")
            });
            names.collect::<Vec<_>>().join("; ")
        }
        Shown::NotOurs(why) => format!("nothing: {why}"),
    }
}

/// How many of the clause's scenarios passed; what else became of the others.
fn result(clause: &Clause, lines: &[Line]) -> String {
    let Shown::By(patterns) = clause.shown else {
        return "-".to_owned();
    };
    let named = lines.iter().filter(|line| {
        let id = format!("{}/{}", line.group, line.name);
        patterns.iter().any(|pattern| stands_for(pattern, &id))
    });
    let (mut passed, mut others) = (0, Vec::new());
    for line in named {
        match &line.verdict {
            Verdict::Passed(_) => passed += 1,
            Verdict::Failed(_) => others.push(format!("fails: {}", line.name)),
            Verdict::ExpectedFailure(reason) => {
                others.push(format!("fails: {} ({reason})", line.name))
            }
            Verdict::UnexpectedPass(_) => {
                others.push(format!("passes unexpectedly: {}", line.name))
            }
            Verdict::Skipped(reason) => others.push(format!("left out: {} ({reason})", line.name)),
        }
    }
    others.insert(0, format!("{passed} pass"));
    others.join("; ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::harness::scene::Evidence;

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md");

    /// The table without its results, which only a run knows.
    fn without_results(table: &str) -> Vec<&str> {
        let rows = table.lines().map(str::trim_end);
        rows.map(|row| {
            row.trim_end_matches('|')
                .rsplit_once('|')
                .map_or(row, |(rest, _)| rest)
        })
        .collect()
    }

    #[test]
    fn the_document_has_the_table_of_these_clauses() {
        let document = std::fs::read_to_string(DOCUMENT).unwrap();
        let (_, found, _) = parts(&document).unwrap();
        let expected = table(|_| "?".to_owned());
        assert_eq!(
            without_results(found),
            without_results(&expected),
            "`cargo xtask conformance --write-docs` writes it anew"
        );
    }

    #[test]
    fn results_tell_what_did_not_pass() {
        let clause = all().find(|clause| clause.section == "4.1 [4]").unwrap();
        let line = |name: &str, verdict| Line {
            group: "handshake",
            name: name.to_owned(),
            clause: "RFC 6455 4.1",
            ours: false,
            took: Duration::ZERO,
            verdict,
            evidence: Evidence::default(),
        };
        let lines = [
            line(
                "the backend closes instead of answering",
                Verdict::Passed(None),
            ),
            line(
                "tls: the backend closes instead of answering",
                Verdict::Passed(None),
            ),
            line(
                "nobody listens at the backend",
                Verdict::Failed("why".to_owned()),
            ),
            line("something else", Verdict::Failed("why".to_owned())),
        ];
        assert_eq!(
            result(clause, &lines),
            "2 pass; fails: nobody listens at the backend"
        );
    }

    #[test]
    fn the_marks_stay() {
        let document = format!("# A\n\n{BEGIN}old\n{END}\nend\n");
        assert_eq!(
            parts(&document),
            Some((
                &*format!("# A\n\n{BEGIN}"),
                "old\n",
                &*format!("{END}\nend\n")
            ))
        );
        assert_eq!(parts("# A\n"), None);
    }
}
