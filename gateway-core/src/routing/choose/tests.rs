//! Fairness, `minServers`, retries: on backends made by hand.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::{NonZeroU8, NonZeroU16};
use std::sync::OnceLock;
use std::time::Duration;

use proptest::prelude::*;

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
    #[allow(clippy::disallowed_methods, reason = "a moment to count from")]
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

/// How many of `choices` each target gets, `seconds` after the start, of a slow start of 10 s.
/// Requests end before the next comes, unless `held`.
fn shares(
    backend: &Backend,
    balancing: Balancing,
    seconds: f64,
    choices: usize,
    held: bool,
) -> Vec<usize> {
    let policy = Policy {
        balancing,
        slow_start: Some(Duration::from_secs(10)),
    };
    let asker = Asker {
        now: start() + Duration::from_secs_f64(seconds),
        ..asker(0, &[])
    };
    let mut counted = vec![0; backend.targets.len()];
    for _ in 0..choices {
        let target = choose(backend, policy, &asker).unwrap();
        counted[target.id.0 as usize] += 1;
        if held {
            target.load.of(0).tunnel_opened();
        }
    }
    counted
}

/// All serve since the start, but the last, which comes back after 100 s.
fn with_one_back(weights: &[u16]) -> Backend {
    let members: Vec<_> = weights.iter().map(|&weight| (Up, weight)).collect();
    let backend = backend(0, &members);
    shares(&backend, RoundRobin, 0.0, 1, false);
    let last = backend.targets.last().unwrap();
    last.health.came_back(start() + Duration::from_secs(100));
    backend
}

#[test]
fn a_target_that_came_back_grows_into_its_share() {
    // Without load, least connections takes turns that are not quite as even.
    for (balancing, give) in [(RoundRobin, 12.0), (LeastConnections, 40.0)] {
        let rows = [
            // seconds since it is back, percent of a whole share
            (0.0, 10),
            (2.0, 28),
            (5.0, 55),
            (9.0, 91),
            (10.0, 100),
            (500.0, 100),
        ];
        for (seconds, percent) in rows {
            let backend = with_one_back(&[1, 1, 1]);
            let counted = shares(&backend, balancing, 100.0 + seconds, 1_000, false);
            let whole = 1_000.0 / (2.0 + f64::from(percent) / 100.0);
            let wanted = whole * f64::from(percent) / 100.0;
            assert!(
                (counted[2] as f64 - wanted).abs() < give,
                "{balancing:?} after {seconds} s: {counted:?}, not {wanted}"
            );
            assert!(
                counted[0].abs_diff(counted[1]) < 12,
                "{balancing:?}: {counted:?}"
            );
        }
    }
}

#[test]
fn a_slow_start_counts_on_top_of_weights() {
    let backend = with_one_back(&[1, 4]);
    // 4 * 0.55 to 1
    let counted = shares(&backend, RoundRobin, 105.0, 1_000, false);
    assert!(counted[1].abs_diff(687) < 12, "{counted:?}");
}

/// Tunnels stay: an empty target would take every one until it is as full as the others.
#[test]
fn a_target_that_came_back_fills_up_slowly_with_tunnels() {
    let backend = with_one_back(&[1, 1]);
    (0..1_000).for_each(|_| backend.targets[0].load.of(0).tunnel_opened());
    let counted = shares(&backend, LeastConnections, 100.0, 500, true);
    assert!(
        counted[1].abs_diff(50) <= 5,
        "a tenth of what comes: {counted:?}"
    );
    let counted = shares(&backend, LeastConnections, 100.0, 3_000, true);
    let has = backend.targets[1].load();
    assert!(
        has < 460 && counted[0] > 2_600,
        "a tenth of what the other has: {counted:?}"
    );
    let counted = shares(&backend, LeastConnections, 110.0, 1_000, true);
    assert_eq!(counted, [0, 1_000]);
}

#[test]
fn where_all_start_slowly_all_share_evenly() {
    for balancing in [RoundRobin, LeastConnections] {
        let fresh = backend(0, &[(Up, 1), (Unknown, 1)]);
        assert_eq!(shares(&fresh, balancing, 0.0, 100, false), [50, 50]);
        // Two came back one after the other, and whoever had not gone is gone now.
        let backend = with_one_back(&[1, 1, 1]);
        backend.targets[1]
            .health
            .came_back(start() + Duration::from_secs(96));
        backend.targets[0].health.set(Down);
        assert_eq!(shares(&backend, balancing, 100.0, 100, false), [0, 50, 50]);
        backend.targets[0].health.set(Up);
        assert!(shares(&backend, balancing, 100.0, 100, false)[0] > 50);
    }
}

