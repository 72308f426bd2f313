//! From the document to the checked form, with all problems at once.

use super::{Config, ConfigProblem, ConfigProblems};
use crate::resource::{ApplicationGateway, JsonTree};

/// A document that was accepted.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The checked form.
    pub config: Config,
    /// The document in its canonical form: camelCase, references in full, secrets inside.
    pub document: ApplicationGateway,
    /// What was accepted and not served, or repaired.
    pub warnings: Vec<ConfigProblem>,
}

/// Checks a document.
pub fn parse(document: &JsonTree) -> Result<Parsed, ConfigProblems> {
    let _ = document;
    unimplemented!()
}
