//! One change to a document: the whole of it, or one resource of a collection.
//!
//! Of one resource, only what the writer sent is read, with its own places; it is put into a copy of
//! the current document, and the whole is checked like any document. So a change costs little where
//! the document is large (`docs/decisions/0037-what-a-change-does-not-touch.md`).

use super::stored::written;
use super::tree::{Node, NodeValue, Property};
use super::{ApplicationGateway, Collection, JsonTree};
use crate::config::{
    ConfigProblem, ConfigProblems, Parsed, Severity, parse, parse_less, parse_put, position,
    references,
};

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
    /// The new document, checked. Warnings on a put resource have pointers into what the writer
    /// sent; those on the rest of the document have pointers into that.
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
    /// The document would not be valid. A problem inside what the writer sent has its pointer and
    /// place there; one outside has a pointer into the document, and says so in its message.
    #[error(transparent)]
    Invalid(#[from] ConfigProblems),
}

/// Applies `edit` to `current` (`None` before the first document).
///
/// # Errors
/// There is nothing to delete, or the document would not be valid after the edit.
pub fn apply_edit(current: Option<&ApplicationGateway>, edit: &Edit) -> Result<Edited, EditError> {
    match edit {
        Edit::Replace(document) => replace(current, document),
        Edit::Put {
            collection,
            name,
            body,
        } => put(current, *collection, name, body),
        Edit::Delete { collection, name } => delete(current, *collection, name),
    }
}

fn replace(current: Option<&ApplicationGateway>, document: &JsonTree) -> Result<Edited, EditError> {
    let has_secrets = |gateway: &ApplicationGateway| gateway.properties.ssl_certificates.is_some();
    let parsed = if current.is_some_and(has_secrets) {
        let mut root = document.root.clone();
        let certificates = root
            .get_mut("properties")
            .and_then(|properties| properties.get_mut(Collection::SslCertificates.wire_name()))
            .and_then(Node::elements_mut);
        for certificate in certificates.into_iter().flatten() {
            keep_secrets(current, certificate);
        }
        parse(&JsonTree::around(root, document.shared_text()))?
    } else {
        parse(document)?
    };
    Ok(Edited {
        parsed,
        created: current.is_none(),
    })
}

fn put(
    current: Option<&ApplicationGateway>,
    collection: Collection,
    name: &str,
    body: &JsonTree,
) -> Result<Edited, EditError> {
    body.fits_below(RESOURCE_DEPTH)?;
    let mut resource = body.root.clone();
    take_name(&mut resource, name, body)?;
    if collection == Collection::SslCertificates {
        keep_secrets(current, &mut resource);
    }
    let accepted = current.cloned().unwrap_or_default();
    let stands_at = accepted.index_of(collection, name);
    let index = stands_at.unwrap_or_else(|| accepted.names(collection).len());
    let tree = JsonTree::around(alone(collection, index, resource), body.shared_text());
    let inside = format!("/properties/{collection}/{index}");
    match parse_put(accepted, (collection, index), &tree) {
        Ok(mut parsed) => {
            relate(&mut parsed.warnings, &inside);
            Ok(Edited {
                parsed,
                created: stands_at.is_none(),
            })
        }
        Err(mut problems) => {
            relate(&mut problems.0, &inside);
            Err(problems.into())
        }
    }
}

fn delete(
    current: Option<&ApplicationGateway>,
    collection: Collection,
    name: &str,
) -> Result<Edited, EditError> {
    let found = current.and_then(|gateway| Some((gateway, gateway.index_of(collection, name)?)));
    let Some((gateway, index)) = found else {
        return Err(EditError::NotFound {
            collection: collection.wire_name(),
            name: name.to_owned(),
        });
    };
    let referrers = referrers(gateway, collection, name)?;
    if !referrers.is_empty() {
        return Err(still_used(collection, index, name, &referrers).into());
    }
    let mut less = gateway.clone();
    less.remove(collection, index);
    Ok(Edited {
        parsed: parse_less(less)?,
        created: false,
    })
}

/// A resource stands in a collection, that in `properties`, and that in the document.
const RESOURCE_DEPTH: usize = 3;

/// A document that holds nothing but this resource, in its place.
fn alone(collection: Collection, index: usize, resource: Node) -> Node {
    let mut elements = vec![Node::new(NodeValue::Null); index];
    elements.push(resource);
    let resources = Node::new(NodeValue::Array(elements));
    object("properties", object(collection.wire_name(), resources))
}

