//! `expected_failures.toml`: scenarios that are known to fail, each with its reason.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One excuse.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// The scenario's `group/name`.
    pub(crate) scenario: String,
    pub(crate) reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    expected: Vec<Expected>,
}

/// Reads the file; every entry names a scenario that exists.
pub(crate) fn read(file: &Path, scenarios: &[String]) -> Result<Vec<Expected>> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    parse(&text, scenarios).with_context(|| format!("in {}", file.display()))
}

fn parse(text: &str, scenarios: &[String]) -> Result<Vec<Expected>> {
    let file: File = toml::from_str(text)?;
    for entry in &file.expected {
        ensure!(
            !entry.reason.trim().is_empty(),
            "{} has no reason",
            entry.scenario
        );
        let known = scenarios.contains(&entry.scenario);
        ensure!(known, "there is no scenario {:?}", entry.scenario);
    }
    Ok(file.expected)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_entry_needs_a_scenario_and_a_reason() {
        let known = ["a/b".to_owned()];
        let rows = [
            ("", Ok(0)),
            ("[[expected]]\nscenario = 'a/b'\nreason = 'not yet'", Ok(1)),
            ("[[expected]]\nscenario = 'a/b'\nreason = ' '", Err(())),
            ("[[expected]]\nscenario = 'a/b'", Err(())),
            (
                "[[expected]]\nscenario = 'a/c'\nreason = 'not yet'",
                Err(()),
            ),
        ];
        for (text, expected) in rows {
            let read = parse(text, &known)
                .map(|entries| entries.len())
                .map_err(drop);
            assert_eq!(read, expected, "{text}");
        }
    }
}
