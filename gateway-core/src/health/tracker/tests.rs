//! The state machine on a made-up clock.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Some instant: the core has no clock, and only differences matter.
fn origin() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other source")]
    Instant::now()
}

fn tracker(health: Health, threshold: u8, interval: Duration, at: Instant) -> HealthTracker {
    let threshold = NonZeroU8::new(threshold).unwrap();
    HealthTracker::new(health, SystemTime::UNIX_EPOCH, threshold, interval, at)
}

fn outcome(is_healthy: bool) -> ProbeOutcome {
    if is_healthy {
        return ProbeOutcome::Healthy { status: 200 };
    }
    ProbeOutcome::Failed(ProbeFailure::Closed {
        reason: "reset".into(),
    })
}

/// One probe of no duration.
fn probe(tracker: &mut HealthTracker, at: Instant, is_healthy: bool) -> Option<Transition> {
    let wall = SystemTime::UNIX_EPOCH + SECOND;
    tracker.observe(&outcome(is_healthy), at, at, wall, Duration::ZERO)
}

#[test]
fn down_after_the_threshold_up_after_one_success() {
    let start = origin();
    for from in [Health::Unknown, Health::Up] {
        let mut tracker = tracker(from, 3, 30 * SECOND, start);
        assert_eq!(probe(&mut tracker, start, false), None);
        assert_eq!(probe(&mut tracker, start, false), None);
        assert_eq!((tracker.health(), tracker.failures()), (from, 2));
        let to = Health::Down;
        assert_eq!(
            probe(&mut tracker, start, false),
            Some(Transition { from, to })
        );
        assert_eq!(tracker.since(), SystemTime::UNIX_EPOCH + SECOND);
        assert_eq!(probe(&mut tracker, start, false), None);
        let (from, to) = (Health::Down, Health::Up);
        assert_eq!(
            probe(&mut tracker, start, true),
            Some(Transition { from, to })
        );
        assert_eq!(probe(&mut tracker, start, true), None);
        assert_eq!(tracker.failures(), 0);
    }
}

#[test]
fn the_next_probe_is_due_an_interval_after_the_start_or_at_once() {
    let start = origin();
    let rows = [
        // (probe took, due after its start)
        (SECOND, 30 * SECOND),
        (30 * SECOND, 30 * SECOND),
        (45 * SECOND, 45 * SECOND),
    ];
    for (took, due) in rows {
        let mut tracker = tracker(Health::Up, 3, 30 * SECOND, start);
        let now = start + took;
        tracker.observe(
            &outcome(false),
            start,
            now,
            SystemTime::UNIX_EPOCH,
            2 * SECOND,
        );
        assert_eq!(tracker.next_probe_at(), start + due + 2 * SECOND);
    }
}

#[test]
fn suspicion_brings_the_probe_forward_once_a_second() {
    let start = origin();
    let wall = SystemTime::UNIX_EPOCH;
    let mut tracker = tracker(Health::Up, 3, 30 * SECOND, start);
    probe(&mut tracker, start, true);

    let later = start + 10 * SECOND;
    assert_eq!(tracker.suspect(later, wall), None);
    assert_eq!(tracker.next_probe_at(), later, "at once");

    probe(&mut tracker, later, true);
    tracker.suspect(later + SECOND / 4, wall);
    assert_eq!(tracker.next_probe_at(), later + SECOND, "but not sooner");
    tracker.suspect(later + SECOND / 2, wall);
    assert_eq!(tracker.next_probe_at(), later + SECOND, "nor ever later");
    assert_eq!((tracker.health(), tracker.failures()), (Health::Up, 0));
}

#[test]
fn suspicions_count_only_while_health_is_unknown() {
    let start = origin();
    let wall = SystemTime::UNIX_EPOCH;
    let mut unknown = tracker(Health::Unknown, 3, 30 * SECOND, start);
    assert_eq!(unknown.suspect(start, wall), None);
    assert_eq!(probe(&mut unknown, start, false), None);
    let down = unknown.suspect(start, wall).expect("the third in a row");
    assert_eq!((down.from, down.to), (Health::Unknown, Health::Down));

    let due = unknown.next_probe_at();
    assert_eq!(unknown.suspect(start, wall), None, "nothing new");
    assert_eq!(unknown.next_probe_at(), due);

    let mut up = tracker(Health::Up, 1, 30 * SECOND, start);
    assert_eq!(up.suspect(start, wall), None);
    assert_eq!(up.health(), Health::Up);
}

