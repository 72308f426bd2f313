//! JSON with comments and trailing commas, as a tree that knows where each value stands.
//!
//! Knows nothing of gateways: which properties there are is the business of the document types.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::Number;

use super::pointer::segments;
use crate::config::{ConfigProblem, ConfigProblems, Severity, position};

/// How deep objects and arrays may nest. A document needs about a dozen levels; a hostile one must
/// not exhaust the stack.
const MAX_DEPTH: usize = 64;

/// A parsed text with the place of each value.
#[derive(Clone, PartialEq)]
pub struct JsonTree {
    pub(crate) root: Node,
    text: Option<Arc<str>>,
}

/// A value and its place in the text.
#[derive(Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: NodeValue,
    pub(crate) span: Option<Range<usize>>,
}

/// What a node holds.
#[derive(Clone, PartialEq)]
pub(crate) enum NodeValue {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Property>),
}

/// One property of an object, in the order and spelling of the text.
#[derive(Clone, PartialEq)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) name_span: Option<Range<usize>>,
    pub(crate) value: Node,
}

/// Shows no values: a document holds passwords and keys.
impl fmt::Debug for JsonTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonTree").finish_non_exhaustive()
    }
}

impl JsonTree {
    /// Parses JSON (RFC 8259) with `//` and `/* */` comments and trailing commas.
    ///
    /// # Errors
    /// The first mistake in the syntax, as `InvalidJson`; objects or arrays nested more than 64
    /// deep, as `NestingTooDeep`.
    pub fn parse(text: &str) -> Result<Self, ConfigProblems> {
        // A byte order mark is no JSON, but editors write it; blanks keep the offsets right.
        let unmarked = text
            .strip_prefix('\u{feff}')
            .map(|rest| format!("   {rest}"));
        let source = unmarked.as_deref().unwrap_or(text);
        let parsed = parse_to_ast(source, &CollectOptions::default(), &OPTIONS)
            .map_err(|error| syntax_error(text, &error))?;
        let value = parsed.value.ok_or_else(|| {
            syntax_problem(text, INVALID_JSON, "The text holds no value", 0..text.len())
        })?;
        let root = Node::from_ast(value, 0, text)?;
        Ok(Self {
            root,
            text: Some(text.into()),
        })
    }

    /// Takes a value that has no text; its problems will have pointers, but no positions.
    ///
    /// # Errors
    /// Objects or arrays nested more than 64 deep, as `NestingTooDeep`.
    pub fn from_value(value: &serde_json::Value) -> Result<Self, ConfigProblems> {
        let root = Node::from_value(value, 0).ok_or_else(|| too_deep(None))?;
        Ok(Self { root, text: None })
    }

    /// A tree around `root`, whose spans (where it has any) are places in `text`.
    pub(crate) fn around(root: Node, text: Option<Arc<str>>) -> Self {
        Self { root, text }
    }

    /// Whether the tree, `levels` down in a document, keeps to its bound.
    ///
    /// # Errors
    /// Objects or arrays nested too deep, as `NestingTooDeep`.
    pub(crate) fn fits_below(&self, levels: usize) -> Result<(), ConfigProblems> {
        let Some(node) = self.root.at_depth(MAX_DEPTH - levels + 1) else {
            return Ok(());
        };
        Err(too_deep(self.text().zip(node.span.clone())))
    }

    /// The text that was parsed; spans are places in it.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(crate) fn shared_text(&self) -> Option<Arc<str>> {
        self.text.clone()
    }

    /// Follows `pointer` without regard to case: the pointer in the document's own spelling, and
    /// the span of what it names. What is missing or large is shown by the name of the resource
    /// that it belongs to, or else by the bracket that opens what is around it.
    pub(crate) fn locate(&self, pointer: &str) -> (String, Option<Range<usize>>) {
        let mut node = Some(&self.root);
        let mut nearest = &self.root;
        let mut name = None;
        let mut spelled = String::new();
        for segment in segments(pointer) {
            name = nearest.get("name").and_then(Node::text_span).or(name);
            let step = node.and_then(|node| node.step(&segment));
            let spelling = step.and_then(|(spelling, _)| spelling);
            super::pointer::push(&mut spelled, spelling.unwrap_or(&segment));
            node = step.map(|(_, next)| next);
            nearest = node.unwrap_or(nearest);
        }
        let name = nearest.get("name").and_then(Node::text_span).or(name);
        let span = nearest.span.clone().map(|span| {
            let opening = span.start..span.start + 1;
            match name {
                _ if !nearest.is_container() => span,
                Some(name) => name,
                None => opening,
            }
        });
        (spelled, span)
    }
}