#[test]
fn a_new_target_beside_others_starts_slowly_and_hashed_clients_do_not_wait() {
    let before = with_one_back(&[1, 1]);
    let mut after = backend(0, &[(Up, 1), (Up, 1), (Unknown, 1)]);
    for (new, old) in after.targets.iter_mut().zip(&before.targets) {
        Arc::get_mut(new).unwrap().health = Arc::clone(&old.health);
    }
    let counted = shares(&after, RoundRobin, 200.0, 210, false);
    assert!(counted[2].abs_diff(10) <= 2, "{counted:?}");
    let home = homes(&after, 1, &[])[0];
    let counted = shares(&after, IpHash, 200.0, 10, false);
    assert_eq!(counted[home.unwrap() as usize], 10);
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

fn member() -> impl Strategy<Value = (Health, u16)> {
    (prop::sample::select(&[Up, Up, Down, Unknown][..]), 1..9_u16)
}

fn balancing() -> impl Strategy<Value = Balancing> {
    prop::sample::select(&ALL[..])
}

proptest! {
    #[test]
    fn down_only_where_min_servers_wants_it_and_never_the_tried(
        members in prop::collection::vec(member(), 0..12),
        min_servers in 0..14_usize,
        balancing in balancing(),
        tried in prop::collection::vec(0..12_u64, 0..4),
    ) {
        let backend = backend(min_servers, &members);
        let tried: Vec<TargetId> = tried.into_iter().map(TargetId).collect();
        let healthy = members.iter().filter(|(health, _)| health.is_serving()).count();
        let forced: Vec<TargetId> = forced(&backend).map(|target| target.id).collect();
        prop_assert_eq!(forced.len(), min_servers.saturating_sub(healthy).min(members.len() - healthy));
        for _ in 0..20 {
            match choose(&backend, by(balancing), &asker(0, &tried)) {
                Ok(target) => {
                    prop_assert!(!tried.contains(&target.id));
                    prop_assert!(target.health.health().is_serving() || forced.contains(&target.id));
                }
                Err(_) => {
                    let served = healthy + forced.len();
                    let left = backend.targets.iter().filter(|target| {
                        !tried.contains(&target.id)
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

    /// Whoever goes, down or tried, and whoever comes back: only its own clients move.
    #[test]
    fn a_hashed_client_moves_only_when_its_own_target_goes(
        weights in prop::collection::vec(1..9_u16, 2..12),
        gone in prop::collection::vec(0..12_u64, 1..4),
        tried in prop::bool::ANY,
    ) {
        let members: Vec<_> = weights.iter().map(|&weight| (Up, weight)).collect();
        let backend = backend(0, &members);
        let before = homes(&backend, 200, &[]);
        let gone: Vec<TargetId> = gone.into_iter().map(TargetId).collect();
        let is_gone = |id: u64| gone.contains(&TargetId(id));
        let after = if tried {
            homes(&backend, 200, &gone)
        } else {
            let down = backend.targets.iter().filter(|target| is_gone(target.id.0));
            down.for_each(|target| target.health.set(Down));
            homes(&backend, 200, &[])
        };
        for (before, after) in before.iter().zip(&after) {
            let was_at = before.unwrap();
            match after {
                Some(now_at) if is_gone(was_at) => prop_assert!(!is_gone(*now_at)),
                Some(now_at) => prop_assert_eq!(*now_at, was_at),
                None => prop_assert!((0..members.len() as u64).all(is_gone)),
            }
        }
        backend.targets.iter().for_each(|target| target.health.set(Up));
        prop_assert_eq!(homes(&backend, 200, &[]), before);
    }

    /// A pool may be written anew in another order, with more members or heavier ones: a client stays
    /// where it is, or goes to who has grown.
    #[test]
    fn a_target_that_is_added_or_grows_takes_clients_to_itself_only(
        weights in prop::collection::vec(1..9_u16, 2..12),
        grown in 0..12_usize,
        by in 1..9_u16,
    ) {
        let grown = grown % weights.len();
        let members: Vec<_> = weights.iter().map(|&weight| (Up, weight)).collect();
        let mut more = members.clone();
        more[grown].1 += by;
        let homes_before = homes(&backend(0, &members), 200, &[]);
        let homes_after = homes(&backend(0, &more), 200, &[]);
        for (before, after) in homes_before.iter().zip(&homes_after) {
            prop_assert!(after == before || *after == Some(grown as u64));
        }
        let mut shuffled = backend(0, &members);
        shuffled.targets.reverse();
        prop_assert_eq!(&homes(&shuffled, 200, &[]), &homes_before);
        more[grown].1 -= by;
        more.push((Up, by));
        let added = Some(members.len() as u64);
        let homes_after = homes(&backend(0, &more), 200, &[]);
        for (before, after) in homes_before.iter().zip(&homes_after) {
            prop_assert!(after == before || *after == added);
        }
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
        if let Ok(chosen) = choose(&backend, by(LeastConnections), &asker(0, &[])) {
            let mut serving = backend.targets.iter().filter(|target| target.health.health().is_serving());
            prop_assert!(serving.all(|target| share(chosen) <= share(target)));
        }
    }
}
