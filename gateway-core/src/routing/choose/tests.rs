//! Fairness, `minServers`, retries: on backends made by hand.

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{
    BackendHost, BackendProtocol, HttpSettings, ProbeMatch, ProbeProtocol, TargetHost,
};
use crate::health::{Health, HealthCell, ProbePlan};
use crate::routing::Cycle;
use crate::snapshot::PerWorker;

use Balancing::{LeastConnections, RoundRobin};

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
                address: ([10, 0, 0, 1], 80).into(),
                weight: NonZeroU16::new(weight).unwrap(),
                health: Arc::new(cell),
                load: PerWorker::new(2),
            })
        })
        .collect();
    let weights: Vec<_> = targets.iter().map(|target| target.weight).collect();
    Backend {
        index: 0,
        pool: "pool".into(),
        settings_name: "settings".into(),
        settings: Arc::new(HttpSettings {
            port: NonZeroU16::MIN,
            protocol: BackendProtocol::Http,
            request_timeout: Duration::ZERO,
            host: BackendHost::FromClient,
            path_prefix: None,
            probe: None,
            drain_timeout: Duration::ZERO,
            unavailable_status: http::StatusCode::BAD_GATEWAY,
        }),
        probe: Arc::new(ProbePlan {
            protocol: ProbeProtocol::Http,
            path: "/".into(),
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            unhealthy_threshold: NonZeroU8::MIN,
            min_servers,
            matches: ProbeMatch {
                statuses: vec![],
                body: String::new(),
            },
            port: None,
            host: None,
        }),
        targets,
        unresolved: vec![],
        cycle: Cycle::new(&weights),
        turn: PerWorker::new(2),
    }
}

fn chosen(backend: &Backend, balancing: Balancing, times: usize) -> Vec<u64> {
    (0..times)
        .map(|_| choose(backend, balancing, 0, None).unwrap().id.0)
        .collect()
}

use Health::{Down, Unknown, Up};

#[test]
fn each_in_turn_and_unknown_is_served() {
    let backend = backend(0, &[(Up, 1), (Unknown, 1), (Up, 1)]);
    assert_eq!(chosen(&backend, RoundRobin, 5), [0, 1, 2, 0, 1]);
    let other_worker = choose(&backend, RoundRobin, 1, None).unwrap();
    assert_eq!(other_worker.id.0, 0, "each worker takes its own turns");
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
    let none = |backend: &Backend, tried| {
        let results = [RoundRobin, LeastConnections].map(|by| choose(backend, by, 0, tried));
        let [first, second] = results.map(|result| result.unwrap_err());
        assert_eq!(first, second);
        first
    };
    assert_eq!(none(&backend(0, &[]), None), NoTarget::Empty);
    assert_eq!(none(&backend(3, &[]), None), NoTarget::Empty);
    assert_eq!(none(&backend(0, &[(Down, 1)]), None), NoTarget::AllDown);
    let one_left = backend(0, &[(Up, 1), (Down, 1)]);
    assert_eq!(none(&one_left, Some(TargetId(0))), NoTarget::AllTried);
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
        let round = chosen(&backend, RoundRobin, expected.len());
        assert_eq!(round, expected, "minServers {min_servers}");
    }
}

fn member() -> impl Strategy<Value = (Health, u16)> {
    (prop::sample::select(&[Up, Up, Down, Unknown][..]), 1..9_u16)
}

fn balancing() -> impl Strategy<Value = Balancing> {
    prop::sample::select(&[RoundRobin, LeastConnections][..])
}

proptest! {
    #[test]
    fn down_only_where_min_servers_wants_it_and_never_the_tried(
        members in prop::collection::vec(member(), 0..12),
        min_servers in 0..14_usize,
        balancing in balancing(),
        tried in prop::option::of(0..12_u64),
    ) {
        let backend = backend(min_servers, &members);
        let tried = tried.map(TargetId);
        let healthy = members.iter().filter(|(health, _)| health.is_serving()).count();
        let forced: Vec<TargetId> = forced(&backend).map(|target| target.id).collect();
        prop_assert_eq!(forced.len(), min_servers.saturating_sub(healthy).min(members.len() - healthy));
        for _ in 0..20 {
            match choose(&backend, balancing, 0, tried) {
                Ok(target) => {
                    prop_assert!(Some(target.id) != tried);
                    prop_assert!(target.health.health().is_serving() || forced.contains(&target.id));
                }
                Err(_) => {
                    let served = healthy + forced.len();
                    let left = backend.targets.iter().filter(|target| {
                        Some(target.id) != tried
                            && (target.health.health().is_serving() || forced.contains(&target.id))
                    });
                    prop_assert_eq!(left.count(), 0, "{} are served", served);
                }
            }
        }
    }

    /// Wherever the turn stands and whoever is down, one cycle gives each its share.
    #[test]
    fn round_robin_is_fair_over_a_cycle(
        members in prop::collection::vec(member(), 1..12),
        ahead in 0..50_usize,
    ) {
        let backend = backend(0, &members);
        let serving: Vec<u64> = (0..)
            .zip(&members)
            .filter(|(_, (health, _))| health.is_serving())
            .map(|(id, _)| id)
            .collect();
        prop_assume!(!serving.is_empty());
        chosen(&backend, RoundRobin, ahead);
        let turns = |id: u64| {
            (0..backend.cycle.len())
                .filter(|&at| backend.cycle.target_at(at) as u64 == id)
                .count()
        };
        let expected: BTreeMap<u64, usize> = serving.iter().map(|&id| (id, turns(id))).collect();
        let mut counted = BTreeMap::new();
        for id in chosen(&backend, RoundRobin, expected.values().sum()) {
            *counted.entry(id).or_insert(0) += 1;
        }
        prop_assert_eq!(counted, expected);
    }

    #[test]
    fn least_connections_never_passes_over_a_lesser_load(
        members in prop::collection::vec((member(), 0..5_u32), 1..12),
    ) {
        let by_member: Vec<_> = members.iter().map(|&(member, _)| member).collect();
        let backend = backend(0, &by_member);
        for (target, &(_, load)) in backend.targets.iter().zip(&members) {
            (0..load).for_each(|_| target.load.of(1).tunnel_opened());
        }
        let share = |target: &Target| f64::from(target.load()) / f64::from(target.weight.get());
        if let Ok(chosen) = choose(&backend, LeastConnections, 0, None) {
            let mut serving = backend.targets.iter().filter(|target| target.health.health().is_serving());
            prop_assert!(serving.all(|target| share(chosen) <= share(target)));
        }
    }
}
