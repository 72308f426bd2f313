//! References to other resources, in the three forms that documents use.

use std::ops::Range;

use super::pointer::Pointer;
use super::read::{Fields, Read, Shape, mismatch};
use super::tree::Node;
use crate::config::{Collector, Found, Severity};

/// A reference: a full ARM id, the short `collection/name`, or the bare `name`.
///
/// It is written back as it was read, but for a stray `'`, `)` or `]` at its end.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(example = json!({"id": "backendAddressPools/web"})))]
pub struct Reference {
    /// `/subscriptions/.../applicationGateways/{gateway}/{collection}/{name}`,
    /// `{collection}/{name}` or `{name}`.
    pub id: String,
}

/// What the founding page's snippets have at the end of their ids.
const STRAY: [char; 3] = ['\'', ')', ']'];

impl Reference {
    /// The reference that `id` stands for, without what is stray at its end.
    pub(crate) fn from_text(id: &str) -> Self {
        Self {
            id: id.trim_end_matches(STRAY).to_owned(),
        }
    }

    /// The name referred to: the id's last segment.
    pub fn name(&self) -> &str {
        self.id.rsplit('/').next().unwrap_or_default()
    }

    /// The collection that the id names, if it names one.
    pub fn collection(&self) -> Option<&str> {
        self.id
            .rsplit('/')
            .nth(1)
            .filter(|segment| !segment.is_empty())
    }

    /// Whether the id is of one of the three forms; a full one must be of a gateway's child.
    pub(crate) fn is_well_formed(&self) -> bool {
        let segments: Vec<_> = self.id.split('/').collect();
        match segments.as_slice() {
            [name] => !name.is_empty(),
            [collection, name] => !collection.is_empty() && !name.is_empty(),
            ["", .., kind, gateway, collection, name] => {
                kind.eq_ignore_ascii_case("applicationGateways")
                    && ![gateway, collection, name]
                        .iter()
                        .any(|segment| segment.is_empty())
            }
            _ => false,
        }
    }
}

impl Read for Reference {
    fn read(node: &Node, at: &Pointer<'_>, problems: &mut Collector<'_>) -> Option<Self> {
        if node.as_str().is_some() {
            return mismatch(node, at, problems, "a reference like {\"id\": \"name\"}");
        }
        let shape = Shape {
            known: &["id"],
            read_only: &[],
            inner: &[],
        };
        let fields = Fields::of(node, &shape, at, problems)?;
        let written: String = match fields.read("id", at, problems) {
            Some(written) => written,
            None => {
                problems.unreadable(
                    at.name("id"),
                    "MissingProperty",
                    format!("`{}` has no `id`", at.last_name()),
                    "write the id of the resource that is meant",
                );
                return None;
            }
        };
        let reference = Self::from_text(&written);
        if reference.id.len() < written.len() {
            let stray = &written[reference.id.len()..];
            let span = node.get("id").and_then(|id| end_of_text(id, stray.len()));
            problems.keep(
                Severity::Warning,
                Found::new(
                    span,
                    at.name("id"),
                    "StrayCharacters",
                    format!("`{stray}` at the end of the id is dropped"),
                    "remove it: it is left over from a template expression",
                ),
            );
        }
        Some(reference)
    }
}

/// The place of the last `count` characters of a string that is written without escapes.
fn end_of_text(node: &Node, count: usize) -> Option<Range<usize>> {
    let span = node.span.clone()?;
    let is_literal = span.len() == node.as_str()?.len() + "\"\"".len();
    let end = span.end - 1;
    is_literal.then(|| end - count..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms() {
        let full =
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/applicationGateways/gw";
        let rows = [
            (format!("{full}/probes/p"), true, Some("probes"), "p"),
            (
                format!("{full}/probes/p')]").to_uppercase(),
                true,
                Some("PROBES"),
                "P",
            ),
            (
                "/applicationGateways/gw/probes/p".to_owned(),
                true,
                Some("probes"),
                "p",
            ),
            ("probes/p'".to_owned(), true, Some("probes"), "p"),
            ("p)".to_owned(), true, None, "p"),
            (full.to_owned(), false, Some("applicationGateways"), "gw"),
            (format!("{full}//p"), false, None, "p"),
            (format!("{full}/probes/"), false, Some("probes"), ""),
            ("a/b/c".to_owned(), false, Some("b"), "c"),
            ("/p".to_owned(), false, None, "p"),
            ("probes/".to_owned(), false, Some("probes"), ""),
            ("')]".to_owned(), false, None, ""),
        ];
        for (id, well_formed, collection, name) in rows {
            let reference = Reference::from_text(&id);
            assert_eq!(reference.is_well_formed(), well_formed, "{id}");
            assert_eq!(reference.collection(), collection, "{id}");
            assert_eq!(reference.name(), name, "{id}");
        }
    }
}
