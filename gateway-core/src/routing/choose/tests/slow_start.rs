//! Targets that came back grow into their share.

use super::*;

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
