//! The one place that knows how the document type of `gateway-core` is shown.

use gateway_core::resource::{ApplicationGateway, Collection};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A collection by its name on the wire, without regard to case.
pub(crate) fn collection(name: &str) -> Option<Collection> {
    name.parse().ok()
}

/// The whole document, without secrets.
pub(crate) fn whole(document: &ApplicationGateway) -> Value {
    serde_json::to_value(document).expect("documents have string keys and finite numbers only")
}

/// The tag of what `value` shows.
pub(crate) fn tag(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string());
    digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
