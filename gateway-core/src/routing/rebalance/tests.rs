//! What is closed, and when, for pools in every state.

use std::num::NonZeroU16;

use proptest::prelude::*;

use super::*;
use crate::routing::Cycle;

fn holdings(tunnels: &[u32], weights: &[u64]) -> Vec<Holding> {
    let both = tunnels.iter().zip(weights);
    let holding = |(&tunnels, &weight)| Holding {
        tunnels,
        closing: 0,
        weight,
    };
    both.map(holding).collect()
}

fn even(tunnels: &[u32]) -> Vec<Holding> {
    holdings(tunnels, &vec![1; tunnels.len()])
}

/// What a fresh one does.
fn step(holdings: &[Holding], threshold: u32) -> Step {
    Rebalancing::default().step(start(), holdings, None, Some(threshold))
}

/// Any moment is as good as any other.
fn start() -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "a moment to count from")]
    *START.get_or_init(Instant::now)
}

fn seconds(count: u64) -> Instant {
    start() + Duration::from_secs(count)
}

#[test]
fn the_surplus_over_the_mean_of_each_weight_is_closed() {
    type Row<'r> = (&'r [u32], &'r [u64], u32, Option<&'r [u32]>);
    let rows: [Row<'_>; 14] = [
        // tunnels, weights, threshold in percent, what is closed
        (&[50, 50, 0, 0], &[1, 1, 1, 1], 10, Some(&[25, 25, 0, 0])),
        (&[60, 40, 0, 0], &[1, 1, 1, 1], 10, Some(&[35, 15, 0, 0])),
        // Whoever is above the mean gives, once somebody is above the threshold.
        (&[40, 27, 25, 8], &[1, 1, 1, 1], 50, Some(&[15, 2, 0, 0])),
        // Within the threshold, up to it and no further.
        (&[110, 90], &[1, 1], 10, None),
        (&[111, 89], &[1, 1], 10, Some(&[11, 0])),
        (&[30, 10], &[3, 1], 10, None),
        (&[20, 20], &[3, 1], 10, Some(&[0, 10])),
        // A tunnel that only changes places is not worth its while.
        (&[2, 1], &[1, 1], 0, None),
        (&[2, 0], &[1, 1], 10, Some(&[1, 0])),
        (&[1, 0, 0], &[1, 1, 1], 0, None),
        // There is nobody, or nobody else.
        (&[], &[], 0, None),
        (&[9], &[1], 0, None),
        (&[0, 0], &[1, 1], 0, None),
        (
            &[u32::MAX, 0],
            &[u64::MAX >> 1, u64::MAX >> 1],
            0,
            Some(&[2_147_483_647, 0]),
        ),
    ];
    for (tunnels, weights, threshold, expected) in rows {
        let expected = expected.map_or(Step::Nothing, |close| Step::Close(close.to_vec()));
        let got = step(&holdings(tunnels, weights), threshold);
        assert_eq!(got, expected, "{tunnels:?} by {weights:?}");
    }
}

/// Clients are away for some seconds; the others' mean must not fall with them.
#[test]
fn nothing_more_is_closed_until_the_clients_are_back() {
    let mut pool = Rebalancing::default();
    let step = pool.step(start(), &even(&[50, 50, 0, 0]), None, Some(10));
    assert_eq!(step, Step::Close(vec![25, 25, 0, 0]));
    assert!(pool.is_closing());
    let halfway = even(&[38, 37, 0, 0]);
    assert_eq!(
        pool.step(seconds(1), &halfway, Some(25), Some(10)),
        Step::Nothing
    );
    let away = even(&[25, 25, 0, 0]);
    for second in 2..60 {
        assert_eq!(
            pool.step(seconds(second), &away, None, Some(10)),
            Step::Nothing
        );
        assert!(!pool.is_closing());
    }
    // They come back, but not to where they should: that is not waited for.
    let back = even(&[37, 37, 13, 13]);
    assert_eq!(
        pool.step(seconds(60), &back, None, Some(10)),
        Step::Close(vec![12, 12, 0, 0])
    );
}

