//! What a write changed, by resource: for the receipt of a write and for a dry run.

use std::collections::BTreeMap;

use gateway_core::resource::{ApplicationGateway, Collection};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::answer::document_json;

/// One resource that differs before and after a write.
#[derive(Debug, Serialize, ToSchema, PartialEq, Eq)]
pub(crate) struct ResourceChange {
    /// `collection/name`, or the path of a property that is no resource.
    #[schema(example = "backendAddressPools/web")]
    pub(crate) resource: String,
    /// What happened to it.
    pub(crate) change: ChangeKind,
}

/// What happened to a resource.
#[derive(Debug, Clone, Copy, Serialize, ToSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ChangeKind {
    /// It is new.
    Created,
    /// It was there and is different now.
    Replaced,
    /// It is gone.
    Deleted,
}

/// What differs, in the order of its names.
pub(crate) fn between(
    before: Option<&ApplicationGateway>,
    after: &ApplicationGateway,
) -> Vec<ResourceChange> {
    let before = before.map(parts).unwrap_or_default();
    differences(&before, &parts(after))
}

fn differences(
    before: &BTreeMap<String, Value>,
    after: &BTreeMap<String, Value>,
) -> Vec<ResourceChange> {
    let mut changes = BTreeMap::new();
    for (name, old) in before {
        match after.get(name) {
            None => changes.insert(name, ChangeKind::Deleted),
            Some(new) if new != old => changes.insert(name, ChangeKind::Replaced),
            Some(_) => None,
        };
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        changes.insert(name, ChangeKind::Created);
    }
    let change = |(resource, change): (&String, ChangeKind)| ResourceChange {
        resource: resource.clone(),
        change,
    };
    changes.into_iter().map(change).collect()
}

fn parts(document: &ApplicationGateway) -> BTreeMap<String, Value> {
    let mut parts = json_parts(&document_json(document));
    // Secrets do not show, but tags tell when they change.
    let certificates = Collection::SslCertificates;
    for name in document.names(certificates) {
        let tag = document.resource_etag(certificates, name);
        parts.insert(format!("{certificates}/{name}"), tag.into());
    }
    parts
}

/// The document taken apart into what has a URL of its own, and the rest by property.
fn json_parts(document: &Value) -> BTreeMap<String, Value> {
    let mut parts = BTreeMap::new();
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    for (key, value) in members(document) {
        if key != "properties" {
            parts.insert(key, value);
            continue;
        }
        for (key, value) in members(&value) {
            let is_collection = key.parse::<Collection>().is_ok();
            let Some(resources) = value.as_array().filter(|_| is_collection) else {
                parts.insert(format!("properties/{key}"), value);
                continue;
            };
            for resource in resources {
                let name = resource["name"].as_str().unwrap_or_default();
                parts.insert(format!("{key}/{name}"), resource.clone());
            }
        }
    }
    parts
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
            },
        });
        let after = json!({
            "name": "gw",
            "properties": {
                "enableHttp2": true,
                "httpListeners": [{ "name": "c" }, { "name": "a", "x": 2 }, { "name": "d" }],
            },
        });
        let differ = |before, after| differences(&json_parts(before), &json_parts(after));
        let lines: Vec<_> = differ(&before, &after)
            .iter()
            .map(|change| format!("{} {:?}", change.resource, change.change))
            .collect();
        let expected = [
            "httpListeners/a Replaced",
            "httpListeners/b Deleted",
            "httpListeners/d Created",
            "properties/enableHttp2 Replaced",
            "tags Deleted",
        ];
        assert_eq!(lines, expected);
        assert_eq!(differ(&after, &after), []);
        let first = differ(&Value::Null, &json!({ "name": "gw" }));
        assert_eq!(first.len(), 1);
    }
}
