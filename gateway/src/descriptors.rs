//! How many sockets the process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept back from clients: the API, probes, DNS, logs and the store must work under attack.
const RESERVED: u64 = 128;

/// Raises the soft descriptor limit to the hard one; returns how many descriptors clients and
/// backends may take together. `None`: no limit.
pub(crate) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the descriptor limit stays as it was");
            limit.current
        }
    };
    let usable = current.map(usable);
    tracing::debug!(limit = current, usable, "descriptors");
    usable
}

/// A small limit is halved instead, so that both sides have some.
fn usable(limit: u64) -> u64 {
    limit.saturating_sub(RESERVED).max(limit / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_kept_back() {
        for (limit, expected) in [
            (0, 0),
            (64, 32),
            (200, 100),
            (1024, 896),
            (1 << 20, 1_048_448),
        ] {
            assert_eq!(usable(limit), expected, "{limit}");
        }
    }
}
