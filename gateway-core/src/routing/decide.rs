//! Listener and rule for a request: total, with a written winner for every tie.

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
    let _ = (endpoint, host);
    unimplemented!()
}
