//! From the document to the checked form, with all problems at once.
//!
//! Each part of the document has its module below; this one holds what they share. A part that
//! cannot be made sense of is left out of the [`Config`] after its problem has been noted, so the
//! rest is checked all the same; the configuration leaves here only when there was no error.

mod backends;
mod certificates;
mod frontends;
mod hosts;
mod limits;
mod listeners;
mod names;
mod probes;
mod references;
mod rules;
mod unserved;
mod websocket;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use super::{Collector, Config, ConfigProblem, ConfigProblems};
use crate::resource::{
    ApplicationGateway, Collection, INVALID_VALUE, JsonTree, Node, NodeValue, Pointer, Reference,
    Resource,
};

pub(crate) use references::references;

/// A document that was accepted.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The checked form.
    pub config: Config,
    /// The document in its canonical form: camelCase, references as given, secrets inside.
    pub document: ApplicationGateway,
    /// What was accepted and not served, or repaired.
    pub warnings: Vec<ConfigProblem>,
}

/// Checks a document. A relative `file:` URI is an error: there is nothing that it is relative to.
///
/// # Errors
/// All problems at once, errors and warnings, in the order of the text.
pub fn parse(document: &JsonTree) -> Result<Parsed, ConfigProblems> {
    check(document, None)
}

/// Checks a document that was read from a file in `folder`, which relative `file:` URIs are
/// relative to. Give an absolute folder: the paths in the configuration are meant to be absolute.
///
/// # Errors
/// As [`parse`].
pub fn parse_in(document: &JsonTree, folder: &Path) -> Result<Parsed, ConfigProblems> {
    check(document, Some(folder))
}

fn check(document: &JsonTree, folder: Option<&Path>) -> Result<Parsed, ConfigProblems> {
    let mut problems = Collector::new(document);
    let gateway = ApplicationGateway::read(document, &mut problems);
    judge(gateway, document, folder, problems)
}

/// Checks `accepted`, a document that was accepted before, with one resource put in its place: the
/// only one that is in `put`, and the only one that is read. References to the others lead
/// somewhere, as before: no name goes.
pub(crate) fn parse_put(
    mut accepted: ApplicationGateway,
    (collection, index): (Collection, usize),
    put: &JsonTree,
) -> Result<Parsed, ConfigProblems> {
    let mut problems = Collector::new(put);
    let root = Pointer::ROOT;
    let properties = root.name("properties");
    let at = properties.name(collection.wire_name());
    let resources = put.root.get("properties");
    let resources = resources.and_then(|properties| properties.get(collection.wire_name()));
    if let Some(node) = resources.and_then(|resources| resources.element(index)) {
        let place = (collection, index);
        accepted.put(place, node, &at.index(index), &mut problems);
    }
    judge(accepted, put, None, problems)
}

/// Checks `accepted`, a document that was accepted before, less something that nothing refers to.
pub(crate) fn parse_less(accepted: ApplicationGateway) -> Result<Parsed, ConfigProblems> {
    let nothing = JsonTree::around(Node::new(NodeValue::Null), None);
    judge(accepted, &nothing, None, Collector::new(&nothing))
}

/// Checks what was read, and the references in `read`.
fn judge(
    gateway: ApplicationGateway,
    read: &JsonTree,
    folder: Option<&Path>,
    problems: Collector<'_>,
) -> Result<Parsed, ConfigProblems> {
    let mut checker = Checker {
        gateway: &gateway,
        known: known_names(&gateway),
        folder,
        problems,
    };
    checker.names();
    checker.references(read);
    let config = checker.config();
    checker.policies();
    checker.unserved();
    let warnings = checker.problems.finish()?;
    Ok(Parsed {
        config,
        document: gateway,
        warnings,
    })
}

const MISSING_PROPERTY: &str = "MissingProperty";
const CONFLICTING_PROPERTIES: &str = "ConflictingProperties";
const NOT_SERVED: &str = "FeatureNotServed";

/// One check of one document.
struct Checker<'g, 't> {
    gateway: &'g ApplicationGateway,
    /// Every name of every collection, by its lower case, as it is spelled there.
    known: BTreeMap<(Collection, String), &'g str>,
    folder: Option<&'g Path>,
    problems: Collector<'t>,
}

fn known_names(gateway: &ApplicationGateway) -> BTreeMap<(Collection, String), &str> {
    let collections = Collection::ALL.iter();
    collections
        .flat_map(|&collection| {
            let names = gateway.names(collection).into_iter();
            names.map(move |name| ((collection, name.to_ascii_lowercase()), name))
        })
        .collect()
}

