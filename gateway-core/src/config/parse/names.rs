//! Names of resources: there, of a form that references and URLs can bear, and unique.

use std::collections::BTreeMap;

use super::{Checker, MISSING_PROPERTY, Place};
use crate::resource::{Collection, shown};

const INVALID_NAME: &str = "InvalidResourceName";
const DUPLICATE_NAME: &str = "DuplicateResourceName";

impl Checker<'_, '_> {
    /// Checks the names of every collection, the unserved ones too.
    pub(super) fn names(&mut self) {
        let gateway = self.gateway;
        for &collection in Collection::ALL {
            let mut first_of = BTreeMap::new();
            for (index, name) in gateway.names(collection).into_iter().enumerate() {
                let place = Place {
                    collection,
                    index,
                    name,
                };
                self.name(&place);
                let first = *first_of.entry(name.to_ascii_lowercase()).or_insert(index);
                if first != index && !name.is_empty() {
                    self.problems.error(
                        format!("{}/name", place.pointer()),
                        DUPLICATE_NAME,
                        format!("{place} is there twice, at positions {first} and {index}"),
                        "rename one of them; names compare without regard to case",
                    );
                }
            }
        }
    }

    fn name(&mut self, place: &Place<'_>) {
        let pointer = || format!("{}/name", place.pointer());
        let name = place.name;
        if name.is_empty() {
            if !self.problems.has_failed_inside(pointer()) {
                self.problems.error(
                    pointer(),
                    MISSING_PROPERTY,
                    format!("{place} has no `name`"),
                    "give it a name, which references use",
                );
            }
        } else if !can_be_named(name) {
            self.problems.error(
                pointer(),
                INVALID_NAME,
                format!("`{}` cannot be a name", shown(name)),
                REMEDY,
            );
        } else if !is_azure_name(name) {
            self.problems.warning(
                pointer(),
                INVALID_NAME,
                format!("`{}` is no name that Azure would accept", shown(name)),
                REMEDY,
            );
        }
    }
}

const REMEDY: &str = "write at most 80 letters, digits, `.`, `_` and `-`, a letter or digit first";

/// Whether it fits into an id and a URL, from which clients drop the segments `.` and `..`.
fn can_be_named(name: &str) -> bool {
    name.len() <= 80
        && !name.contains('/')
        && !name.chars().any(char::is_control)
        && !matches!(name, "." | "..")
}

fn is_azure_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !name.ends_with(['.', '-'])
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
