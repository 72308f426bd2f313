//! Reading typed values from a [`JsonTree`](super::JsonTree): every type error is noted, none
//! stops the rest; names and enum values in any case.
//!
//! Whether values make sense together is judged in `config::parse`, not here.

use std::collections::{BTreeMap, HashSet};

use super::pointer::Pointer;
use super::suggest::{nearest, shown};
use super::tree::{Node, NodeValue, Property};
use crate::config::{Collector, Found, Severity};

/// A value of another JSON type than its property has.
pub(crate) const TYPE_MISMATCH: &str = "PropertyTypeMismatch";
/// A value that its property does not know.
pub(crate) const INVALID_VALUE: &str = "InvalidPropertyValue";
/// `[parameters('x')]` and its like, where only a value will do.
pub(crate) const TEMPLATE_EXPRESSION: &str = "TemplateExpression";
const UNKNOWN_PROPERTY: &str = "UnknownProperty";
const DUPLICATE_PROPERTY: &str = "DuplicateProperty";

/// What a document type can be read from.
pub(crate) trait Read: Sized {
    /// The value at `at`; `None` after a problem has been noted.
    fn read(node: &Node, at: &Pointer<'_>, problems: &mut Collector<'_>) -> Option<Self>;

    /// What stands for an unreadable element, so that those after it keep their index.
    fn placeholder() -> Option<Self> {
        None
    }

    /// Whether a property is left out when its document is written.
    fn hidden(value: &Option<Self>) -> bool {
        value.is_none()
    }
}

/// Notes that the value at `at` has the wrong type; always `None`.
pub(crate) fn mismatch<T>(
    node: &Node,
    at: &Pointer<'_>,
    problems: &mut Collector<'_>,
    expected: &str,
) -> Option<T> {
    if let Some(text) = node.as_str()
        && is_template_expression(text)
    {
        template_expression(text, at, problems);
        return None;
    }
    problems.unreadable(
        at,
        TYPE_MISMATCH,
        format!(
            "`{}` is {}, where {expected} belongs",
            shown(at.last_name()),
            node.kind()
        ),
        format!("write {expected}"),
    );
    None
}

/// `[name(...)...]`: what Azure Resource Manager evaluates in a template before a gateway sees it.
fn is_template_expression(text: &str) -> bool {
    let Some(inside) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    else {
        return false;
    };
    let function = inside.split('(').next().unwrap_or_default();
    function.len() < inside.len()
        && !function.is_empty()
        && function
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_')
}

fn template_expression(text: &str, at: &Pointer<'_>, problems: &mut Collector<'_>) {
    problems.unreadable(
        at,
        TEMPLATE_EXPRESSION,
        format!(
            "`{}` is a template expression, which only Azure evaluates",
            shown(text)
        ),
        "write the value that it stands for",
    );
}

impl Read for String {
    fn read(node: &Node, at: &Pointer<'_>, problems: &mut Collector<'_>) -> Option<Self> {
        match node.as_str() {
            Some(text) if is_template_expression(text) => {
                template_expression(text, at, problems);
                None
            }
            Some(text) => Some(text.to_owned()),
            None => mismatch(node, at, problems, "a string"),
        }
    }
}

impl Read for bool {
    fn read(node: &Node, at: &Pointer<'_>, problems: &mut Collector<'_>) -> Option<Self> {
        if let NodeValue::Bool(value) = node.value {
            Some(value)
        } else {
            mismatch(node, at, problems, "true or false")
        }
    }
}

impl Read for u32 {
    fn read(node: &Node, at: &Pointer<'_>, problems: &mut Collector<'_>) -> Option<Self> {
        let NodeValue::Number(number) = &node.value else {
            return mismatch(node, at, problems, "a whole number");
        };
        let value = number.as_u64().and_then(|value| Self::try_from(value).ok());
        if value.is_none() {
            problems.unreadable(
                at,
                INVALID_VALUE,
                format!(
                    "`{}` is {}, which is no whole number from 0 to {}",
                    shown(at.last_name()),
                    shown(&number.to_string()),
                    Self::MAX
                ),
                "write a whole number",
            );
        }
        value
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, at: &Pointer<'_>, problems: &mut Collector<'_>) -> Option<Self> {
        let NodeValue::Array(elements) = &node.value else {
            return mismatch(node, at, problems, "an array");
        };
        let read = elements.iter().enumerate().filter_map(|(index, element)| {
            T::read(element, &at.index(index), problems).or_else(T::placeholder)
        });
        Some(read.collect())
    }
}

/// Names are the user's own here: kept as written.
impl Read for BTreeMap<String, String> {
    fn read(node: &Node, at: &Pointer<'_>, problems: &mut Collector<'_>) -> Option<Self> {
        let NodeValue::Object(properties) = &node.value else {
            return mismatch(node, at, problems, "an object of strings");
        };
        let read = properties.iter().filter_map(|property| {
            let value = String::read(&property.value, &at.name(&property.name), problems)?;
            Some((property.name.clone(), value))
        });
        Some(read.collect())
    }
}

/// What a type knows of its properties.
pub(crate) struct Shape {
    /// Properties that are read.
    pub(crate) known: &'static [&'static str],
    /// Properties that only Azure's answers have, accepted and dropped.
    pub(crate) read_only: &'static [&'static str],
    /// Where a property may have been meant to go: `properties`, and what is known there.
    pub(crate) inner: &'static [&'static str],
}

