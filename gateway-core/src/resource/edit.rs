//! One change to a document: the whole of it, or one resource of a collection.
//!
//! The current document, with its secrets, becomes a tree again; what the writer sent is put into
//! it with its own places, and the whole is checked like any document.

use super::tree::{Node, NodeValue, Property};
use super::{ApplicationGateway, Collection, JsonTree};
use crate::config::{ConfigProblem, ConfigProblems, Parsed, Severity, parse, position, references};

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
    let mut root = document.root.clone();
    if let Some(certificates) = root
        .get_mut("properties")
        .and_then(|properties| properties.get_mut(Collection::SslCertificates.wire_name()))
        .and_then(Node::elements_mut)
    {
        for certificate in certificates {
            keep_secrets(current, certificate);
        }
    }
    Ok(Edited {
        parsed: parse(&JsonTree::around(root, document.shared_text()))?,
        created: current.is_none(),
    })
}

fn put(
    current: Option<&ApplicationGateway>,
    collection: Collection,
    name: &str,
    body: &JsonTree,
) -> Result<Edited, EditError> {
    let mut resource = body.root.clone();
    take_name(&mut resource, name, body)?;
    if collection == Collection::SslCertificates {
        keep_secrets(current, &mut resource);
    }
    let stands_at = current.and_then(|gateway| gateway.index_of(collection, name));
    let mut root = tree_of(current)?;
    let elements = elements_of(&mut root, collection);
    let index = stands_at.unwrap_or(elements.len());
    match elements.get_mut(index) {
        Some(place) => *place = resource,
        None => elements.push(resource),
    }
    let tree = JsonTree::around(root, body.shared_text());
    let inside = format!("/properties/{collection}/{index}");
    match parse(&tree) {
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
    let mut root = tree_of(current)?;
    let referrers = referrers(gateway, &root, collection, name);
    if !referrers.is_empty() {
        return Err(still_used(collection, index, name, &referrers).into());
    }
    elements_of(&mut root, collection).remove(index);
    Ok(Edited {
        parsed: parse(&JsonTree::around(root, None))?,
        created: false,
    })
}

/// The current document as a tree, secrets included; without one, an empty document.
fn tree_of(current: Option<&ApplicationGateway>) -> Result<Node, ConfigProblems> {
    let empty = ApplicationGateway::default();
    let value = current.unwrap_or(&empty).to_value_with_secrets();
    Ok(JsonTree::from_value(&value)?.root)
}

/// The elements of a collection, which is made if it is not there.
fn elements_of(root: &mut Node, collection: Collection) -> &mut Vec<Node> {
    let properties = root
        .get_mut("properties")
        .expect("a written document has properties");
    if properties.get(collection.wire_name()).is_none() {
        let empty = Node::new(NodeValue::Array(Vec::new()));
        properties.set(collection.wire_name(), empty);
    }
    properties
        .get_mut(collection.wire_name())
        .and_then(Node::elements_mut)
        .expect("a written collection is an array")
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
    root: &Node,
    collection: Collection,
    name: &str,
) -> Vec<String> {
    let tree = JsonTree::around(root.clone(), None);
    let mut referrers: Vec<_> = references(gateway, &tree)
        .into_iter()
        .filter(|found| found.collection == collection)
        .filter(|found| found.reference.name().eq_ignore_ascii_case(name))
        .map(|found| found.owner)
        .collect();
    referrers.dedup();
    referrers
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
