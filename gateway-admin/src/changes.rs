//! What a write changed, by resource: for the receipt of a write and for a dry run.

use std::collections::BTreeMap;

use gateway_core::resource::{ApplicationGateway, Collection};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::answer::document_json;

/// One resource that differs before and after a write.
#[derive(Debug, Clone, Serialize, ToSchema, PartialEq, Eq)]
pub struct ResourceChange {
    /// `collection/name`, or the path of a property that is no resource.
    #[schema(example = "backendAddressPools/web")]
    pub resource: String,
    /// What happened to it.
    pub change: ChangeKind,
}

/// What happened to a resource.
#[derive(Debug, Clone, Copy, Serialize, ToSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// It was there and is different now.
    Replaced,
    /// It is gone.
    Deleted,
}

/// What differs, in the order of its names.
pub fn changes_between(
    before: Option<&ApplicationGateway>,
    after: &ApplicationGateway,
) -> Vec<ResourceChange> {
    let before = before.map(parts).unwrap_or_default();
    differences(&before, &parts(after))
}

fn differences(before: &Parts, after: &Parts) -> Vec<ResourceChange> {
    let mut changes = BTreeMap::new();
    for (key, (name, old)) in before {
        match after.get(key) {
            None => changes.insert(key, (name, ChangeKind::Deleted)),
            Some((name, new)) if new != old => changes.insert(key, (name, ChangeKind::Replaced)),
            Some(_) => None,
        };
    }
    for (key, (name, _)) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
        changes.insert(key, (name, ChangeKind::Created));
    }
    let change = |(name, change): (&String, ChangeKind)| ResourceChange {
        resource: name.clone(),
        change,
    };
    changes.into_values().map(change).collect()
}

/// Parts of a document with their names, by those names in lower case: a resource that is written
/// in another case is the same one.
type Parts = BTreeMap<String, (String, Value)>;

fn part(name: String, value: Value) -> (String, (String, Value)) {
    (name.to_ascii_lowercase(), (name, value))
}

fn parts(document: &ApplicationGateway) -> Parts {
    let mut parts = json_parts(document_json(document));
    // Secrets do not show, but tags tell when they change.
    let certificates = Collection::SslCertificates;
    for name in document.names(certificates) {
        let tag = document.resource_etag(certificates, name);
        parts.extend([part(format!("{certificates}/{name}"), tag.into())]);
    }
    parts
}

/// The document taken apart into what has a URL of its own, and the rest by property. By value: nothing
/// is copied.
fn json_parts(document: Value) -> Parts {
    let mut parts = BTreeMap::new();
    for (key, value) in members(document) {
        if key != "properties" {
            parts.extend([part(key, value)]);
            continue;
        }
        for (key, value) in members(value) {
            let is_collection = key.parse::<Collection>().is_ok();
            #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum")]
            let resources = match value {
                Value::Array(resources) if is_collection => resources,
                value => {
                    parts.extend([part(format!("properties/{key}"), value)]);
                    continue;
                }
            };
            for resource in resources {
                let name = resource["name"].as_str().unwrap_or_default();
                parts.extend([part(format!("{key}/{name}"), resource)]);
            }
        }
    }
    parts
}

fn members(value: Value) -> Map<String, Value> {
    if let Value::Object(members) = value {
        members
    } else {
        Map::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs() {
        let before = json!({
            "name": "gw",
            "tags": { "a": "1" },
            "properties": {
                "enableHttp2": false,
                "httpListeners": [{ "name": "a", "x": 1 }, { "name": "b" }, { "name": "c" }],
                "probes": [{ "name": "Live" }],
            },
        });
        let after = json!({
            "name": "gw",
            "properties": {
                "enableHttp2": true,
                "httpListeners": [{ "name": "c" }, { "name": "a", "x": 2 }, { "name": "d" }],
                "probes": [{ "name": "live" }],
            },
        });
        let differ = |before: &Value, after: &Value| {
            differences(&json_parts(before.clone()), &json_parts(after.clone()))
        };
        let lines: Vec<_> = differ(&before, &after)
            .iter()
            .map(|change| format!("{} {:?}", change.resource, change.change))
            .collect();
        let expected = [
            "httpListeners/a Replaced",
            "httpListeners/b Deleted",
            "httpListeners/d Created",
            "probes/live Replaced",
            "properties/enableHttp2 Replaced",
            "tags Deleted",
        ];
        assert_eq!(lines, expected);
        assert_eq!(differ(&after, &after), []);
        let first = differ(&Value::Null, &json!({ "name": "gw" }));
        assert_eq!(first.len(), 1);
    }
}
