//! When targets are probed: intervals, suspicion, changed configurations, many at once.

use std::time::{Duration, Instant};

use gateway_core::health::Health;
use gateway_probe::Prober;

use crate::backend::{BROKEN, Backend, HEALTHY, Say};
use crate::setup::{Setup, cells, until};

/// All together, and one gap short: the first may have been accepted late.
fn assert_spaced(at: &[Instant], gap: Duration) {
    let took = at[at.len() - 1] - at[0];
    let least = gap * (at.len() as u32 - 2);
    assert!(took >= least, "{} probes in {took:?}", at.len());
}

#[tokio::test]
async fn probes_come_at_their_interval() {
    let backend = Backend::start(HEALTHY).await;
    let prober = Prober::start();
    Setup::new([backend.address]).apply(&prober, None);
    let seen = backend.until(|seen| seen.at.len() >= 8).await;
    assert_spaced(&seen.at, Duration::from_millis(100));
}

#[tokio::test]
async fn one_probe_at_a_time_though_it_takes_longer_than_the_interval() {
    let backend = Backend::start(Say::Hang(b"")).await;
    let mut setup = Setup::new([backend.address]);
    setup.probe.interval = Duration::from_millis(10);
    setup.probe.timeout = Duration::from_millis(100);
    let prober = Prober::start();
    setup.apply(&prober, None);
    let seen = backend.until(|seen| seen.at.len() >= 8).await;
    assert_spaced(&seen.at, setup.probe.timeout);
}

#[tokio::test]
async fn a_target_is_out_within_the_bound() {
    // interval + (threshold - 1) * max(interval, timeout) + timeout, and jitter (design section 6).
    let (interval, timeout) = (Duration::from_millis(200), Duration::from_millis(300));
    let backend = Backend::start(HEALTHY).await;
    let mut setup = Setup::new([backend.address]);
    setup.probe.interval = interval;
    setup.probe.timeout = timeout;
    setup.probe.unhealthy_threshold = 3.try_into().unwrap();
    let prober = Prober::start();
    let snapshot = setup.apply(&prober, None);
    let cell = cells(&snapshot)[0];
    until(&prober, cell, |report| report.health == Health::Up).await;

    let stopped = Instant::now();
    backend.say(Say::Hang(b""));
    until(&prober, cell, |report| report.health == Health::Down).await;
    let bound = interval + 2 * interval.max(timeout) + timeout;
    let jitter = 3 * (interval / 10);
    // A busy machine is slow to notice.
    let slack = Duration::from_millis(500);
    let took = stopped.elapsed();
    assert!(took <= bound + jitter + slack, "{took:?} of {bound:?}");
    assert!(took >= 3 * timeout, "three probes had to fail: {took:?}");
}

#[tokio::test]
async fn suspicion_brings_a_probe_at_once_but_not_one_for_each() {
    let backend = Backend::start(HEALTHY).await;
    let mut setup = Setup::new([backend.address]);
    setup.probe.interval = Duration::from_secs(3600);
    let prober = Prober::start();
    let snapshot = setup.apply(&prober, None);
    let cell = cells(&snapshot)[0];
    until(&prober, cell, |report| report.health == Health::Up).await;

    backend.say(BROKEN);
    for _ in 0..100 {
        prober.suspect(cell);
    }
    // An hour early, and a second after the first.
    until(&prober, cell, |report| report.health == Health::Down).await;
    let seen = backend.seen();
    assert_eq!(seen.at.len(), 2, "{seen:?}");
    assert!(
        seen.at[1] - seen.at[0] >= Duration::from_millis(900),
        "{seen:?}"
    );

    prober.suspect(u64::MAX);
}

#[tokio::test]
async fn a_target_never_probed_is_taken_down_by_suspicions() {
    // It accepts and says nothing: the first probe is under way for as long as the test takes.
    let backend = Backend::start(Say::Hang(b"")).await;
    let mut setup = Setup::new([backend.address]);
    setup.probe.timeout = Duration::from_secs(60);
    setup.probe.unhealthy_threshold = 2.try_into().unwrap();
    let prober = Prober::start();
    let mut events = prober.events();
    let snapshot = setup.apply(&prober, None);
    let target = &snapshot.backends[0].targets[0];
    prober.suspect(target.health.id);
    assert_eq!(target.health.health(), Health::Unknown);
    prober.suspect(target.health.id);
    assert_eq!(target.health.health(), Health::Down);
    let event = events.try_recv().unwrap();
    assert_eq!(event.reason, "requests were refused or reset");
}

