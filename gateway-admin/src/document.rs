//! The one place that knows how the document type of `gateway-core` is read from and shown.

use gateway_core::config::ConfigProblems;
use gateway_core::resource::{ApplicationGateway, Collection, JsonTree};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Every collection, in the document's order.
pub(crate) const COLLECTIONS: &[Collection] = &[Collection::HttpListeners];

/// The text as a tree.
pub(crate) fn read(text: &str) -> Result<JsonTree, ConfigProblems> {
    let _ = text;
    Ok(JsonTree)
}

/// A collection by its name on the wire, without regard to case.
pub(crate) fn collection(name: &str) -> Option<Collection> {
    let mut all = COLLECTIONS.iter().copied();
    all.find(|collection| wire_name(*collection).eq_ignore_ascii_case(name))
}

/// A collection's name on the wire.
pub(crate) fn wire_name(collection: Collection) -> &'static str {
    match collection {
        Collection::HttpListeners => "httpListeners",
    }
}

/// The whole document, without secrets.
pub(crate) fn whole(document: &ApplicationGateway) -> Value {
    serde_json::to_value(document).expect("documents have string keys and no failing Serialize")
}

/// A collection's resources, without secrets.
pub(crate) fn list(document: &ApplicationGateway, collection: Collection) -> Vec<Value> {
    let whole = whole(document);
    let all = &whole["properties"][wire_name(collection)];
    all.as_array().cloned().unwrap_or_default()
}

/// One resource, without secrets.
pub(crate) fn find(
    document: &ApplicationGateway,
    collection: Collection,
    name: &str,
) -> Option<Value> {
    let mut all = list(document, collection).into_iter();
    all.find(|resource| {
        let own = resource["name"].as_str().unwrap_or_default();
        own.eq_ignore_ascii_case(name)
    })
}

/// The tag of what `value` shows.
pub(crate) fn tag(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string());
    digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
