//! How many messages a second: a bucket that holds those of one second.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// One peer's messages. Holds as many as one second allows, and gives them back evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRate {
    /// What one message takes.
    share: Duration,
    /// When all of them are back.
    full_at: Instant,
}

impl MessageRate {
    /// Starts with a second's worth.
    pub fn new(per_second: NonZeroU32, now: Instant) -> Self {
        let share = Duration::from_secs(1) / per_second.get();
        Self {
            // More than one a nanosecond is no limit that anybody could exceed.
            share: share.max(Duration::from_nanos(1)),
            full_at: now,
        }
    }

    /// How many messages may come `now`.
    pub fn available(&self, now: Instant) -> u64 {
        let taken = self.full_at.saturating_duration_since(now);
        let left = Duration::from_secs(1).saturating_sub(taken);
        // At most 10^9.
        (left.as_nanos() / self.share.as_nanos()) as u64
    }

    /// So many have come.
    pub fn take(&mut self, count: u64, now: Instant) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.full_at = self.full_at.max(now) + self.share.saturating_mul(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some time; which does not matter.
    #[expect(clippy::disallowed_methods, reason = "a moment to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_seconds_worth_may_come_at_once_and_then_at_the_rate() {
        let rows = [
            // a second, taken at the start, asked after ms, available
            (10, 0, 0, 10),
            (10, 10, 0, 0),
            (10, 10, 99, 0),
            (10, 10, 100, 1),
            (10, 10, 550, 5),
            (10, 4, 100, 7),
            (10, 10, 5_000, 10),
            (3, 3, 334, 1),
            (1, 1, 999, 0),
            (1, 1, 1_000, 1),
            (u32::MAX, 1_000_000, 1, 1_000_000_000),
        ];
        for (per_second, taken, after, available) in rows {
            let start = start();
            let mut rate = MessageRate::new(NonZeroU32::new(per_second).unwrap(), start);
            rate.take(taken, start);
            let now = start + Duration::from_millis(after);
            assert_eq!(rate.available(now), available, "{per_second} a second");
        }
    }
}