const INVALID_JSON: &str = "InvalidJson";
const NESTING_TOO_DEEP: &str = "NestingTooDeep";

/// JSON with comments and trailing commas; nothing else of what the parser could let pass.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

impl Node {
    /// A value without a place.
    pub(crate) fn new(value: NodeValue) -> Self {
        Self { value, span: None }
    }

    /// The property of that name, in any case.
    pub(crate) fn property(&self, name: &str) -> Option<&Property> {
        let NodeValue::Object(properties) = &self.value else {
            return None;
        };
        properties
            .iter()
            .find(|property| property.name.eq_ignore_ascii_case(name))
    }

    /// The value of the property of that name, in any case; `None` for `null`.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let value = &self.property(name)?.value;
        (value.value != NodeValue::Null).then_some(value)
    }

    /// As [`Node::get`], to be changed.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        let NodeValue::Object(properties) = &mut self.value else {
            return None;
        };
        properties
            .iter_mut()
            .find(|property| property.name.eq_ignore_ascii_case(name))
            .map(|property| &mut property.value)
            .filter(|value| value.value != NodeValue::Null)
    }

    /// Puts `value` in the place of the property of that name, or at the end.
    pub(crate) fn set(&mut self, name: &str, value: Self) {
        let NodeValue::Object(properties) = &mut self.value else {
            return;
        };
        match properties
            .iter_mut()
            .find(|property| property.name.eq_ignore_ascii_case(name))
        {
            Some(property) => property.value = value,
            None => properties.push(Property {
                name: name.to_owned(),
                name_span: None,
                value,
            }),
        }
    }

    /// The element of an array at `index`.
    pub(crate) fn element(&self, index: usize) -> Option<&Self> {
        match &self.value {
            NodeValue::Array(elements) => elements.get(index),
            NodeValue::Null
            | NodeValue::Bool(_)
            | NodeValue::Number(_)
            | NodeValue::String(_)
            | NodeValue::Object(_) => None,
        }
    }

    /// The elements of an array.
    pub(crate) fn elements_mut(&mut self) -> Option<&mut Vec<Self>> {
        match &mut self.value {
            NodeValue::Array(elements) => Some(elements),
            NodeValue::Null
            | NodeValue::Bool(_)
            | NodeValue::Number(_)
            | NodeValue::String(_)
            | NodeValue::Object(_) => None,
        }
    }

    /// The text of a string.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match &self.value {
            NodeValue::String(text) => Some(text),
            NodeValue::Null
            | NodeValue::Bool(_)
            | NodeValue::Number(_)
            | NodeValue::Array(_)
            | NodeValue::Object(_) => None,
        }
    }

    /// The place of a string.
    fn text_span(&self) -> Option<Range<usize>> {
        self.as_str().and(self.span.clone())
    }

    /// What kind of value this is, with its article.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            NodeValue::Null => "null",
            NodeValue::Bool(_) => "a boolean",
            NodeValue::Number(_) => "a number",
            NodeValue::String(_) => "a string",
            NodeValue::Array(_) => "an array",
            NodeValue::Object(_) => "an object",
        }
    }

    fn is_container(&self) -> bool {
        matches!(self.value, NodeValue::Array(_) | NodeValue::Object(_))
    }

    fn step(&self, segment: &str) -> Option<(Option<&str>, &Self)> {
        if let NodeValue::Array(elements) = &self.value {
            return Some((None, elements.get(segment.parse::<usize>().ok()?)?));
        }
        let property = self.property(segment)?;
        Some((Some(&property.name), &property.value))
    }

    fn from_ast(value: ast::Value<'_>, depth: usize, text: &str) -> Result<Self, ConfigProblems> {
        let range = value.range();
        let span = range.start..range.end;
        if depth > MAX_DEPTH {
            return Err(too_deep(Some((text, span))));
        }
        let value = match value {
            ast::Value::NullKeyword(_) => NodeValue::Null,
            ast::Value::BooleanLit(literal) => NodeValue::Bool(literal.value),
            ast::Value::StringLit(literal) => NodeValue::String(literal.value.into_owned()),
            ast::Value::NumberLit(literal) => {
                NodeValue::Number(Number::from_str(literal.value).map_err(|_| {
                    syntax_problem(text, INVALID_JSON, "No such number", span.clone())
                })?)
            }
            ast::Value::Array(array) => NodeValue::Array(
                array
                    .elements
                    .into_iter()
                    .map(|element| Self::from_ast(element, depth + 1, text))
                    .collect::<Result<_, _>>()?,
            ),
            ast::Value::Object(object) => NodeValue::Object(
                object
                    .properties
                    .into_iter()
                    .map(|property| Property::from_ast(property, depth + 1, text))
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Self {
            value,
            span: Some(span),
        })
    }

    /// The first value that is at least `levels` down.
    fn at_depth(&self, levels: usize) -> Option<&Self> {
        let Some(levels) = levels.checked_sub(1) else {
            return Some(self);
        };
        match &self.value {
            NodeValue::Array(elements) => elements.iter().find_map(|node| node.at_depth(levels)),
            NodeValue::Object(properties) => {
                (properties.iter()).find_map(|property| property.value.at_depth(levels))
            }
            NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::String(_) => {
                None
            }
        }
    }

    /// `None` when it nests too deep.
    pub(crate) fn from_value(value: &serde_json::Value, depth: usize) -> Option<Self> {
        if depth > MAX_DEPTH {
            return None;
        }
        Some(Self::new(match value {
            serde_json::Value::Null => NodeValue::Null,
            serde_json::Value::Bool(value) => NodeValue::Bool(*value),
            serde_json::Value::Number(value) => NodeValue::Number(value.clone()),
            serde_json::Value::String(value) => NodeValue::String(value.clone()),
            serde_json::Value::Array(elements) => NodeValue::Array(
                elements
                    .iter()
                    .map(|element| Self::from_value(element, depth + 1))
                    .collect::<Option<_>>()?,
            ),
            serde_json::Value::Object(properties) => NodeValue::Object(
                properties
                    .iter()
                    .map(|(name, value)| {
                        Some(Property {
                            name: name.clone(),
                            name_span: None,
                            value: Self::from_value(value, depth + 1)?,
                        })
                    })
                    .collect::<Option<_>>()?,
            ),
        }))
    }

    /// The value without places; of two properties of one name the last stays.
    pub(crate) fn to_value(&self) -> serde_json::Value {
        match &self.value {
            NodeValue::Null => serde_json::Value::Null,
            NodeValue::Bool(value) => (*value).into(),
            NodeValue::Number(value) => value.clone().into(),
            NodeValue::String(value) => value.clone().into(),
            NodeValue::Array(elements) => elements.iter().map(Self::to_value).collect(),
            NodeValue::Object(properties) => properties
                .iter()
                .map(|property| (property.name.clone(), property.value.to_value()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

impl Property {
    fn from_ast(
        property: ast::ObjectProp<'_>,
        depth: usize,
        text: &str,
    ) -> Result<Self, ConfigProblems> {
        let range = property.name.range();
        Ok(Self {
            name: property.name.into_string(),
            name_span: Some(range.start..range.end),
            value: Node::from_ast(property.value, depth, text)?,
        })
    }
}

fn syntax_error(text: &str, error: &ParseError) -> ConfigProblems {
    let span = error.range().start..error.range().end;
    if matches!(error.kind(), ParseErrorKind::NestingDepthExceeded) {
        return too_deep(Some((text, span)));
    }
    syntax_problem(text, INVALID_JSON, &error.kind().to_string(), span)
}

fn syntax_problem(
    text: &str,
    code: &'static str,
    message: &str,
    span: Range<usize>,
) -> ConfigProblems {
    ConfigProblems(vec![ConfigProblem {
        severity: Severity::Error,
        code,
        pointer: String::new(),
        position: Some(position(text, span.start)),
        span: Some(span),
        message: format!("{message}; this is not JSON"),
        remedy: Some("write JSON; comments and trailing commas are accepted".to_owned()),
    }])
}

fn too_deep(place: Option<(&str, Range<usize>)>) -> ConfigProblems {
    ConfigProblems(vec![ConfigProblem {
        severity: Severity::Error,
        code: NESTING_TOO_DEEP,
        pointer: String::new(),
        position: place
            .as_ref()
            .map(|(text, span)| position(text, span.start)),
        span: place.map(|(_, span)| span),
        message: format!("objects and arrays nest more than {MAX_DEPTH} deep"),
        remedy: Some("no gateway document needs that; look for a missing bracket".to_owned()),
    }])
}

#[cfg(test)]
mod tests;
