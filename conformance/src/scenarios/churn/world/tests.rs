use std::net::Ipv4Addr;

use super::*;
use crate::scenarios::churn::resources::{Member, Probe, Settings};

const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn member(port: Option<u16>) -> Member {
    Member {
        address: HOST,
        port,
        weight: 1,
    }
}

fn settings(port: u16) -> Resource {
    Resource::Settings(Settings {
        port,
        drain_seconds: 3,
        request_timeout: 5,
        affinity: false,
        probe: "probe",
    })
}

fn listener(port: Name, certificate: Option<Name>, host: Option<&'static str>) -> Resource {
    Resource::Listener(Listener {
        port,
        certificate,
        host,
    })
}

fn rule(priority: u16, listener: Name, pool: Name, settings: Name) -> Resource {
    Resource::Rule(Rule {
        priority,
        listener,
        pool,
        settings,
    })
}

/// One listener for every host and one for `site.test` on port 80, before a pool of one member with a
/// port of its own and one without.
fn world() -> World {
    let probe = Resource::Probe(Probe {
        path: "/",
        interval: 5,
        threshold: 3,
    });
    let pool = Resource::Pool(vec![member(Some(9001)), member(None)]);
    let all = [
        ("probe", probe),
        ("certificate", Resource::Certificate("file:///a".into())),
        ("eighty", Resource::Port(80)),
        ("other", Resource::Port(81)),
        ("pool", pool),
        ("settings", settings(9002)),
        ("web", listener("eighty", None, None)),
        ("site", listener("eighty", None, Some("site.test"))),
        ("web", rule(20, "web", "pool", "settings")),
        ("site", rule(10, "site", "pool", "settings")),
    ];
    let all = all.map(|(name, resource)| ((resource.kind(), name), resource));
    World::new(Resources::from(all))
}

fn after(changes: &[Change]) -> World {
    changes.iter().fold(world(), |world, change| {
        assert!(
            matches!(world.verdict(change), Verdict::Live { .. }),
            "{change:?}"
        );
        world.after(change)
    })
}

fn put(name: Name, resource: Resource) -> Change {
    Change::Put(name, resource)
}

/// Each row: changes, one after another, and what is gone by them; the rest lives on.
#[test]
fn who_lives_on() {
    let listeners = [Thing::Listener("site"), Thing::Listener("web")];
    let [own, floating] =
        [9001, 9002].map(|port| Thing::Target("pool", SocketAddrV4::new(HOST, port)));
    let pool = |members: Vec<Member>| put("pool", Resource::Pool(members));
    let only_own = || vec![member(Some(9001))];
    let rows: [(&str, Vec<Change>, Vec<Thing>); 12] = [
        ("a member goes", vec![pool(only_own())], vec![floating]),
        (
            "the order of members",
            vec![pool(vec![member(None), member(Some(9001))])],
            vec![],
        ),
        (
            "removed and put back is new",
            vec![
                pool(only_own()),
                pool(vec![member(Some(9001)), member(None)]),
            ],
            vec![floating],
        ),
        (
            "another port in the settings makes new targets",
            vec![put("settings", settings(9003))],
            vec![floating],
        ),
        (
            "unless other settings have that port",
            vec![put("more", settings(9002)), put("settings", settings(9003))],
            vec![],
        ),
        (
            "the same port, now the member's own",
            vec![pool(vec![member(Some(9001)), member(Some(9002))])],
            vec![],
        ),
        (
            "a rule is taken away",
            vec![Change::Delete(Kind::Rule, "web")],
            vec![],
        ),
        (
            "a rule points elsewhere",
            vec![
                put("empty", Resource::Pool(vec![])),
                put("web", rule(20, "web", "empty", "settings")),
            ],
            vec![],
        ),
        (
            "a listener moves",
            vec![put("site", listener("other", None, Some("site.test")))],
            vec![],
        ),
        (
            "a port is another number",
            vec![put("eighty", Resource::Port(82))],
            vec![],
        ),
        (
            "a listener speaks otherwise",
            vec![
                put("site", listener("other", None, Some("site.test"))),
                put("site", listener("other", Some("certificate"), None)),
            ],
            vec![],
        ),
        (
            "a listener goes",
            vec![
                Change::Delete(Kind::Rule, "web"),
                Change::Delete(Kind::Listener, "web"),
                put("web", listener("eighty", None, None)),
            ],
            vec![Thing::Listener("web")],
        ),
    ];
    let before = world();
    for (what, changes, gone) in rows {
        let after = after(&changes);
        for thing in listeners.into_iter().chain([own, floating]) {
            let lives = after.lives(before.identity(thing));
            assert_eq!(lives, !gone.contains(&thing), "{what}: {thing:?}");
        }
    }
}

#[test]
fn what_is_refused_and_why() {
    let refused = |code| Verdict::Refused(400, "InvalidDocument", Some(code));
    let rows = [
        (
            Change::Delete(Kind::Pool, "pool"),
            Verdict::Refused(409, "ResourceInUse", Some("ResourceInUse")),
        ),
        (
            Change::Delete(Kind::Pool, "none"),
            Verdict::Refused(404, "ResourceNotFound", None),
        ),
        (put("eighty", Resource::Port(80)), Verdict::Nothing),
        (
            put("eighty", Resource::Port(83)),
            Verdict::Live { created: false },
        ),
        (
            put("new", Resource::Port(83)),
            Verdict::Live { created: true },
        ),
        (
            put("web", rule(20, "web", "none", "settings")),
            refused("InvalidResourceReference"),
        ),
        (
            put("web", rule(10, "web", "pool", "settings")),
            refused("DuplicatePriority"),
        ),
        (
            put("more", rule(30, "web", "pool", "settings")),
            refused("ListenerHasSeveralRules"),
        ),
        (
            put("more", listener("eighty", None, None)),
            refused("DuplicateBasicListener"),
        ),
        (
            put(
                "more",
                listener("eighty", Some("certificate"), Some("tls.test")),
            ),
            refused("MixedProtocolsOnPort"),
        ),
        // The number counts, not the name of the port.
        (
            put("other", Resource::Port(80)),
            Verdict::Live { created: false },
        ),
    ];
    for (change, verdict) in rows {
        assert_eq!(world().verdict(&change), verdict, "{change:?}");
    }
}

#[test]
fn who_answers() {
    let rule_at = |world: &World, port, host| match world.landing(port, host) {
        Landing::Closed => "closed",
        Landing::Open { route: None, .. } => "404",
        Landing::Open {
            route: Some(route), ..
        } => route.rule,
    };
    let world = world();
    assert_eq!(rule_at(&world, 80, "site.test"), "site");
    assert_eq!(rule_at(&world, 80, "gateway.test"), "web");
    assert_eq!(rule_at(&world, 81, "gateway.test"), "closed");
    // A listener without a rule answers for hosts that nobody else takes.
    let without = after(&[Change::Delete(Kind::Rule, "site")]);
    assert_eq!(rule_at(&without, 80, "site.test"), "web");
    let without = after(&[Change::Delete(Kind::Rule, "web")]);
    assert_eq!(rule_at(&without, 80, "gateway.test"), "404");
    let Landing::Open {
        route: Some(route), ..
    } = world.landing(80, "gateway.test")
    else {
        panic!("nobody answers");
    };
    let ports: Vec<u16> = route.targets.keys().map(SocketAddrV4::port).collect();
    assert_eq!(ports, [9001, 9002]);
}
