use std::num::NonZeroU32;

use proptest::prelude::*;

use super::*;

/// Only differences matter.
#[expect(clippy::disallowed_methods, reason = "a moment to count from")]
fn some_instant() -> Instant {
    Instant::now()
}

fn rate(per_second: u32, ramp: u64) -> HandshakeRate {
    HandshakeRate {
        per_second: NonZeroU32::new(per_second).unwrap(),
        ramp: Duration::from_secs(ramp),
    }
}

/// How many of `asked`, one after another at one moment, get through.
fn admitted(bucket: &mut HandshakeBucket, now: Instant, rate: HandshakeRate, asked: u32) -> u32 {
    (0..asked).map(|_| u32::from(bucket.admit(now, rate))).sum()
}

#[test]
fn without_a_ramp_a_second_is_full_from_the_start() {
    let start = some_instant();
    let mut bucket = HandshakeBucket::new(start);
    let rows = [
        // (milliseconds, asked, let through)
        (0, 20, 10),
        // That was the whole second's.
        (50, 1, 0),
        (100, 5, 0),
        (999, 5, 0),
        // Who waited for it to end does not get through in one lump.
        (1000, 20, 1),
        (1100, 5, 1),
        (1600, 20, 5),
        (1600, 1, 0),
        // Nobody came for a long time: no more than a second's worth has gathered.
        (60_000, 100, 10),
        (61_000, 100, 10),
    ];
    for (at, asked, expected) in rows {
        let now = start + Duration::from_millis(at);
        let through = admitted(&mut bucket, now, rate(10, 0), asked);
        assert_eq!(through, expected, "at {at} ms");
    }
}

#[test]
fn a_ramp_grows_from_a_tenth_to_the_whole() {
    let start = some_instant();
    let mut bucket = HandshakeBucket::new(start);
    // A crowd that asks all the time, every 10 ms: 100 a second, over ten seconds.
    let mut seconds = [0; 14];
    for step in 0..1400 {
        let now = start + Duration::from_millis(step * 10);
        seconds[step as usize / 100] += admitted(&mut bucket, now, rate(100, 10), 50);
    }
    // The mean of each second's rate: 10 at its begin, 100 at its end after ten of them. One comes
    // with the start; a token that is not whole by a second's end goes into the next.
    let expected = [
        14.5, 23.5, 32.5, 41.5, 50.5, 59.5, 68.5, 77.5, 86.5, 95.5, 100.0, 100.0,
    ];
    for (second, expected) in expected.into_iter().enumerate() {
        let seen = f64::from(seconds[second]);
        assert!(
            (seen - expected).abs() <= 2.0,
            "{second}: {seen} of {expected}"
        );
    }
}

#[test]
fn a_slow_ramp_lets_the_first_one_through_and_the_next_when_its_time_has_come() {
    let start = some_instant();
    let mut bucket = HandshakeBucket::new(start);
    // One every ten seconds, to begin with.
    let slow = rate(1, 3600);
    assert_eq!(admitted(&mut bucket, start, slow, 3), 1);
    assert!(!bucket.admit(start + Duration::from_secs(9), slow));
    assert!(bucket.admit(start + Duration::from_secs(10), slow));
}

#[test]
fn a_ramp_that_begins_anew_begins_with_one() {
    let start = some_instant();
    let mut bucket = HandshakeBucket::new(start);
    let fast = rate(100, 10);
    let later = start + Duration::from_secs(60);
    // Those before are not on the account of those behind.
    assert_eq!(admitted(&mut bucket, later, fast, 50), 50);
    bucket.restart(later);
    assert_eq!(admitted(&mut bucket, later, fast, 50), 1);
    let second = later + Duration::from_secs(1);
    assert_eq!(admitted(&mut bucket, second, fast, 50), 14);
}

#[test]
fn what_changes_is_judged_by_what_there_is_then() {
    let start = some_instant();
    let mut bucket = HandshakeBucket::new(start);
    assert_eq!(admitted(&mut bucket, start, rate(10, 0), 5), 5);
    // A lower rate keeps no more than it would have gathered, and counts who came before.
    assert_eq!(admitted(&mut bucket, start, rate(2, 0), 5), 0);
    let next = start + Duration::from_secs(1);
    assert_eq!(admitted(&mut bucket, next, rate(2, 0), 5), 2);
    // A ramp that is set long after the start is over.
    let later = start + Duration::from_secs(60);
    assert_eq!(admitted(&mut bucket, later, rate(10, 5), 50), 10);
}

#[test]
fn clocks_that_are_late_take_nothing() {
    let start = some_instant();
    let mut bucket = HandshakeBucket::new(start);
    let later = start + Duration::from_secs(10);
    assert_eq!(admitted(&mut bucket, later, rate(10, 0), 50), 10);
    assert!(!bucket.admit(start, rate(10, 0)));
    assert!(!bucket.admit(later, rate(10, 0)));
    bucket.restart(start);
    assert!(bucket.admit(later + Duration::from_secs(1), rate(10, 0)));
}

/// What comes: after so many microseconds, somebody asks, or the pool comes back.
#[derive(Debug, Clone, Copy)]
enum Comes {
    Asks,
    Recovers,
}