fn object(name: &str, value: Node) -> Node {
    Node::new(NodeValue::Object(vec![Property {
        name: name.to_owned(),
        name_span: None,
        value,
    }]))
}

/// Gives the resource the name of its URL, unless it has another one.
fn take_name(resource: &mut Node, name: &str, body: &JsonTree) -> Result<(), ConfigProblems> {
    let NodeValue::Object(properties) = &mut resource.value else {
        return Ok(());
    };
    let written = properties
        .iter()
        .find(|property| property.name.eq_ignore_ascii_case("name"));
    let Some(written) = written else {
        properties.insert(
            0,
            Property {
                name: "name".to_owned(),
                name_span: None,
                value: Node::new(NodeValue::String(name.to_owned())),
            },
        );
        return Ok(());
    };
    match written.value.as_str() {
        Some(text) if !text.eq_ignore_ascii_case(name) => Err(other_name(written, name, body)),
        _ => Ok(()),
    }
}

fn other_name(written: &Property, name: &str, body: &JsonTree) -> ConfigProblems {
    let span = written.value.span.clone();
    let place = body.text().zip(span.as_ref());
    ConfigProblems(vec![ConfigProblem {
        severity: Severity::Error,
        code: "NameMismatch",
        pointer: format!("/{}", written.name),
        position: place.map(|(text, span)| position(text, span.start)),
        span,
        message: format!(
            "the resource is named `{}`, its address says `{}`",
            super::shown(written.value.as_str().unwrap_or_default()),
            super::shown(name)
        ),
        remedy: Some("leave `name` out, or write the same one; renaming is delete and put".into()),
    }])
}

/// A certificate put without its secrets keeps those that its namesake has: no answer ever showed
/// them, so its writer cannot have them (reference section 1.3).
fn keep_secrets(current: Option<&ApplicationGateway>, certificate: &mut Node) {
    let Some(name) = certificate.get("name").and_then(Node::as_str) else {
        return;
    };
    let stored = current.and_then(|gateway| {
        let index = gateway.index_of(Collection::SslCertificates, name)?;
        gateway.properties.ssl_certificates.as_ref()?.get(index)
    });
    let Some(stored) = stored.map(|certificate| &certificate.properties) else {
        return;
    };
    if certificate.property("properties").is_none() {
        certificate.set("properties", Node::new(NodeValue::Object(Vec::new())));
    }
    let Some(written) = certificate.get_mut("properties") else {
        return;
    };
    let from_file = written.get("keyVaultSecretId").is_some();
    let same_kind = from_file == stored.key_vault_secret_id.is_some();
    if written.get("data").is_some() || !same_kind {
        return;
    }
    for (name, secret) in [("data", &stored.data), ("password", &stored.password)] {
        if let Some(secret) = secret
            && written.get(name).is_none()
        {
            let text = NodeValue::String(secret.expose().to_owned());
            written.set(name, Node::new(text));
        }
    }
}

/// Turns pointers into the document into pointers into the resource that was sent.
fn relate(problems: &mut [ConfigProblem], inside: &str) {
    for problem in problems {
        match problem.pointer.strip_prefix(inside) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                problem.pointer = rest.to_owned();
            }
            _ => {
                problem.message = format!("elsewhere in the document: {}", problem.message);
                problem.span = None;
                problem.position = None;
            }
        }
    }
}

fn referrers(
    gateway: &ApplicationGateway,
    collection: Collection,
    name: &str,
) -> Result<Vec<String>, ConfigProblems> {
    // As a tree, since what is not served may refer to something as well.
    let tree = JsonTree::from_value(&written(gateway))?;
    let mut referrers = Vec::new();
    references(gateway, &tree, &mut |found| {
        let is_to_it = found.reference.name().eq_ignore_ascii_case(name);
        if found.collection == collection && is_to_it {
            referrers.push(found.owner.to_string());
        }
    });
    referrers.dedup();
    Ok(referrers)
}

fn still_used(
    collection: Collection,
    index: usize,
    name: &str,
    referrers: &[String],
) -> ConfigProblems {
    ConfigProblems(vec![ConfigProblem {
        severity: Severity::Error,
        code: "ResourceInUse",
        pointer: format!("/properties/{collection}/{index}"),
        span: None,
        position: None,
        message: format!(
            "{collection}/{} is still used by {}",
            super::shown(name),
            referrers.join(", ")
        ),
        remedy: Some("let them refer to another, or delete them first".to_owned()),
    }])
}
