//! What holds for any pool, any health and any loads.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

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
