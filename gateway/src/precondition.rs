//! `If-Match` and `If-None-Match`, judged when it is the write's turn (RFC 9110 section 13).

use gateway_admin::{ApplyError, Precondition};
use gateway_core::resource::{ApplicationGateway, Edit};

/// Refuses an edit of `document` whose precondition does not hold.
pub(crate) fn judge(
    document: Option<&ApplicationGateway>,
    edit: &Edit,
    precondition: &Precondition,
) -> Result<(), ApplyError> {
    let current = current_tag(document, edit);
    let holds = match (precondition, &current) {
        (Precondition::None, _) => true,
        (Precondition::Exists, current) => current.is_some(),
        (Precondition::Absent, current) => current.is_none(),
        (Precondition::Matches(tags), Some(current)) => tags.contains(current),
        (Precondition::Matches(_), None) => false,
    };
    if holds {
        Ok(())
    } else {
        Err(ApplyError::PreconditionFailed { current })
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