/// One resource: where it stands and what it is called.
#[derive(Debug, Clone, Copy)]
struct Place<'g> {
    collection: Collection,
    index: usize,
    name: &'g str,
}

impl<'g> Place<'g> {
    /// The pointer of one of its properties; `path` may go deeper.
    fn property<P: fmt::Display>(&self, path: P) -> PropertyAt<'g, P> {
        PropertyAt { place: *self, path }
    }

    /// The pointer of the resource itself.
    fn pointer(&self) -> String {
        format!("/properties/{}/{}", self.collection, self.index)
    }
}

/// The pointer of a property, written only where there is a problem: a large document has thousands.
#[derive(Debug, Clone, Copy)]
struct PropertyAt<'g, P> {
    place: Place<'g>,
    path: P,
}

impl<P: fmt::Display> fmt::Display for PropertyAt<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            collection, index, ..
        } = self.place;
        let path = &self.path;
        write!(f, "/properties/{collection}/{index}/properties/{path}")
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            return write!(f, "{}[{}]", self.collection, self.index);
        }
        write!(
            f,
            "{}/{}",
            self.collection,
            crate::resource::shown(self.name)
        )
    }
}

/// The resources of one collection with their places.
fn each<R: Resource>(
    collection: Collection,
    resources: Option<&Vec<R>>,
) -> impl Iterator<Item = (Place<'_>, &R::Properties)> {
    let resources = resources.map(Vec::as_slice).unwrap_or_default();
    resources.iter().enumerate().map(move |(index, resource)| {
        let place = Place {
            collection,
            index,
            name: resource.name().unwrap_or_default(),
        };
        (place, resource.properties())
    })
}

impl<'g> Checker<'g, '_> {
    fn config(&mut self) -> Config {
        Config {
            name: self.gateway.name.clone().unwrap_or_default(),
            listeners: self.listeners(),
            certificates: self.certificates(),
            trusted_roots: self.trusted_roots(),
            pools: self.pools(),
            http_settings: self.http_settings(),
            probes: self.probes(),
            rules: self.rules(),
            limits: self.limits(),
            trusted_proxies: self.trusted_proxies(),
        }
    }

    /// The name, as its owner spells it, of what `reference` refers to. What refers to nothing has
    /// been reported by [`Checker::references`].
    fn target(&self, reference: Option<&Reference>, collection: Collection) -> Option<&'g str> {
        let name = reference?.name().to_ascii_lowercase();
        self.known.get(&(collection, name)).copied()
    }

    /// Notes that a required property is missing, unless it is there and unreadable.
    fn missing(&mut self, place: &Place<'_>, property: &str, remedy: &str) {
        let pointer = place.property(property);
        if !self.problems.has_failed_inside(pointer) {
            let message = format!("{place} has no `{property}`");
            self.problems
                .error(pointer, MISSING_PROPERTY, message, remedy);
        }
    }

    /// Notes a missing reference, or gives the name that it refers to.
    fn required_target(
        &mut self,
        place: &Place<'_>,
        property: &str,
        reference: Option<&Reference>,
        collection: Collection,
    ) -> Option<&'g str> {
        if reference.is_none() {
            let remedy = format!("write `\"{property}\": {{\"id\": \"{collection}/...\"}}`");
            self.missing(place, property, &remedy);
        }
        self.target(reference, collection)
    }

    /// A number within its bounds; `None` after an error has been noted, or when there is none.
    fn bounded(
        &mut self,
        pointer: impl fmt::Display,
        owner: &dyn fmt::Display,
        value: Option<u32>,
        bounds: RangeInclusive<u32>,
    ) -> Option<u32> {
        let value = value?;
        if bounds.contains(&value) {
            return Some(value);
        }
        let pointer = pointer.to_string();
        let property = pointer.rsplit('/').next().unwrap_or_default();
        self.problems.error(
            &pointer,
            INVALID_VALUE,
            format!("`{property}` of {owner} is {value}"),
            format!("write {} to {}", bounds.start(), bounds.end()),
        );
        None
    }

    /// As [`Checker::bounded`], for a port.
    fn port(
        &mut self,
        pointer: impl fmt::Display,
        owner: &dyn fmt::Display,
        value: Option<u32>,
    ) -> Option<std::num::NonZeroU16> {
        let port = self.bounded(pointer, owner, value, 1..=65_535)?;
        std::num::NonZeroU16::new(u16::try_from(port).ok()?)
    }

    fn invalid(
        &mut self,
        pointer: impl ToString,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.error(pointer, INVALID_VALUE, message, remedy);
    }

    fn not_served(
        &mut self,
        pointer: impl ToString,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems.warning(pointer, NOT_SERVED, message, remedy);
    }
}
