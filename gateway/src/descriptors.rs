//! How many sockets the process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft descriptor limit to the hard one, before anything asks how high it is: the proxy
/// accepts no more than it allows, and keeps some back for the API, probes and the store.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tracing::debug!(descriptors = limit.maximum, "descriptor limit"),
        Err(error) => tracing::warn!(%error, "the descriptor limit stays as it was"),
    }
}
