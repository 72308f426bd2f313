//! Gathers problems while a document is read and checked; places them in its text at the end.

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::Range;

use super::{ConfigProblem, ConfigProblems, Position, Severity};
use crate::resource::JsonTree;

/// How many errors, and how many warnings, are kept. The rest is counted: a hostile document must
/// not make an answer much larger than itself.
const MAX_KEPT: usize = 500;

/// The problems found so far. Pointers come in any case of names; they leave in the document's.
pub(crate) struct Collector<'t> {
    tree: &'t JsonTree,
    errors: Vec<Found>,
    warnings: Vec<Found>,
    omitted: usize,
    failed: HashSet<String>,
}

/// A problem, as it was found.
pub(crate) struct Found {
    code: &'static str,
    pointer: String,
    /// Its place, where the pointer does not say it well enough.
    span: Option<Range<usize>>,
    message: String,
    remedy: String,
}

impl Found {
    /// To be shown at `span`; without one, at its pointer's place.
    pub(crate) fn new(
        span: Option<Range<usize>>,
        pointer: impl ToString,
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            code,
            pointer: pointer.to_string(),
            span,
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl<'t> Collector<'t> {
    pub(crate) fn new(tree: &'t JsonTree) -> Self {
        Self {
            tree,
            errors: Vec::new(),
            warnings: Vec::new(),
            omitted: 0,
            failed: HashSet::new(),
        }
    }

    /// Something that refuses the document, unless the place is unreadable anyway.
    pub(crate) fn error(
        &mut self,
        pointer: impl ToString,
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.keep(
            Severity::Error,
            Found::new(None, pointer, code, message, remedy),
        );
    }

    /// Something that is accepted, but should be known.
    pub(crate) fn warning(
        &mut self,
        pointer: impl ToString,
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.keep(
            Severity::Warning,
            Found::new(None, pointer, code, message, remedy),
        );
    }

    /// Notes a problem, unless its place is unreadable anyway.
    pub(crate) fn keep(&mut self, severity: Severity, found: Found) {
        if self.has_failed(&found.pointer) {
            return;
        }
        if !self.has_room(severity) {
            self.omitted += 1;
            return;
        }
        match severity {
            Severity::Error => self.errors.push(found),
            Severity::Warning => self.warnings.push(found),
        }
    }

    /// Whether more will be kept, so that it is worth finding words for it.
    pub(crate) fn has_room(&self, severity: Severity) -> bool {
        let kept = match severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
        };
        kept.len() < MAX_KEPT
    }

    /// A value that cannot be read: an error, and the only one for that place.
    pub(crate) fn unreadable(
        &mut self,
        pointer: impl ToString,
        code: &'static str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let pointer = pointer.to_string();
        self.error(&pointer, code, message, remedy);
        if self.failed.len() < MAX_KEPT {
            self.failed.insert(pointer.to_ascii_lowercase());
        }
    }

    /// Whether the value there, or one around it, could not be read.
    pub(crate) fn has_failed(&self, pointer: impl Display) -> bool {
        if self.failed.is_empty() {
            return false;
        }
        let lowered = pointer.to_string().to_ascii_lowercase();
        let mut ends = lowered.match_indices('/').map(|(at, _)| at);
        ends.any(|end| self.failed.contains(&lowered[..end])) || self.failed.contains(&lowered)
    }

    /// Whether any value at or inside `pointer` could not be read.
    pub(crate) fn has_failed_inside(&self, pointer: impl Display) -> bool {
        if self.failed.is_empty() {
            return false;
        }
        let lowered = pointer.to_string().to_ascii_lowercase();
        self.has_failed(&lowered)
            || self.failed.iter().any(|failed| {
                failed
                    .strip_prefix(&lowered)
                    .is_some_and(|rest| rest.starts_with('/'))
            })
    }

    /// The warnings alone, or all problems if one of them is an error; in the order of the text.
    pub(crate) fn finish(self) -> Result<Vec<ConfigProblem>, ConfigProblems> {
        let refused = !self.errors.is_empty();
        let errors = place(self.tree, self.errors, Severity::Error);
        let warnings = place(self.tree, self.warnings, Severity::Warning);
        let mut problems: Vec<_> = errors.into_iter().chain(warnings).collect();
        problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        set_positions(self.tree.text(), &mut problems);
        if self.omitted > 0 {
            problems.push(omitted(self.omitted));
        }
        if refused {
            Err(ConfigProblems(problems))
        } else {
            Ok(problems)
        }
    }
}

fn place(tree: &JsonTree, found: Vec<Found>, severity: Severity) -> Vec<ConfigProblem> {
    found
        .into_iter()
        .map(|found| {
            let (pointer, span) = tree.locate(&found.pointer);
            ConfigProblem {
                severity,
                code: found.code,
                pointer,
                span: found.span.or(span),
                position: None,
                message: found.message,
                remedy: Some(found.remedy),
            }
        })
        .collect()
}

/// One walk through the text for all problems, which are in its order: a walk for each would let a
/// hostile document cost its length times its problems.
fn set_positions(text: Option<&str>, problems: &mut [ConfigProblem]) {
    let Some(text) = text else { return };
    let mut position = Position { line: 1, column: 1 };
    let mut walked = 0;
    for problem in problems {
        let Some(span) = &problem.span else { continue };
        for character in text[walked..span.start].chars() {
            if character == '\n' {
                position.line += 1;
                position.column = 1;
            } else {
                position.column += 1;
            }
        }
        walked = span.start;
        problem.position = Some(position);
    }
}

fn omitted(count: usize) -> ConfigProblem {
    ConfigProblem {
        severity: Severity::Warning,
        code: "ProblemsOmitted",
        pointer: String::new(),
        span: None,
        position: None,
        message: format!("{count} more problems are not shown"),
        remedy: Some("correct those shown first".to_owned()),
    }
}
