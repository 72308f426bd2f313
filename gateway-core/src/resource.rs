//! The document as its user wrote it: Application Gateway's JSON shape.
//!
//! Reading goes through [`JsonTree`], which knows its spans; serde derives only write. What is
//! written is canonical: camelCase names, canonical enum values, no read-only properties, no
//! secrets, references as they were given. Reading it back gives an equal document.
//!
//! The types keep what is there; whether it makes sense is judged in [`config`](crate::config).

mod backend;
mod changes;
mod collection;
mod define;
mod edit;
mod etag;
mod frontend;
mod gateway;
mod pointer;
mod read;
mod reference;
mod rules;
mod secret;
mod stored;
mod suggest;
mod tls;
mod tree;
mod unserved;
mod websocket;

pub use backend::*;
pub use changes::{ChangeKind, ResourceChange, changes_between};
pub use collection::{Collection, UnknownCollection};
pub use edit::{Edit, EditError, Edited, apply_edit};
pub use frontend::*;
pub use gateway::*;
pub use reference::Reference;
pub use rules::*;
pub use secret::SecretText;
pub use stored::{SecretBlob, StoredError, from_stored};
pub use tls::*;
pub use tree::JsonTree;
pub use unserved::*;
pub use websocket::*;

pub(crate) use pointer::Pointer;
pub(crate) use read::INVALID_VALUE;
pub(crate) use suggest::{nearest, shown};
pub(crate) use tree::{Node, NodeValue};

/// What all named resources have in common.
pub(crate) trait Resource {
    /// What is inside `properties`.
    type Properties;

    /// Its name, if it could be read.
    fn name(&self) -> Option<&str>;

    /// What it is.
    fn properties(&self) -> &Self::Properties;
}
