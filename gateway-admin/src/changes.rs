//! What a write changed, by resource: for the receipt of a write and for a dry run.

use std::collections::BTreeMap;

use gateway_core::resource::ApplicationGateway;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::document;

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
    let before = before.map(document::whole).unwrap_or(Value::Null);
    between_values(&before, &document::whole(after))
}

fn between_values(before: &Value, after: &Value) -> Vec<ResourceChange> {
    let (before, after) = (parts(before), parts(after));
    let mut changes = BTreeMap::new();
    for (name, old) in &before {
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

/// The document taken apart into what has a URL of its own, and the rest by property.
fn parts(document: &Value) -> BTreeMap<String, &Value> {
    let mut parts = BTreeMap::new();
    for (key, value) in document.as_object().into_iter().flatten() {
        if key != "properties" {
            parts.insert(key.clone(), value);
            continue;
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            let resources = value
                .as_array()
                .filter(|_| document::collection(key).is_some());
            let Some(resources) = resources else {
                parts.insert(format!("properties/{key}"), value);
                continue;
            };
            for resource in resources {
                let name = resource["name"].as_str().unwrap_or_default();
                parts.insert(format!("{key}/{name}"), resource);
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
        let lines: Vec<_> = between_values(&before, &after)
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
        assert_eq!(between_values(&after, &after), []);
        let first = between_values(&Value::Null, &json!({ "name": "gw" }));
        assert_eq!(first.len(), 1);
    }
}
