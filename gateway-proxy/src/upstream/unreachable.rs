//! Targets that could not be connected to a moment ago: the worker that has found out passes them over
//! while others are left.
//!
//! This is no health: that is for the probes to tell, a second or more later. Without it every request
//! until then would find out anew, and where half of a large pool is gone, many times over.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use gateway_core::snapshot::TargetId;

/// So long a failure is remembered: then one request of this worker tries again.
const MEMORY: Duration = Duration::from_secs(1);

/// One worker's memory.
#[derive(Debug, Default)]
pub(crate) struct Unreachable(RefCell<Vec<(TargetId, Instant)>>);

impl Unreachable {
    /// Connecting to `target` failed at `now`.
    pub(crate) fn note(&self, target: TargetId, now: Instant) {
        let mut failed = self.0.borrow_mut();
        failed.retain(|(id, at)| *id != target && is_recent(*at, now));
        failed.push((target, now));
    }

    /// Whether nothing is remembered, as nearly always.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// The targets that are remembered at `now`; forgets the others.
    pub(crate) fn recent(&self, now: Instant) -> Vec<TargetId> {
        let mut failed = self.0.borrow_mut();
        failed.retain(|(_, at)| is_recent(*at, now));
        failed.iter().map(|(id, _)| *id).collect()
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) < MEMORY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_for_a_second_from_the_last_one() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let [one, two] = [TargetId(1), TargetId(2)];
        let unreachable = Unreachable::default();
        assert!(unreachable.is_empty());
        unreachable.note(one, at(0));
        unreachable.note(two, at(400));
        unreachable.note(one, at(600));
        for (millis, expected) in [
            (600, vec![two, one]),
            (1399, vec![two, one]),
            (1400, vec![one]),
            (1600, vec![]),
        ] {
            assert_eq!(unreachable.recent(at(millis)), expected, "{millis} ms");
        }
        assert!(unreachable.is_empty());
    }
}
