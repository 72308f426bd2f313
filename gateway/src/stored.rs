//! Documents as the store keeps them: JSON, with their secrets apart.

use gateway_core::config::Parsed;
use gateway_core::resource::ApplicationGateway;

use crate::store::{Draft, StoredRevision};

/// What the store keeps of `document`.
pub(crate) fn draft(document: &ApplicationGateway) -> Draft {
    let _ = document;
    unimplemented!()
}

/// The document of a revision, checked as it was when it was written.
pub(crate) fn read(stored: &StoredRevision) -> Result<Parsed, String> {
    let _ = stored;
    unimplemented!()
}
