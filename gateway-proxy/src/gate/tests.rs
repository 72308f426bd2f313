//! Pools that come back, and counts that outlive a snapshot, without sockets.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use gateway_core::config::{Config, HttpSettings, TunnelSettings};
use gateway_core::fixtures;
use gateway_core::health::Health;
use gateway_core::snapshot::{
    CompileOptions, Generation, Resolutions, Revision, Snapshot, compile,
};

use super::*;

const PER_SECOND: u32 = 100;
const RAMP: Duration = Duration::from_secs(10);

fn config(members: u8) -> Config {
    let members = (0..members).map(|last| ([10, 0, 0, last].into(), None));
    let settings = HttpSettings {
        web_socket: TunnelSettings {
            handshakes: Some(HandshakeRate {
                per_second: NonZeroU32::new(PER_SECOND).unwrap(),
                ramp: RAMP,
            }),
            ..TunnelSettings::default()
        },
        ..fixtures::http_settings(80)
    };
    let listener = fixtures::listener(80);
    fixtures::site("listener", listener, fixtures::pool(members), settings)
}

fn snapshot(config: &Config, previous: Option<&Snapshot>) -> Snapshot {
    let generation = previous.map_or(0, |previous| previous.generation.0) + 1;
    compile(
        config,
        &Resolutions::default(),
        &CompileOptions::default(),
        previous,
        Generation(generation),
        Revision(generation),
    )
}

/// How many of ten handshakes pass at once.
fn pass(gates: &PublishedGates, snapshot: &Snapshot, now: Instant) -> usize {
    let backend = &snapshot.backends[0];
    let pool = gates.pool(backend);
    (0..10).filter(|_| pool.pass(backend, now).is_ok()).count()
}

fn set(snapshot: &Snapshot, target: usize, health: Health) {
    snapshot.backends[0].targets[target].health.set(health);
}

#[test]
fn the_ramp_begins_anew_when_the_first_target_is_up_again() {
    let start = Instant::now();
    let snapshot = snapshot(&config(2), None);
    let gates = Gates::new(start).of(&snapshot);
    assert_eq!(pass(&gates, &snapshot, start), 1, "the process's own ramp");
    let mut now = start + RAMP * 2;
    assert_eq!(pass(&gates, &snapshot, now), 10);

    // One of two down and up is no return.
    for health in [Health::Down, Health::Up] {
        set(&snapshot, 0, health);
        gates.look(&snapshot, now);
    }
    assert_eq!(pass(&gates, &snapshot, now), 10);

    set(&snapshot, 0, Health::Down);
    gates.look(&snapshot, now);
    set(&snapshot, 1, Health::Down);
    gates.look(&snapshot, now);
    now += RAMP;
    set(&snapshot, 1, Health::Up);
    gates.look(&snapshot, now);
    assert_eq!(pass(&gates, &snapshot, now), 1);
    // A second later, ten a second have become nineteen.
    now += Duration::from_secs(1);
    assert_eq!(pass(&gates, &snapshot, now), 10);
    assert_eq!(pass(&gates, &snapshot, now), 4);

    // The second one to come back begins nothing.
    now += RAMP;
    set(&snapshot, 0, Health::Up);
    gates.look(&snapshot, now);
    assert_eq!(pass(&gates, &snapshot, now), 10);
}

#[test]
fn handshakes_notice_by_themselves() {
    let start = Instant::now();
    let snapshot = snapshot(&config(1), None);
    let gates = Gates::new(start).of(&snapshot);
    let now = start + RAMP;
    set(&snapshot, 0, Health::Down);
    pass(&gates, &snapshot, now);
    set(&snapshot, 0, Health::Up);
    assert!(pass(&gates, &snapshot, now) <= 1);
}

#[test]
fn a_pool_that_gets_its_first_member_comes_back_too() {
    let start = Instant::now();
    let gates = Gates::new(start);
    let empty = snapshot(&config(0), None);
    let of_empty = gates.of(&empty);
    of_empty.look(&empty, start);
    let filled = snapshot(&config(1), Some(&empty));
    let of_filled = gates.of(&filled);
    let now = start + RAMP;
    of_filled.look(&filled, now);
    assert_eq!(pass(&of_filled, &filled, now), 1);
}

#[test]
fn what_is_held_is_found_again_and_what_is_not_is_forgotten() {
    let start = Instant::now();
    let gates = Gates::new(start);
    let whole = config(1);
    let first = snapshot(&whole, None);
    let published = gates.of(&first);
    let route = &first.routes[0];
    let share = published.listener(route).enter(route, [10, 0, 0, 1].into());
    let seat = published.target(&first.backends[0].targets[0]).take(None);

    // A while without the rule, and what was published is gone.
    let without = Config {
        rules: BTreeMap::new(),
        ..whole.clone()
    };
    let second = snapshot(&without, Some(&first));
    drop((published, gates.of(&second)));
    let third = snapshot(&whole, Some(&second));
    let published = gates.of(&third);
    let target = published.target(&third.backends[0].targets[0]);
    assert!(target.take(Some(1)).is_none());
    let route = &third.routes[0];
    assert!(published.listener(route).seats.are_taken(Some(1)));

    drop((share, seat, published));
    gates.of(&second);
    let held = gates.held();
    assert!(held.listeners.is_empty() && held.pools.is_empty() && held.targets.is_empty());
}
