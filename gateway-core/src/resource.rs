//! The document as its user wrote it: Application Gateway's JSON shape.
//!
//! Reading goes through [`JsonTree`], which knows its spans; serde derives only write.

mod edit;
mod tree;

pub use edit::{Collection, Edit, EditError, Edited, apply_edit};
pub use tree::JsonTree;

/// `Microsoft.Network/applicationGateways`: the whole document (reference section 1).
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApplicationGateway {
    /// The gateway's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
