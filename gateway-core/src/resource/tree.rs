//! JSON with comments and trailing commas, as a tree that knows where each value stands.

/// A parsed text with the place of each value.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonTree;
