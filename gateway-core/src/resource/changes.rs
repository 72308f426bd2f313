//! What a change of the document changes, by resource. Compares; what is equal is not written down
//! first, so that a small change of a large document is found at once.

use std::collections::BTreeMap;

use super::{ApplicationGateway, Collection, Resource};

/// One resource that differs before and after a write.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ResourceChange {
    /// `collection/name`, or the path of a property that is no resource.
    #[cfg_attr(feature = "schema", schema(example = "backendAddressPools/web"))]
    pub resource: String,
    /// What happened to it.
    pub change: ChangeKind,
}

/// What happened to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// It was there and is different now.
    Replaced,
    /// It is gone.
    Deleted,
}

/// What differs, by its full name.
pub(super) type Change = (String, ChangeKind);

/// An object's properties, to be compared one by one.
pub(super) trait Properties {
    /// Those that differ, by their names on the wire.
    fn differing(&self, after: &Self) -> Vec<(&'static str, ChangeKind)>;
}

/// What differs, in the order of its names. A resource that is written in another case is the same
/// one. Secrets count.
pub fn changes_between(
    before: Option<&ApplicationGateway>,
    after: &ApplicationGateway,
) -> Vec<ResourceChange> {
    let nothing = ApplicationGateway::default();
    let before = before.unwrap_or(&nothing);
    let envelope = [
        ("name", kind(&before.name, &after.name)),
        ("location", kind(&before.location, &after.location)),
        ("tags", kind(&before.tags, &after.tags)),
        ("zones", kind(&before.zones, &after.zones)),
        ("identity", kind(&before.identity, &after.identity)),
    ];
    let envelope = envelope.into_iter();
    let envelope = envelope.filter_map(|(name, kind)| Some((name.to_owned(), kind?)));
    let mut found: Vec<Change> = envelope.collect();
    for (name, kind) in before.properties.differing(&after.properties) {
        match name.parse::<Collection>() {
            Ok(collection) => found.extend(before.differing_in(collection, after)),
            Err(_) => found.push((format!("properties/{name}"), kind)),
        }
    }
    found.sort_by_cached_key(|(resource, _)| resource.to_ascii_lowercase());
    let change = |(resource, change)| ResourceChange { resource, change };
    found.into_iter().map(change).collect()
}

/// What became of something that may be there.
pub(super) fn kind<T: PartialEq>(before: &Option<T>, after: &Option<T>) -> Option<ChangeKind> {
    match (before, after) {
        (None, Some(_)) => Some(ChangeKind::Created),
        (Some(_), None) => Some(ChangeKind::Deleted),
        (before, after) => (before != after).then_some(ChangeKind::Replaced),
    }
}

/// The resources that differ in one collection.
pub(super) fn differing<R: Resource + PartialEq>(
    collection: Collection,
    before: Option<&[R]>,
    after: Option<&[R]>,
) -> Vec<Change> {
    let (before, after) = (by_name(before), by_name(after));
    let named = |name: &str| format!("{collection}/{name}");
    let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
    let gone = gone.map(|(_, resource)| (named(name(*resource)), ChangeKind::Deleted));
    let others = after.iter().filter_map(|(key, resource)| {
        let kind = kind(&before.get(key), &Some(resource))?;
        Some((named(name(*resource)), kind))
    });
    gone.chain(others).collect()
}

fn by_name<R: Resource>(resources: Option<&[R]>) -> BTreeMap<String, &R> {
    let resources = resources.unwrap_or_default().iter();
    resources
        .map(|resource| (name(resource).to_ascii_lowercase(), resource))
        .collect()
}

fn name(resource: &impl Resource) -> &str {
    resource.name().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::parse;
    use crate::resource::JsonTree;

    fn document(value: &Value) -> ApplicationGateway {
        let tree = JsonTree::from_value(value).unwrap();
        parse(&tree).unwrap().document
    }

    fn lines(before: Option<&ApplicationGateway>, after: &ApplicationGateway) -> Vec<String> {
        let changes = changes_between(before, after).into_iter();
        changes
            .map(|change| format!("{} {:?}", change.resource, change.change))
            .collect()
    }

    #[test]
    fn what_differs() {
        let before = document(&json!({
            "name": "gw",
            "tags": { "a": "1" },
            "properties": {
                "enableHttp2": false,
                "frontendPorts": [
                    { "name": "a", "properties": { "port": 1 } },
                    { "name": "b", "properties": { "port": 2 } },
                    { "name": "c", "properties": { "port": 3 } },
                ],
                "backendAddressPools": [{ "name": "Live" }],
                "sslCertificates": [{ "name": "k", "properties": { "data": "AAEC" } }],
            },
        }));
        let after = document(&json!({
            "name": "gw",
            "properties": {
                "enableHttp2": true,
                "frontendPorts": [
                    { "name": "c", "properties": { "port": 3 } },
                    { "name": "a", "properties": { "port": 4 } },
                    { "name": "d", "properties": { "port": 2 } },
                ],
                "backendAddressPools": [{ "name": "live" }],
                "sslCertificates": [{ "name": "k", "properties": { "data": "AAED" } }],
                "probes": [],
                "limits": { "maxConnections": 1 },
            },
        }));
        let expected = [
            "backendAddressPools/live Replaced",
            "frontendPorts/a Replaced",
            "frontendPorts/b Deleted",
            "frontendPorts/d Created",
            "properties/enableHttp2 Replaced",
            "properties/limits Created",
            "sslCertificates/k Replaced",
            "tags Deleted",
        ];
        assert_eq!(lines(Some(&before), &after), expected);
        assert_eq!(lines(Some(&after), &after), [""; 0]);
        let first = document(&json!({ "name": "gw" }));
        assert_eq!(lines(None, &first), ["name Created"]);
    }
}
