//! Fairness, `minServers`, retries: on backends made by hand.

mod properties;
mod slow_start;

use std::net::Ipv4Addr;
use std::num::{NonZeroU8, NonZeroU16};
use std::sync::OnceLock;
use std::time::Duration;

use super::*;
use crate::config::{ProbeAsks, TargetHost};
use crate::fixtures::http_settings;
use crate::health::{Health, HealthCell, ProbePlan};
use crate::routing::Cycle;
use crate::snapshot::PerWorker;

use Balancing::{IpHash, LeastConnections, RoundRobin};

const ALL: [Balancing; 3] = [RoundRobin, LeastConnections, IpHash];

/// A target by health and weight; its index is its id.
fn backend(min_servers: usize, members: &[(Health, u16)]) -> Backend {
    let targets: Vec<Arc<Target>> = (0..)
        .zip(members)
        .map(|(id, &(health, weight))| {
            let cell = HealthCell::new(id);
            cell.set(health);
            Arc::new(Target {
                id: TargetId(id),
                host: TargetHost::Fqdn("a.test".into()),
                address: ([10, 0, 0, id as u8], 80).into(),
                weight: NonZeroU16::new(weight).unwrap(),
                health: Arc::new(cell),
                load: PerWorker::new(2),
                drain: Arc::default(),
            })
        })
        .collect();
    let weights: Vec<_> = targets.iter().map(|target| target.weight).collect();
    Backend {
        index: 0,
        pool: "pool".into(),
        settings_name: "settings".into(),
        settings: Arc::new(http_settings(80)),
        probe: Arc::new(ProbePlan {
            tls: false,
            asks: ProbeAsks::WebSocket { subprotocol: None },
            path: "/".into(),
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            unhealthy_threshold: NonZeroU8::MIN,
            min_servers,
            port: None,
            host: None,
        }),
        targets,
        unresolved: vec![],
        cycle: Cycle::new(&weights),
        turn: PerWorker::new(2),
    }
}

/// Any moment is as good as any other.
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "a moment to count from")]
    *START.get_or_init(Instant::now)
}

fn by(balancing: Balancing) -> Policy {
    Policy {
        balancing,
        slow_start: None,
    }
}

fn asker(client: u32, tried: &[TargetId]) -> Asker<'_> {
    Asker {
        worker: 0,
        client: Ipv4Addr::from_bits(0x0a00_0000 + client).into(),
        now: start(),
        tried,
    }
}

fn chosen(backend: &Backend, balancing: Balancing, times: usize) -> Vec<u64> {
    (0..times)
        .map(|_| choose(backend, by(balancing), &asker(0, &[])).unwrap().id.0)
        .collect()
}

/// Where each of `clients` belongs; `None` where nobody is left.
fn homes(backend: &Backend, clients: u32, tried: &[TargetId]) -> Vec<Option<u64>> {
    (0..clients)
        .map(|client| {
            let found = choose(backend, by(IpHash), &asker(client, tried));
            found.ok().map(|target| target.id.0)
        })
        .collect()
}

use Health::{Down, Unknown, Up};

#[test]
fn each_in_turn_and_unknown_is_served() {
    let backend = backend(0, &[(Up, 1), (Unknown, 1), (Up, 1)]);
    assert_eq!(chosen(&backend, RoundRobin, 5), [0, 1, 2, 0, 1]);
    let other_worker = Asker {
        worker: 1,
        ..asker(0, &[])
    };
    let other_worker = choose(&backend, by(RoundRobin), &other_worker).unwrap();
    assert_eq!(other_worker.id.0, 0, "each worker takes its own turns");
}

