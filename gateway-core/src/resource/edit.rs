//! One change to a document: the whole of it, or one resource of a collection.

use super::{ApplicationGateway, Collection, JsonTree};
use crate::config::{ConfigProblems, Parsed};

/// What a writer wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// The whole document; certificates named without `data` keep their stored key.
    Replace(JsonTree),
    /// One resource, put in the place of its namesake or at the end of its collection.
    Put {
        /// Where.
        collection: Collection,
        /// The name in the URL; a different `name` in the body is an error.
        name: String,
        /// The resource.
        body: JsonTree,
    },
    /// One resource, taken away; an error while something refers to it.
    Delete {
        /// Where.
        collection: Collection,
        /// Its name.
        name: String,
    },
}

/// A document after an edit, checked.
#[derive(Debug, Clone)]
pub struct Edited {
    /// The new document, checked.
    pub parsed: Parsed,
    /// The resource (or the document) did not exist before.
    pub created: bool,
}

/// Why an edit is refused; the document stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Nothing of that name to delete.
    #[error("no {collection} named {name:?}")]
    NotFound {
        /// The collection's name on the wire.
        collection: &'static str,
        /// The name asked for.
        name: String,
    },
    /// The document would not be valid; pointers are relative to what the writer sent.
    #[error(transparent)]
    Invalid(#[from] ConfigProblems),
}

/// Applies `edit` to `current` (`None` before the first document).
pub fn apply_edit(current: Option<&ApplicationGateway>, edit: &Edit) -> Result<Edited, EditError> {
    let _ = (current, edit);
    unimplemented!()
}