#[test]
fn clients_that_do_not_come_back_are_sent_away_ever_less_often() {
    let mut pool = Rebalancing::default();
    let begun = |step| matches!(step, Step::Close(_));
    let mut closings = Vec::new();
    let mut tunnels = 1 << 20;
    for second in 0..10_000 {
        let holdings = even(&[tunnels, 0]);
        let now = seconds(second);
        if begun(pool.step(now, &holdings, None, Some(10))) {
            closings.push(second);
            tunnels /= 2;
        }
    }
    // It rests from the moment when the closing is seen to be over: a second later.
    assert_eq!(closings, [0, 61, 182, 423, 904, 1865, 3786, 7387]);
}

#[test]
fn a_rest_that_brought_them_back_is_as_short_as_the_first() {
    let mut pool = Rebalancing {
        fruitless: 3,
        ..Rebalancing::default()
    };
    pool.begin(&even(&[10, 0]));
    pool.step(seconds(0), &even(&[5, 0]), None, Some(10));
    pool.step(seconds(1), &even(&[5, 5]), None, Some(10));
    assert_eq!(pool.fruitless, 0);
}

#[test]
fn what_is_no_longer_due_is_stopped() {
    let rows: [(&[u32], u64, Step); 4] = [
        // tunnels, left to tell, what becomes of that
        (&[40, 40, 0, 0], 30, Step::Nothing),
        // Two more targets: there is more to do, and what was begun is right.
        (&[40, 40, 0, 0, 0, 0], 30, Step::Nothing),
        // The two new ones are gone: all were even.
        (&[40, 40], 30, Step::Stop),
        // Clients left by themselves.
        (&[25, 27, 20, 20], 30, Step::Stop),
    ];
    for (tunnels, left, expected) in rows {
        let mut pool = Rebalancing::default();
        pool.begin(&even(&[50, 50, 0, 0]));
        let got = pool.step(seconds(1), &even(tunnels), Some(left), Some(10));
        assert_eq!(got, expected, "{tunnels:?}");
        assert_eq!(pool.is_closing(), expected == Step::Nothing, "{tunnels:?}");
    }
}

fn closing(tunnels: &[u32], closing: &[u32]) -> Vec<Holding> {
    let mut holdings = even(tunnels);
    for (holding, &closing) in holdings.iter_mut().zip(closing) {
        holding.closing = closing;
    }
    holdings
}

/// Somebody else closes them: what is left is even, and would be taken below its mean.
#[test]
fn who_is_being_closed_is_no_surplus() {
    let holdings = closing(&[50, 50], &[50, 0]);
    assert_eq!(step(&holdings, 0), Step::Nothing);
    assert_eq!(Rebalancing::default().begin(&holdings), Step::Nothing);
    let holdings = closing(&[50, 20], &[0, 50]);
    assert_eq!(step(&holdings, 10), Step::Close(vec![15, 0]));
}

#[test]
fn who_was_told_to_go_counts_until_it_has_gone() {
    let mut pool = Rebalancing::default();
    pool.begin(&even(&[50, 50, 0, 0]));
    // 20 of 50 were told; another one goes by itself.
    let holdings = closing(&[39, 40, 0, 0], &[11, 10, 0, 0]);
    let got = pool.step(seconds(1), &holdings, Some(30), Some(10));
    assert_eq!(got, Step::Nothing);
}

#[test]
fn who_stops_it_has_ten_minutes_of_peace() {
    let (mut pool, full) = (Rebalancing::default(), even(&[10, 0]));
    pool.begin(&full);
    pool.pause(start());
    for second in 0..600 {
        let step = pool.step(seconds(second), &full, None, Some(10));
        assert_eq!(step, Step::Nothing);
    }
    let mut asked = Rebalancing::default();
    asked.pause(start());
    assert_eq!(asked.begin(&full), Step::Close(vec![5, 0]));
    let step = pool.step(seconds(600), &full, None, Some(10));
    assert_eq!(step, Step::Close(vec![5, 0]));
}