/// What the rate allows between two moments, added up in slices: the definition, and no algebra.
struct Definition {
    rate: HandshakeRate,
    began: Vec<Duration>,
}

impl Definition {
    fn at(&self, at: Duration) -> f64 {
        let most = f64::from(self.rate.per_second.get());
        let began = self.began.iter().rev().find(|began| **began <= at);
        let on_ramp = at.saturating_sub(*began.unwrap()).as_secs_f64();
        let ramp = self.rate.ramp.as_secs_f64();
        if on_ramp >= ramp {
            return most;
        }
        most * (0.1 + 0.9 * on_ramp / ramp)
    }

    /// (the integral, the highest rate)
    fn between(&self, from: Duration, to: Duration) -> (f64, f64) {
        const SLICES: u32 = 400;
        let slice = (to - from) / SLICES;
        let mut sum = 0.0;
        let mut highest = self.at(from).max(self.at(to));
        for index in 0..SLICES {
            let value = self.at(from + slice * index + slice / 2);
            sum += value * slice.as_secs_f64();
            highest = highest.max(value);
        }
        // A slice may hold the beginning of a ramp, or its end.
        let error = f64::from(self.rate.per_second.get()) * slice.as_secs_f64();
        (sum + error * (self.began.len() + 1) as f64, highest)
    }
}

proptest! {
    #[test]
    fn no_window_has_more_than_the_ramp_allows(
        per_second in prop_oneof![1..5_u32, 5..200_u32],
        ramp in 0..8_u64,
        events in proptest::collection::vec(
            (prop_oneof![3 => 0..2_000_u64, 1 => 0..1_500_000_u64],
             prop_oneof![40 => Just(Comes::Asks), 1 => Just(Comes::Recovers)]),
            1..400,
        ),
    ) {
        let start = some_instant();
        let mut bucket = HandshakeBucket::new(start);
        let mut definition = Definition { rate: rate(per_second, ramp), began: vec![Duration::ZERO] };
        let mut at = Duration::ZERO;
        let mut through = Vec::new();
        for (after, comes) in events {
            at += Duration::from_micros(after);
            match comes {
                Comes::Asks => {
                    if bucket.admit(start + at, definition.rate) {
                        through.push(at);
                    }
                }
                Comes::Recovers if ramp > 0 => {
                    bucket.restart(start + at);
                    definition.began.push(at);
                }
                Comes::Recovers => {}
            }
        }
        // All windows that begin and end with one that got through; there are no worse ones.
        for first in (0..through.len()).step_by(1 + through.len() / 12) {
            for last in (first..through.len()).step_by(1 + through.len() / 12) {
                let (from, to) = (through[first], through[last]);
                let (allowed, highest) = definition.between(from, to);
                let most = allowed + highest.max(1.0) + 1e-6;
                let count = (last - first + 1) as f64;
                prop_assert!(count <= most, "{count} of {most} in {from:?} to {to:?}");
            }
        }
    }

    /// After a pause, too, and wherever the second begins.
    #[test]
    fn no_second_has_more_than_its_rate(
        per_second in 1..200_u32,
        ramp in 0..8_u64,
        pauses in proptest::collection::vec(
            prop_oneof![20 => 0..20_000_u64, 1 => 0..3_000_000_u64], 1..600,
        ),
    ) {
        let start = some_instant();
        let rate = rate(per_second, ramp);
        let (mut bucket, mut at) = (HandshakeBucket::new(start), Duration::ZERO);
        let definition = Definition { rate, began: vec![Duration::ZERO] };
        let mut through: Vec<Duration> = Vec::new();
        for pause in pauses {
            at += Duration::from_micros(pause);
            // More than there can be room for.
            let came = admitted(&mut bucket, start + at, rate, per_second + 1);
            through.extend((0..came).map(|_| at));
            let second = through.iter().rev();
            let second = second.take_while(|before| at - **before < Duration::from_secs(1));
            let (count, most) = (second.count() as f64, definition.at(at).max(1.0));
            prop_assert!(count <= most, "{count} of {most} in the second before {at:?}");
        }
    }

    /// The other half: who asks all the time gets what there is.
    #[test]
    fn nothing_is_withheld(per_second in 1..100_u32, ramp in 0..8_u64, milliseconds in 1..9_000_u64) {
        let start = some_instant();
        let mut bucket = HandshakeBucket::new(start);
        let rate = rate(per_second, ramp);
        let definition = Definition { rate, began: vec![Duration::ZERO] };
        let mut through = 0_u32;
        for step in 0..=milliseconds {
            while bucket.admit(start + Duration::from_millis(step), rate) {
                through += 1;
            }
        }
        let (allowed, _) = definition.between(Duration::ZERO, Duration::from_millis(milliseconds));
        // Where a second may have 3.9, it has 3: the rest is lost as long as the rate is no whole number.
        let seconds_on_ramp = (milliseconds as f64 / 1000.0).min(ramp as f64);
        let slack = 2.0 + f64::from(per_second) * 0.1 + seconds_on_ramp;
        prop_assert!(f64::from(through) >= allowed - slack, "{through} of {allowed}");
    }
}
