//! The benchmark's table: medians, and the gateway against the better of its peers.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::load::{Figures, Sample};
use crate::shell::root;

/// One row: what is shown, how it is taken from the figures, and which way is better.
struct Row {
    name: &'static str,
    value: fn(&Figures) -> Option<f64>,
    lower_is_better: bool,
    decimals: usize,
}

const ROWS: [Row; 11] = [
    row(
        "HTTP: requests/s",
        |f| median(&f.http, |s| s.per_second),
        false,
        0,
    ),
    row(
        "HTTP: p99, ms",
        |f| median(&f.http, |s| s.p99_millis),
        true,
        2,
    ),
    row(
        "HTTP: CPU of the proxy, us/request",
        |f| median(&f.http, |s| s.cpu_micros),
        true,
        2,
    ),
    row(
        "16 KiB each way: requests/s",
        |f| median(&f.bodies, |s| s.per_second),
        false,
        0,
    ),
    row(
        "16 KiB each way: p99, ms",
        |f| median(&f.bodies, |s| s.p99_millis),
        true,
        2,
    ),
    row(
        "16 KiB each way: CPU of the proxy, us/request",
        |f| median(&f.bodies, |s| s.cpu_micros),
        true,
        2,
    ),
    row(
        "WebSocket: messages/s",
        |f| median(&f.websocket, |s| s.per_second),
        false,
        0,
    ),
    row(
        "WebSocket: p99, ms",
        |f| median(&f.websocket, |s| s.p99_millis),
        true,
        2,
    ),
    row(
        "WebSocket: CPU of the proxy, us/message",
        |f| median(&f.websocket, |s| s.cpu_micros),
        true,
        2,
    ),
    row("resident memory of each, KiB", |f| f.idle, true, 2),
    row("the same, TLS to clients", |f| f.idle_tls, true, 2),
];

const fn row(
    name: &'static str,
    value: fn(&Figures) -> Option<f64>,
    lower_is_better: bool,
    decimals: usize,
) -> Row {
    Row {
        name,
        value,
        lower_is_better,
        decimals,
    }
}

fn median(samples: &[Sample], value: fn(&Sample) -> f64) -> Option<f64> {
    let mut values: Vec<f64> = samples.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The table as Markdown, under a line that says what was done. The first figures are the gateway's.
pub(super) fn render(what: &str, figures: &[Figures]) -> String {
    let mut text = format!("{what}.\n\n");
    let labels: Vec<&str> = figures
        .iter()
        .map(|figures| figures.label.as_str())
        .collect();
    let _ = writeln!(text, "| | {} | gateway : better peer |", labels.join(" | "));
    let _ = writeln!(text, "|---|{}---:|", "---:|".repeat(figures.len()));
    for row in &ROWS {
        let values: Vec<Option<f64>> = figures.iter().map(row.value).collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        let shown: Vec<String> = values
            .iter()
            .map(|value| show(*value, row.decimals))
            .collect();
        let ratio = ratio(&values, row.lower_is_better);
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            row.name,
            shown.join(" | "),
            show(ratio, 2)
        );
    }
    text
}

fn show(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

/// The first value by the best of the others.
fn ratio(values: &[Option<f64>], lower_is_better: bool) -> Option<f64> {
    let (own, peers) = values.split_first()?;
    let peers = peers.iter().flatten().copied();
    let best = if lower_is_better {
        peers.reduce(f64::min)
    } else {
        peers.reduce(f64::max)
    };
    Some((*own)? / best?)
}

/// Puts a table between the markers of that name in `docs/benchmarks.md`.
pub(super) fn write(name: &str, table: &str) -> Result<()> {
    let file = root().join("docs").join("benchmarks.md");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let replaced = replace(&text, name, table);
    let replaced =
        replaced.with_context(|| format!("no markers of `{name}` in {}", file.display()))?;
    Ok(std::fs::write(&file, replaced)?)
}

fn replace(text: &str, name: &str, table: &str) -> Option<String> {
    let [begin, end] = ["begin", "end"].map(|which| format!("<!-- {name}:{which} -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::{ratio, replace};

    #[test]
    fn the_better_peer_counts() {
        let values = [Some(10.0), Some(8.0), None, Some(20.0)];
        assert_eq!(ratio(&values, true), Some(1.25));
        assert_eq!(ratio(&values, false), Some(0.5));
        assert_eq!(ratio(&[Some(1.0)], true), None);
    }

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let text = "a\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nb\n";
        let expected = "a\n<!-- bench:begin -->\nnew\n<!-- bench:end -->\nb\n";
        assert_eq!(replace(text, "bench", "new\n").as_deref(), Some(expected));
        assert_eq!(replace(text, "changes", "new"), None);
    }
}
