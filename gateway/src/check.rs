//! `gateway check`: everything that is wrong with a document, at once.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use gateway_core::config::{ConfigProblem, Severity};
use serde::Serialize;

use crate::cli::{CheckArgs, CheckFormat};
use crate::diagnostics::{self, Style};
use crate::document;

/// The document cannot be read: neither good nor bad.
const UNREADABLE: u8 = 2;

/// Reads, judges and reports.
pub(crate) fn check(arguments: &CheckArgs) -> ExitCode {
    let (text, folder) = match document::read(&arguments.file) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("error: {}", document::chain(&error));
            return ExitCode::from(UNREADABLE);
        }
    };
    let (valid, problems) = match document::judge(&text, &folder) {
        Ok(parsed) => (true, parsed.warnings),
        Err(problems) => (false, problems.0),
    };
    let name = match arguments.file.to_string_lossy() {
        name if name == "-" => "<stdin>".into(),
        name => name,
    };
    let report = match arguments.format {
        CheckFormat::Text => text_report(&name, &text, &problems, valid, style()),
        CheckFormat::Json => json_report(&name, &problems, valid),
    };
    // A reader that has seen enough (`| head`) changes nothing about the document.
    let _ = io::stdout().write_all(report.as_bytes());
    if valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Colours for a terminal whose user does not object (no-color.org).
fn style() -> Style {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if io::stdout().is_terminal() && !unwanted {
        Style::Colour
    } else {
        Style::Plain
    }
}

fn text_report(
    name: &str,
    text: &str,
    problems: &[ConfigProblem],
    valid: bool,
    style: Style,
) -> String {
    let drawn = diagnostics::render(name, text, problems, style);
    let summary = match (valid, problems.is_empty()) {
        (true, true) => format!("{name} is good\n"),
        (true, false) => format!("{name} is good, with {}\n", diagnostics::count(problems)),
        (false, _) => format!("{name} has {}\n", diagnostics::count(problems)),
    };
    drawn + &summary
}

fn json_report(name: &str, problems: &[ConfigProblem], valid: bool) -> String {
    let report = Report {
        file: name,
        valid,
        problems: problems.iter().map(Finding::from).collect(),
    };
    let mut text = serde_json::to_string_pretty(&report).expect("strings and numbers always write");
    text.push('\n');
    text
}

/// The JSON report.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a str,
    valid: bool,
    problems: Vec<Finding<'a>>,
}

/// One problem in the JSON report.
#[derive(Serialize)]
struct Finding<'a> {
    severity: &'static str,
    code: &'static str,
    pointer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

impl<'a> From<&'a ConfigProblem> for Finding<'a> {
    fn from(problem: &'a ConfigProblem) -> Self {
        Self {
            severity: match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            code: problem.code,
            pointer: &problem.pointer,
            line: problem.position.map(|position| position.line),
            column: problem.position.map(|position| position.column),
            message: &problem.message,
            remedy: problem.remedy.as_deref(),
        }
    }
}
