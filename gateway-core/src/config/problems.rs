//! What is wrong with a document: all of it at once, each with its place and its remedy.

use std::fmt;
use std::ops::Range;

use crate::resource::JsonTree;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// An error refuses the document, a warning does not.
    pub severity: Severity,
    /// Application Gateway's code where it has one (reference section 2), else one of ours in the
    /// same style: `InvalidResourceReference`, `InvalidJson`, `PropertyTypeMismatch` ...
    pub code: &'static str,
    /// JSON pointer (RFC 6901) into the document, with its own spelling of names.
    pub pointer: String,
    /// Where that is in the text, in bytes; `None` where there is no text.
    pub span: Option<Range<usize>>,
    /// Line and column, from 1, of the span's start; columns count characters.
    pub position: Option<Position>,
    /// What is wrong, naming the resource.
    pub message: String,
    /// What would be right.
    pub remedy: Option<String>,
}

impl ConfigProblem {
    /// The same problem at its place in `document`: the pointer is followed without regard to case,
    /// and comes out in the document's own spelling.
    pub fn located(self, document: &JsonTree) -> Self {
        let (pointer, span) = document.locate(&self.pointer);
        let start = span.as_ref().map(|span| span.start);
        let place = document.text().zip(start);
        Self {
            pointer,
            span,
            position: place.map(|(text, start)| position(text, start)),
            ..self
        }
    }
}

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Accepted; says what is not served or was repaired.
    Warning,
    /// Refused.
    Error,
}

/// Everything that is wrong with a document: at least one error, and the warnings beside it,
/// in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<ConfigProblem>);

impl std::error::Error for ConfigProblems {}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self
            .0
            .iter()
            .filter(|problem| problem.severity == Severity::Error);
        write!(f, "the document has {} error(s)", errors.count())
    }
}

/// Line and column of the byte at `offset` of `text`.
pub(crate) fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