#[tokio::test]
async fn an_update_keeps_state_and_schedule_and_drops_what_is_gone() {
    let kept = Backend::start(BROKEN).await;
    let gone = Backend::start(HEALTHY).await;
    let mut setup = Setup::new([kept.address, gone.address]);
    setup.probe.interval = Duration::from_secs(3600);
    let prober = Prober::start();
    let first = setup.apply(&prober, None);
    let before = until(&prober, cells(&first)[0], |report| {
        report.health == Health::Down
    })
    .await;
    until(&prober, cells(&first)[1], |report| {
        report.health == Health::Up
    })
    .await;

    let new = Backend::start(HEALTHY).await;
    setup.members = vec![new.address, kept.address];
    let second = setup.apply(&prober, Some(&first));
    let [new_cell, kept_cell] = cells(&second)[..] else {
        panic!("two targets");
    };
    assert_eq!(kept_cell, cells(&first)[0]);
    until(&prober, new_cell, |report| report.health == Health::Up).await;
    let report = prober.report();
    assert_eq!(report.len(), 2);
    let after = &report[&kept_cell];
    assert_eq!(after.health, Health::Down);
    assert_eq!(
        (after.since, after.failures),
        (before.since, before.failures)
    );
    assert_eq!(after.last_probe, before.last_probe);
    assert_eq!(kept.seen().at.len(), 1, "not probed again");
    assert_eq!(gone.seen().at.len(), 1);
}

#[tokio::test]
async fn an_edited_probe_is_asked_at_once_where_the_old_one_hangs() {
    let backend = Backend::start(Say::Hang(b"")).await;
    let mut setup = Setup::new([backend.address]);
    setup.probe.timeout = Duration::from_secs(3600);
    let prober = Prober::start();
    let first = setup.apply(&prober, None);
    backend.until(|seen| seen.heads.len() == 1).await;

    backend.say(HEALTHY);
    setup.probe.path = "/other".into();
    let second = setup.apply(&prober, Some(&first));
    until(&prober, cells(&second)[0], |report| {
        report.health == Health::Up
    })
    .await;
    let seen = backend.until(|seen| seen.open == 0).await;
    assert!(seen.heads[1].starts_with("GET /other "), "{seen:?}");
}

#[tokio::test]
async fn a_shorter_interval_holds_at_once() {
    let backend = Backend::start(HEALTHY).await;
    let mut setup = Setup::new([backend.address]);
    setup.probe.interval = Duration::from_secs(3600);
    let prober = Prober::start();
    let first = setup.apply(&prober, None);
    until(&prober, cells(&first)[0], |report| {
        report.health == Health::Up
    })
    .await;
    setup.probe.interval = Duration::from_millis(50);
    setup.apply(&prober, Some(&first));
    backend.until(|seen| seen.at.len() >= 3).await;
}

#[tokio::test]
async fn stopping_abandons_probes_under_way_and_starts_no_more() {
    let backend = Backend::start(Say::Hang(b"")).await;
    let mut setup = Setup::new([backend.address]);
    setup.probe.timeout = Duration::from_secs(3600);
    let prober = Prober::start();
    let snapshot = setup.apply(&prober, None);
    backend.until(|seen| seen.heads.len() == 1).await;
    prober.stop().await;
    backend.until(|seen| seen.open == 0).await;
    let other = Backend::start(HEALTHY).await;
    setup.members = vec![other.address];
    setup.apply(&prober, Some(&snapshot));
    prober.stop().await;
    assert_eq!(other.seen().at.len(), 0);
}

#[tokio::test]
async fn hundreds_of_targets_do_not_wait_for_one_another() {
    // Half of them hang: those that answer are up long before the others' time is over.
    let mut backends = Vec::new();
    for index in 0..200 {
        let hangs = index % 2 == 1;
        backends.push(Backend::start(if hangs { Say::Hang(b"") } else { HEALTHY }).await);
    }
    let mut setup = Setup::new(backends.iter().map(|backend| backend.address));
    setup.probe.interval = Duration::from_secs(1);
    setup.probe.timeout = Duration::from_secs(10);
    let prober = Prober::start();
    let started = Instant::now();
    let snapshot = setup.apply(&prober, None);
    for cell in cells(&snapshot).iter().step_by(2) {
        until(&prober, *cell, |report| report.health == Health::Up).await;
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    prober.stop().await;
}
