//! Text that is read and never written: passwords and keys.

use super::pointer::Pointer;
use super::read::Read;
use super::tree::Node;
use crate::config::{Collector, Secret};

/// A write-only string. It is left out when a document is written, and out of `Debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretText(Secret);

impl SecretText {
    /// Keeps `text` from being shown.
    pub fn new(text: &str) -> Self {
        Self(Secret::new(text.as_bytes()))
    }

    /// The text, for the one who must use it.
    pub fn expose(&self) -> &str {
        std::str::from_utf8(self.0.expose()).expect("it was made from a str")
    }
}

impl Read for SecretText {
    fn read(node: &Node, at: &Pointer<'_>, problems: &mut Collector<'_>) -> Option<Self> {
        String::read(node, at, problems).map(|text| Self::new(&text))
    }

    fn hidden(_: &Option<Self>) -> bool {
        true
    }
}

/// Only for whoever asks for it by itself: documents leave the property out.
impl serde::Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}