#[test]
fn a_target_that_is_drained_gets_nothing_until_it_is_resumed() {
    for balancing in ALL {
        // Not even where `minServers` forces all.
        let backend = backend(3, &[(Up, 1), (Up, 1), (Down, 1)]);
        backend.targets[0].drain.set(true);
        backend.targets[2].drain.set(true);
        assert_eq!(chosen(&backend, balancing, 4), [1; 4], "{balancing:?}");
        backend.targets[1].drain.set(true);
        let none = choose(&backend, by(balancing), &asker(0, &[])).unwrap_err();
        assert_eq!(none, NoTarget::AllDraining);
        backend.targets[0].drain.set(false);
        assert_eq!(chosen(&backend, balancing, 4), [0; 4], "{balancing:?}");
    }
    let backend = backend(0, &[(Down, 1)]);
    backend.targets[0].drain.set(true);
    let none = choose(&backend, by(RoundRobin), &asker(0, &[])).unwrap_err();
    assert_eq!(none, NoTarget::AllDown);
}

#[test]
fn a_down_target_leaves_its_turns_to_all_others() {
    let backend = backend(0, &[(Up, 1), (Down, 1), (Up, 1), (Up, 1)]);
    assert_eq!(chosen(&backend, RoundRobin, 6), [0, 2, 3, 0, 2, 3]);
    backend.targets[1].health.set(Up);
    assert_eq!(chosen(&backend, RoundRobin, 4), [0, 1, 2, 3]);
}

#[test]
fn the_least_load_for_its_weight_wins_and_equals_take_turns() {
    let backend = backend(0, &[(Up, 1), (Up, 2), (Up, 1)]);
    assert_eq!(chosen(&backend, LeastConnections, 4), [0, 1, 2, 0]);
    backend.targets[0].load.of(1).tunnel_opened();
    backend.targets[1].load.of(0).request_started();
    backend.targets[2].load.of(0).request_started();
    assert_eq!(
        chosen(&backend, LeastConnections, 2),
        [1, 1],
        "1/2 is least"
    );
    backend.targets[1].load.of(1).request_started();
    assert_eq!(
        chosen(&backend, LeastConnections, 3),
        [2, 0, 1],
        "all are 1"
    );
    backend.targets[2].load.of(0).request_ended();
    assert_eq!(chosen(&backend, LeastConnections, 2), [2, 2]);
}

#[test]
fn reasons_tell_an_empty_pool_from_a_dead_and_a_tried_one() {
    let none = |backend: &Backend, tried: &[TargetId]| {
        let results = ALL.map(|each| choose(backend, by(each), &asker(0, tried)).unwrap_err());
        assert!(results.iter().all(|reason| *reason == results[0]));
        results[0]
    };
    assert_eq!(none(&backend(0, &[]), &[]), NoTarget::Empty);
    assert_eq!(none(&backend(3, &[]), &[]), NoTarget::Empty);
    assert_eq!(none(&backend(0, &[(Down, 1)]), &[]), NoTarget::AllDown);
    let one_left = backend(0, &[(Up, 1), (Down, 1)]);
    assert_eq!(none(&one_left, &[TargetId(0)]), NoTarget::AllTried);
    let two_left = backend(0, &[(Up, 1), (Down, 1), (Unknown, 1)]);
    let both = [TargetId(2), TargetId(0)];
    assert_eq!(none(&two_left, &both), NoTarget::AllTried);
}

#[test]
fn min_servers_are_filled_up_in_list_order() {
    let members = [(Down, 1), (Up, 1), (Down, 1), (Down, 1)];
    let rows = [
        // (minServers, forced, chosen in one round)
        (0, vec![], vec![1]),
        (1, vec![], vec![1]),
        (2, vec![0], vec![0, 1]),
        (3, vec![0, 2], vec![0, 1, 2]),
        (4, vec![0, 2, 3], vec![0, 1, 2, 3]),
        (9, vec![0, 2, 3], vec![0, 1, 2, 3]),
    ];
    for (min_servers, expected_forced, expected) in rows {
        let backend = backend(min_servers, &members);
        let forced: Vec<u64> = forced(&backend).map(|target| target.id.0).collect();
        assert_eq!(forced, expected_forced, "minServers {min_servers}");
        let lost = lost(&backend).map(|target| target.id.0);
        assert!(lost.eq([0, 2, 3].into_iter().filter(|id| !forced.contains(id))));
        let round = chosen(&backend, RoundRobin, expected.len());
        assert_eq!(round, expected, "minServers {min_servers}");
    }
}
