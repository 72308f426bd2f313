//! How a target grows into its share after it came back, or as a new one beside others.
//!
//! Its weight counts as a tenth at first and as the whole when the time of its policy is over. Pure:
//! when it began is in the target's health cell, and what time it is comes as an argument.

use std::time::{Duration, Instant};

use super::choose::Eligible;
use crate::health::HealthCell;
use crate::snapshot::{Backend, Target};

/// A whole share.
const WHOLE: u32 = 1 << 16;
/// What a target has at first: enough to warm up by.
const FIRST: u32 = WHOLE / 10;
/// 2^32 divided by the golden ratio.
const GOLDEN: u32 = 0x9e37_79b9;

/// A part of a target's weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// All of it.
    pub const WHOLE: Self = Self(WHOLE);

    /// What has been reached `since` so long, of a slow start that takes `length`.
    pub fn after(since: Duration, length: Duration) -> Self {
        if since >= length {
            return Self::WHOLE;
        }
        let part = since.as_secs_f64() / length.as_secs_f64();
        Self(FIRST + (f64::from(WHOLE - FIRST) * part) as u32)
    }

    /// What the target of `cell` has by `now` of a slow start that takes `length`. One that is seen
    /// for the first time begins.
    pub fn reached(cell: &HealthCell, length: Duration, now: Instant) -> Self {
        Self::after(cell.serving_for(now), length)
    }

    /// That part of `weight`, in units that only compare with each other.
    pub fn of(self, weight: u16) -> u64 {
        u64::from(self.0) * u64::from(weight)
    }

    /// Whether the turn of that number is taken: the part of them that the share is, spread
    /// evenly. Multiples of the golden ratio leave gaps of at most three lengths, however few or
    /// many they are, so that this holds for a share that grows.
    pub(super) fn takes(self, turn: u32) -> bool {
        turn.wrapping_mul(GOLDEN) >> 16 < self.0
    }
}

/// The slow start of a rule's policy, at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlowStart {
    length: Duration,
    now: Instant,
}

impl SlowStart {
    /// `None` where there is nobody to be spared: the policy has none, or no target that may be
    /// chosen has its whole share yet, so that they share evenly.
    pub(super) fn new(
        length: Option<Duration>,
        now: Instant,
        backend: &Backend,
        eligible: &Eligible<'_>,
    ) -> Option<Self> {
        let slow = Self {
            length: length?,
            now,
        };
        let targets = backend.targets.iter().enumerate();
        let mut eligible = targets.filter(|(index, target)| eligible.allows(*index, target));
        let has_whole = eligible.any(|(_, target)| slow.share(target) == Share::WHOLE);
        has_whole.then_some(slow)
    }

    /// What `target` has by now. One that is seen for the first time begins.
    pub(super) fn share(&self, target: &Target) -> Share {
        Share::reached(&target.health, self.length, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_from_a_tenth_to_the_whole() {
        let length = Duration::from_secs(30);
        for (seconds, percent) in [(0, 10), (10, 40), (15, 55), (29, 97), (30, 100), (31, 100)] {
            let share = Share::after(Duration::from_secs(seconds), length);
            assert_eq!(
                (f64::from(share.0) * 100.0 / f64::from(WHOLE)).round() as u32,
                percent,
                "{seconds} s"
            );
        }
        assert_eq!(Share::after(Duration::ZERO, Duration::ZERO), Share::WHOLE);
    }

    /// In any stretch of turns, wherever it begins.
    #[test]
    fn the_turns_that_are_taken_are_spread_evenly() {
        for tenths in 1..=10 {
            let share = Share(WHOLE / 10 * tenths);
            for first in [0, 17, 4_000_000_000] {
                let turns = (0..100).map(|turn| u32::wrapping_add(first, turn));
                let taken = turns.filter(|&turn| share.takes(turn)).count();
                assert!(
                    taken.abs_diff(10 * tenths as usize) <= 2,
                    "{tenths}: {taken}"
                );
            }
        }
        assert!((0..100_000).all(|turn| Share::WHOLE.takes(turn)));
    }
}