#[test]
fn retuning_loses_nothing() {
    let start = origin();
    let mut tracker = tracker(Health::Up, 5, 30 * SECOND, start);
    probe(&mut tracker, start, false);
    probe(&mut tracker, start, false);

    tracker.retune(NonZeroU8::MIN, 10 * SECOND);
    assert_eq!((tracker.health(), tracker.failures()), (Health::Up, 2));
    assert_eq!(
        tracker.next_probe_at(),
        start + 10 * SECOND,
        "brought forward"
    );
    tracker.retune(NonZeroU8::MIN, 60 * SECOND);
    assert_eq!(tracker.next_probe_at(), start + 10 * SECOND, "not put off");
    assert!(
        probe(&mut tracker, start, false).is_some(),
        "by the new threshold"
    );
    assert_eq!(tracker.next_probe_at(), start + 60 * SECOND);
}

/// What befalls a tracker.
#[derive(Debug, Clone, Copy)]
enum Event {
    Probe(bool),
    Suspect,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        any::<bool>().prop_map(Event::Probe),
        Just(Event::Suspect),
        Just(Event::Probe(false)),
    ];
    prop::collection::vec(event, 0..60)
}

/// How long the probes of a test take, in ms, and how much jitter is added to the next.
fn pace() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((any::<u64>(), any::<u64>()), 300)
}

proptest! {
    /// The oracle is the definition, over the whole history each time.
    #[test]
    fn no_flap_below_the_threshold(threshold in 1..6_u8, events in events()) {
        let start = origin();
        let mut tracker = tracker(Health::Unknown, threshold, SECOND, start);
        let mut streak = 0;
        for event in events {
            let before = tracker.health();
            let transition = match event {
                Event::Probe(is_healthy) => {
                    streak = if is_healthy { 0 } else { streak + 1 };
                    probe(&mut tracker, start, is_healthy)
                }
                Event::Suspect => {
                    streak += u32::from(before == Health::Unknown);
                    tracker.suspect(start, SystemTime::UNIX_EPOCH)
                }
            };
            let expected = match (event, before) {
                (Event::Probe(true), _) => Health::Up,
                (Event::Suspect, Health::Up) => Health::Up,
                _ if streak >= u32::from(threshold) => Health::Down,
                _ => before,
            };
            prop_assert_eq!(tracker.health(), expected);
            let changed = (before != expected).then_some(Transition { from: before, to: expected });
            prop_assert_eq!(transition, changed);
        }
    }

    /// The bound of design: the target answers until `silent_from`, and from then on no probe ends
    /// well. Probes take as long as they like, requests raise suspicion when they like.
    #[test]
    fn eviction_is_bounded(
        threshold in 1..6_u8,
        interval in 1..50_000_u64,
        timeout in 1..50_000_u64,
        most_jitter in 0..5_000_u64,
        silent_from in 0..200_000_u64,
        pace in pace(),
        suspicions in prop::collection::vec(0..400_000_u64, 0..5),
    ) {
        let ms = Duration::from_millis;
        let (origin, wall) = (origin(), SystemTime::UNIX_EPOCH);
        let silent_from = origin + ms(silent_from);
        let mut tracker = tracker(Health::Up, threshold, ms(interval), origin);
        let rest = u64::from(threshold - 1) * interval.max(timeout);
        let bound = interval + rest + timeout + u64::from(threshold) * most_jitter;

        let mut down_at = None;
        for (took, jitter) in pace {
            let started = tracker.next_probe_at();
            let now = started + ms(took % (timeout + 1));
            let is_healthy = now < silent_from;
            let jitter = ms(jitter % (most_jitter + 1));
            if tracker.observe(&outcome(is_healthy), started, now, wall, jitter).is_some() {
                down_at = Some(now);
                break;
            }
            let due = tracker.next_probe_at();
            for suspicion in suspicions.iter().map(|&at| origin + ms(at)) {
                if (now..due).contains(&suspicion) {
                    tracker.suspect(suspicion, wall);
                }
            }
            prop_assert!(tracker.next_probe_at() <= due);
            if now > silent_from + ms(bound) {
                break;
            }
        }
        // A target that went silent so late that the probes ran out tells nothing.
        if let Some(down_at) = down_at {
            prop_assert!(down_at <= silent_from + ms(bound), "{:?}", down_at - silent_from);
        } else {
            prop_assert!(tracker.next_probe_at() <= silent_from + ms(bound));
        }
    }
}
