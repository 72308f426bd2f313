//! The order in which round robin visits a backend's targets, worked out once per snapshot.

use std::num::NonZeroU16;

/// The longest cycle for a pool of moderate size. Longer ones are scaled down, so that skipping
/// the turns of a heavy target that is down stays cheap.
const LONGEST: u64 = 4096;

/// Indexes into a backend's targets, each as often as its weight says and evenly spread.
///
/// Shares are exact while the weights, divided by their common divisor, add up to 4,096 or less;
/// beyond that they are rounded to a cycle of about that length, and nobody's share falls to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle(Box<[u32]>);

impl Cycle {
    /// The cycle of targets with these weights, in their order.
    pub fn new(weights: &[NonZeroU16]) -> Self {
        let turns = turns_of(weights);
        // A target with n turns wants them at (2k + 1) / 2n of the cycle, for k below n.
        let mut wanted: Vec<(u64, u32)> = Vec::with_capacity(weights.len());
        for (index, &count) in (0..).zip(&turns) {
            wanted.extend((0..count).map(|k| (((2 * k + 1) << 32) / (2 * count), index)));
        }
        wanted.sort_unstable();
        Self(wanted.into_iter().map(|(_, index)| index).collect())
    }

    /// How many turns there are until it starts again.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no targets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The index of the target whose turn `turn` is; `turn` is below [`Cycle::len`].
    pub(super) fn target_at(&self, turn: usize) -> usize {
        self.0[turn] as usize
    }
}

/// How many turns each weight gets in one cycle.
fn turns_of(weights: &[NonZeroU16]) -> Vec<u64> {
    let divisor = weights
        .iter()
        .fold(0, |divisor, weight| common_divisor(weight.get(), divisor));
    let reduced = weights
        .iter()
        .map(|weight| u64::from(weight.get() / divisor.max(1)));
    let total: u64 = reduced.clone().sum();
    let longest = LONGEST.max(weights.len() as u64);
    if total <= longest {
        return reduced.collect();
    }
    reduced
        .map(|weight| (weight * longest / total).max(1))
        .collect()
}

fn common_divisor(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cycle(weights: &[u16]) -> Vec<u32> {
        let weights: Vec<_> = weights
            .iter()
            .map(|&weight| NonZeroU16::new(weight).unwrap())
            .collect();
        Cycle::new(&weights).0.into_vec()
    }

    #[test]
    fn equal_weights_take_turns_in_list_order() {
        assert!(cycle(&[]).is_empty());
        assert_eq!(cycle(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(cycle(&[500, 500]), [0, 1]);
    }

    #[test]
    fn a_heavy_target_does_not_get_its_turns_in_a_row() {
        assert_eq!(cycle(&[3, 1, 1]), [0, 0, 1, 2, 0]);
        assert_eq!(cycle(&[4, 2]), [0, 1, 0]);
    }

    #[test]
    fn extreme_weights_keep_the_cycle_short_and_everyone_in_it() {
        let cycle = cycle(&[65535, 1, 2]);
        assert!(cycle.len() <= 4096 + 3);
        assert!(cycle.contains(&1) && cycle.contains(&2));
    }

    proptest! {
        #[test]
        fn shares_are_proportional(weights in prop::collection::vec(1_u16..40, 1..20)) {
            let cycle = cycle(&weights);
            let count = |index: usize| {
                cycle.iter().filter(|&&turn| turn as usize == index).count()
            };
            for (index, &weight) in weights.iter().enumerate() {
                prop_assert_eq!(
                    count(index) * usize::from(weights[0]),
                    count(0) * usize::from(weight)
                );
            }
        }
    }
}