#[test]
fn without_a_threshold_nothing_begins_unless_asked() {
    let mut pool = Rebalancing::default();
    let full = even(&[10, 0]);
    assert_eq!(pool.step(start(), &full, None, None), Step::Nothing);
    assert_eq!(pool.begin(&full), Step::Close(vec![5, 0]));
    assert_eq!(
        pool.step(start(), &even(&[5, 5]), None, None),
        Step::Nothing
    );
    assert_eq!(pool.begin(&even(&[5, 5])), Step::Nothing);
    assert!(!pool.is_closing());
}

fn pool() -> impl Strategy<Value = Vec<Holding>> {
    let holding = (0..500_u32, 1..9_u64).prop_map(|(tunnels, weight)| Holding {
        tunnels,
        closing: 0,
        weight,
    });
    prop::collection::vec(holding, 1..9)
}

/// Puts `count` tunnels where least connections would.
fn reconnect(holdings: &mut [Holding], count: u32) {
    for _ in 0..count {
        let load = |holding: &&mut Holding| f64::from(holding.tunnels) / holding.weight as f64;
        let least = holdings
            .iter_mut()
            .min_by(|a, b| load(a).total_cmp(&load(b)));
        least.unwrap().tunnels += 1;
    }
}

proptest! {
    #[test]
    fn nobody_is_left_below_its_mean_and_within_the_threshold_nobody_is_touched(
        pool in pool(),
        threshold in 0..200_u32,
    ) {
        let (total, weights) = (total(&pool) as f64, pool.iter().map(|one| one.weight).sum::<u64>() as f64);
        let mean = |one: &Holding| total * one.weight as f64 / weights;
        let within = pool.iter().all(|one| {
            f64::from(one.tunnels) <= mean(one) * f64::from(100 + threshold) / 100.0
        });
        match step(&pool, threshold) {
            Step::Close(counts) => {
                prop_assert!(!within);
                for (one, count) in pool.iter().zip(counts) {
                    let kept = f64::from(one.tunnels - count);
                    prop_assert!(count == 0 || kept >= mean(one) - 1e-6);
                }
            }
            Step::Nothing => {
                // The fullest is within it, or is not worth one tunnel.
                let is_left_alone = |one: &Holding| {
                    let most = mean(one) * f64::from(100 + threshold) / 100.0 + 1e-6;
                    f64::from(one.tunnels) <= most.max(mean(one) + 1.0)
                };
                prop_assert!(pool.iter().all(is_left_alone));
            }
            Step::Stop => prop_assert!(false, "nothing had begun"),
        }
    }

    /// With least connections, once is enough, whatever the threshold.
    #[test]
    fn it_ends_when_clients_go_to_the_least_loaded(mut pool in pool()) {
        if let Step::Close(counts) = step(&pool, 0) {
            for (one, &count) in pool.iter_mut().zip(&counts) {
                one.tunnels -= count;
            }
            reconnect(&mut pool, counts.iter().sum());
        }
        prop_assert_eq!(step(&pool, 0), Step::Nothing);
    }

    /// With round robin some come back to where they were: a few times over, and fewer each time.
    #[test]
    fn it_ends_when_clients_come_back_in_turn(mut pool in pool()) {
        let weights: Vec<_> = pool.iter().map(|one| NonZeroU16::new(one.weight as u16).unwrap()).collect();
        let cycle = Cycle::new(&weights);
        let mut turn = 0;
        let mut last = u32::MAX;
        while let Step::Close(counts) = step(&pool, 10) {
            let closed = counts.iter().sum();
            prop_assert!(closed < last, "{} after {}", closed, last);
            last = closed;
            for (one, &count) in pool.iter_mut().zip(&counts) {
                one.tunnels -= count;
            }
            for _ in 0..closed {
                pool[cycle.target_at(turn % cycle.len())].tunnels += 1;
                turn += 1;
            }
        }
    }
}
