//! Listener and rule for a request: total, with a written winner for every tie.
//!
//! The order of [`Endpoint::hosts`] is the decision: `compile` sorts it, and the first match wins.

use std::sync::Arc;

use crate::snapshot::{Endpoint, Route};

/// Where a request goes.
#[derive(Debug)]
pub enum Decision<'s> {
    /// To this route's backend.
    Forward(&'s Arc<Route>),
    /// A listener answers for the host, but has no rule.
    NoRule,
    /// No listener answers for the host.
    NoListener,
}

/// Decides by `host`: the request's authority without its port, in any case.
pub fn decide<'s>(endpoint: &'s Endpoint, host: &str) -> Decision<'s> {
    let winner = endpoint
        .hosts
        .iter()
        .find(|candidate| candidate.hosts.matches(host));
    match winner {
        Some(winner) => winner
            .route
            .as_ref()
            .map_or(Decision::NoRule, Decision::Forward),
        None => Decision::NoListener,
    }
}
