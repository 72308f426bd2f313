//! All scenarios, in the order of the report.

mod bounds;
mod eviction;
mod handshake;
mod hostile;
mod http;
mod lifetime;
mod reconfiguration;
mod rows;

use crate::scenario::Scenario;

/// Every scenario there is.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = handshake::scenarios();
    all.extend(http::scenarios());
    all.extend(hostile::scenarios());
    all.extend(lifetime::scenarios());
    all.extend(bounds::scenarios());
    all.extend(eviction::scenarios());
    all.extend(reconfiguration::scenarios());
    all
}
