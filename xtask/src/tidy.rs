//! What no compiler checks: every file says what it is, every crate has the lints, every link in the
//! docs leads somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::shell::{command, output, root};

/// The longest source file that fits a head, tests beside it not counted.
const MOST_LINES: usize = 600;

pub(crate) fn check() -> Result<()> {
    let mut wrong = Vec::new();
    for path in tracked_files()? {
        let shown = path.display().to_string();
        let Ok(text) = fs::read_to_string(root().join(&path)) else {
            continue;
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => check_source(&shown, &text, &mut wrong),
            Some("md") => check_links(&path, &text, &mut wrong),
            // A workspace of its own, whose members cannot take over the lints of this one.
            _ if shown == "fuzz/Cargo.toml" => {}
            _ if shown.ends_with("/Cargo.toml") => check_manifest(&shown, &text, &mut wrong),
            _ => {}
        }
    }
    if !wrong.is_empty() {
        bail!("not tidy:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

fn tracked_files() -> Result<Vec<PathBuf>> {
    let listed =
        output(command("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    Ok(listed.lines().map(PathBuf::from).collect())
}

fn check_source(path: &str, text: &str, wrong: &mut Vec<String>) {
    // A module's own tests say it by their place.
    if !text.starts_with("//!") && !path.ends_with("/tests.rs") {
        wrong.push(format!(
            "{path}: begins with no `//!` that says what this is"
        ));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES && !path.contains("/tests") {
        wrong.push(format!(
            "{path}: {lines} lines; one subject a file, {MOST_LINES} at most"
        ));
    }
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("#[ignore") {
            wrong.push(format!("{path}:{}: a test that does not run", number + 1));
        }
    }
}

fn check_manifest(path: &str, text: &str, wrong: &mut Vec<String>) {
    if !text.contains("[lints]\nworkspace = true") {
        wrong.push(format!("{path}: lacks `[lints] workspace = true`"));
    }
}

/// Relative links of a Markdown file must name a file that exists.
fn check_links(path: &Path, text: &str, wrong: &mut Vec<String>) {
    let folder = root().join(path.parent().unwrap_or(Path::new("")));
    for link in text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        let file = link.split('#').next().unwrap_or_default();
        if file.is_empty()
            || file.contains("://")
            || file.starts_with("mailto:")
            || file.contains(' ')
        {
            continue;
        }
        if !folder.join(file).exists() {
            wrong.push(format!(
                "{}: the link to {file} leads nowhere",
                path.display()
            ));
        }
    }
}
