//! `If-Match` and `If-None-Match`, judged when it is the write's turn (RFC 9110 section 13).

use std::cell::LazyCell;

use gateway_admin::{ApplyError, Precondition};
use gateway_core::resource::{ApplicationGateway, Edit};

/// Refuses an edit of `document` whose precondition does not hold.
pub(crate) fn judge(
    document: Option<&ApplicationGateway>,
    edit: &Edit,
    precondition: &Precondition,
) -> Result<(), ApplyError> {
    // A tag costs a hash of what it stands for.
    let current = LazyCell::new(|| current_tag(document, edit));
    let holds = match precondition {
        Precondition::None => true,
        Precondition::Exists => current.is_some(),
        Precondition::Absent => current.is_none(),
        Precondition::Matches(tags) => current.as_ref().is_some_and(|tag| tags.contains(tag)),
    };
    if holds {
        Ok(())
    } else {
        Err(ApplyError::PreconditionFailed {
            current: current.clone(),
        })
    }
}

/// The tag of what `edit` is about; `None` where there is nothing.
fn current_tag(document: Option<&ApplicationGateway>, edit: &Edit) -> Option<String> {
    match edit {
        Edit::Replace(_) => document.map(ApplicationGateway::etag),
        Edit::Put {
            collection, name, ..
        }
        | Edit::Delete { collection, name } => document?.resource_etag(*collection, name),
    }
}
