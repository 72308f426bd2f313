use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::*;

fn supplies() -> Supplies {
    Supplies {
        numbers: (100..112).collect(),
        hosts: (1..=4).map(|host| Ipv4Addr::new(127, 4, 0, host)).collect(),
        ports: vec![9001, 9002, 9003, 9004],
        certificates: ["file:///one".into(), "file:///two".into()],
        taken: 99,
    }
}

/// Runs a plan on the model alone; what was drawn, and the last world.
fn run(seed: u64, count: usize, mut look: impl FnMut(&World, &Operation)) -> (Vec<String>, World) {
    let mut plan = Plan::new(seed, supplies());
    let mut world = World::new(supplies().beginning());
    let mut drawn = Vec::new();
    for _ in 0..count {
        let operation = plan.next(&world);
        look(&world, &operation);
        drawn.push(format!("{operation:?}"));
        let changes = match operation {
            Operation::Change(change, _) => vec![change],
            Operation::Pair(one, two) => vec![one, two],
            Operation::Race(one, _, last) => vec![one, last],
            Operation::DryRun(_) | Operation::Stale(_) | Operation::Bad(_) => Vec::new(),
        };
        for change in changes {
            if matches!(world.verdict(&change), Verdict::Live { .. }) {
                world = world.after(&change);
            }
        }
    }
    (drawn, world)
}

#[test]
fn a_seed_draws_the_same_again() {
    assert_eq!(run(7, 300, |_, _| {}), run(7, 300, |_, _| {}));
    assert_ne!(run(7, 300, |_, _| {}).0, run(8, 300, |_, _| {}).0);
}

/// Over many operations everything is drawn, refusals of each kind among them, and the gateway is
/// never without its anchored listeners and targets.
#[test]
fn everything_is_drawn() {
    let mut seen = BTreeSet::new();
    let mut touched = BTreeSet::new();
    for seed in 0..6 {
        let (_, world) = run(seed, 300, |world, operation| {
            assert!(
                world.is_referred_to(Kind::Port, "core"),
                "a bad request needs it"
            );
            let what = match operation {
                Operation::Change(change, guard) => {
                    touched.extend(resource_of(change).map(|(kind, _)| kind));
                    seen.insert(format!("{guard:?}"));
                    let removes = matches!(change, Change::Delete(..));
                    format!("{:?} {removes}", world.verdict(change))
                }
                Operation::DryRun(_) => "dry run".to_owned(),
                Operation::Stale(_) => "stale".to_owned(),
                Operation::Bad(bad) => bad.what.to_owned(),
                Operation::Pair(..) => "pair".to_owned(),
                Operation::Race(..) => "race".to_owned(),
            };
            seen.insert(what);
        });
        for (listener, target) in [("core", "alpha"), ("secure", "beta")] {
            assert!(world.get(Kind::Listener, listener).is_some());
            let pool = world.get(Kind::Pool, target).and_then(Resource::as_pool);
            assert!(
                pool.unwrap()
                    .iter()
                    .any(|member| member.at(0) == supplies().anchor())
            );
        }
    }
    assert_eq!(touched, BTreeSet::from(Kind::ALL));
    for what in [
        "dry run",
        "stale",
        "pair",
        "race",
        "Current",
        "Exists",
        "Absent",
        "somebody else's port",
        "Live { created: true } false",
        "Live { created: false } true",
        "Refused(409, \"ResourceInUse\", Some(\"ResourceInUse\")) true",
        "Refused(404, \"ResourceNotFound\", None) true",
        "Refused(400, \"InvalidDocument\", Some(\"InvalidResourceReference\")) false",
        "Refused(400, \"InvalidDocument\", Some(\"DuplicateBasicListener\")) false",
        "Refused(400, \"InvalidDocument\", Some(\"MixedProtocolsOnPort\")) false",
    ] {
        assert!(seen.contains(what), "{what} is not in {seen:#?}");
    }
}