/// An object whose properties' names have been judged.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'n>(&'n [Property]);

impl<'n> Fields<'n> {
    /// Judges the names: unknown ones are warned of, the same one twice is an error.
    pub(crate) fn of(
        node: &'n Node,
        shape: &Shape,
        at: &Pointer<'_>,
        problems: &mut Collector<'_>,
    ) -> Option<Self> {
        let NodeValue::Object(properties) = &node.value else {
            return mismatch(node, at, problems, "an object");
        };
        let mut seen = Seen::among(properties);
        for (index, property) in properties.iter().enumerate() {
            let name = &property.name;
            if !shape.knows(name) && !is_back_reference(name, &property.value) {
                unknown_property(property, shape, at, problems);
            }
            if seen.is_again(index) {
                problems.keep(
                    Severity::Error,
                    Found::new(
                        property.name_span.clone(),
                        at.name(&property.name),
                        DUPLICATE_PROPERTY,
                        format!("`{}` is given twice", shown(&property.name)),
                        "keep one of them; names compare without regard to case",
                    ),
                );
            }
        }
        Some(Self(properties))
    }

    /// Reads one property; `null` is as good as absent.
    pub(crate) fn read<T: Read>(
        &self,
        name: &str,
        at: &Pointer<'_>,
        problems: &mut Collector<'_>,
    ) -> Option<T> {
        let property = self
            .0
            .iter()
            .find(|property| property.name.eq_ignore_ascii_case(name))?;
        if property.value.value == NodeValue::Null {
            return None;
        }
        T::read(&property.value, &at.name(&property.name), problems)
    }
}

/// Which names have been there before, in any case.
struct Seen<'n> {
    properties: &'n [Property],
    /// Of objects with so many properties that to look at all for each would take long.
    names: Option<HashSet<String>>,
}

impl<'n> Seen<'n> {
    fn among(properties: &'n [Property]) -> Self {
        let is_long = properties.len() > 64;
        Self {
            properties,
            names: is_long.then(HashSet::new),
        }
    }

    /// Whether the property at `index` has the name of one before. To be asked of each in turn.
    fn is_again(&mut self, index: usize) -> bool {
        let (before, name) = (&self.properties[..index], &self.properties[index].name);
        match &mut self.names {
            Some(names) => !names.insert(name.to_ascii_lowercase()),
            None => before.iter().any(|one| one.name.eq_ignore_ascii_case(name)),
        }
    }
}

impl Shape {
    fn knows(&self, name: &str) -> bool {
        self.known
            .iter()
            .chain(self.read_only)
            .chain(ALWAYS_READ_ONLY)
            .any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// What Azure's GET, and its command line, put into any object.
const ALWAYS_READ_ONLY: &[&str] = &["provisioningState", "resourceGroup"];

/// Undeclared lists of referrers that Azure's GET puts into what is referred to.
const BACK_REFERENCES: &[&str] = &[
    "backendhttpsettings",
    "backendhttpsettingscollection",
    "backendsettingscollection",
    "httplisteners",
    "listeners",
    "loaddistributionpolicies",
    "pathrules",
    "redirectconfigurations",
    "requestroutingrules",
    "routingrules",
    "urlpathmaps",
];

fn is_back_reference(name: &str, value: &Node) -> bool {
    let NodeValue::Array(elements) = &value.value else {
        return false;
    };
    let mut known = BACK_REFERENCES.iter();
    known.any(|known| known.eq_ignore_ascii_case(name))
        && elements
            .iter()
            .all(|element| element.get("id").is_some() && element.get("properties").is_none())
}

fn unknown_property(
    property: &Property,
    shape: &Shape,
    at: &Pointer<'_>,
    problems: &mut Collector<'_>,
) {
    let name = &property.name;
    let remedy = if !problems.has_room(Severity::Warning) {
        String::new()
    } else if let Some(inner) = find(shape.inner, name) {
        format!("`{inner}` belongs inside `properties`")
    } else if let Some(known) = nearest(name, shape.known.iter().copied()) {
        format!("did you mean `{known}`?")
    } else {
        "remove it, or look for its place in docs/extensions.md".to_owned()
    };
    problems.warning(
        at.name(name),
        UNKNOWN_PROPERTY,
        format!("`{}` is not known here and is ignored", shown(name)),
        remedy,
    );
}

fn find(names: &[&'static str], name: &str) -> Option<&'static str> {
    names
        .iter()
        .find(|known| known.eq_ignore_ascii_case(name))
        .copied()
}

/// Reads an enum's value in any case.
pub(crate) fn read_choice<T: Copy>(
    node: &Node,
    at: &Pointer<'_>,
    problems: &mut Collector<'_>,
    choices: &[(&'static str, T)],
) -> Option<T> {
    let text = String::read(node, at, problems)?;
    let found = choices
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(&text));
    if let Some((_, value)) = found {
        return Some(*value);
    }
    let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
    let remedy = match nearest(&text, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("write one of {}", names.join(", ")),
    };
    problems.unreadable(
        at,
        INVALID_VALUE,
        format!("`{}` cannot be `{}`", shown(at.last_name()), shown(&text)),
        remedy,
    );
    None
}
