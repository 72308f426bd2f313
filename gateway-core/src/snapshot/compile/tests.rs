//! Tables for the order of listeners, certificates and members.

mod carried_over;

use std::num::NonZeroU16;

use super::*;
use crate::config::{
    BackendPool, BackendTarget, HostNames, HostPattern, Listener, ListenerProtocol, RoutingRule,
    TargetHost,
};
use crate::fixtures::{self, http_settings};
use crate::health::Health;
use crate::name::RuleName;
use crate::routing::{Decision, decide};
use crate::snapshot::{Backend, EndpointProtocol, Target};

fn hosts(patterns: &[&str]) -> HostNames {
    if patterns.is_empty() {
        return HostNames::Any;
    }
    HostNames::Patterns(
        patterns
            .iter()
            .map(|pattern| HostPattern::new(pattern))
            .collect(),
    )
}

fn http(port: u16, patterns: &[&str]) -> Listener {
    Listener {
        hosts: hosts(patterns),
        ..fixtures::listener(port)
    }
}

fn https(certificate: &str, patterns: &[&str], require_sni: bool) -> Listener {
    Listener {
        protocol: ListenerProtocol::Https {
            certificate: certificate.into(),
            require_sni,
        },
        ..http(443, patterns)
    }
}

fn rule(priority: Option<u16>, position: u32, listener: &str) -> RoutingRule {
    RoutingRule {
        priority,
        position,
        ..fixtures::rule(listener, "pool", "settings")
    }
}

fn member(host: &str, port: Option<u16>, weight: u16) -> BackendTarget {
    BackendTarget {
        host: host
            .parse()
            .map_or_else(|_| TargetHost::Fqdn(host.into()), TargetHost::Ip),
        port: port.and_then(NonZeroU16::new),
        weight: NonZeroU16::new(weight).unwrap(),
    }
}

/// `pool` at `settings`, with one member; listeners and rules as given, rules named by position.
fn config(listeners: Vec<(&str, Listener)>, rules: Vec<RoutingRule>) -> Config {
    let pool = BackendPool {
        targets: vec![member("10.0.0.1", None, 1)],
    };
    Config {
        listeners: listeners
            .into_iter()
            .map(|(name, listener)| (name.into(), listener))
            .collect(),
        rules: rules
            .into_iter()
            .map(|rule| (RuleName::from(&*format!("rule{}", rule.position)), rule))
            .collect(),
        pools: [("pool".into(), pool)].into(),
        http_settings: [("settings".into(), http_settings(8080))].into(),
        ..Config::default()
    }
}

fn options() -> CompileOptions {
    CompileOptions {
        workers: 1,
        ..CompileOptions::default()
    }
}

fn compiled(config: &Config, previous: Option<&Snapshot>) -> Snapshot {
    resolved(config, &Resolutions::new(), previous)
}

fn resolved(config: &Config, dns: &Resolutions, previous: Option<&Snapshot>) -> Snapshot {
    compile(
        config,
        dns,
        &options(),
        previous,
        Generation(1),
        Revision(1),
    )
}

/// The listener that wins `host` at the only endpoint.
fn winner(snapshot: &Snapshot, host: &str) -> String {
    match decide(&snapshot.endpoints[0], host) {
        Decision::Forward(route) => route.listener.to_string(),
        Decision::NoRule => "no rule".into(),
        Decision::NoListener => "no listener".into(),
    }
}

fn only_backend(snapshot: &Snapshot) -> &Backend {
    assert_eq!(snapshot.backends.len(), 1);
    &snapshot.backends[0]
}

fn addresses(targets: &[Arc<Target>]) -> Vec<String> {
    targets
        .iter()
        .map(|target| target.address.to_string())
        .collect()
}

#[test]
fn listeners_win_by_their_rules_rank() {
    let site = || ("site", http(80, &["a.test"]));
    let wild = || ("wild", http(80, &["*.test"]));
    let basic = || ("basic", http(80, &[]));
    let all = || vec![site(), wild(), basic()];
    let by = |ranks: [Option<u16>; 3]| {
        vec![
            rule(ranks[0], 0, "site"),
            rule(ranks[1], 1, "wild"),
            rule(ranks[2], 2, "basic"),
        ]
    };
    let rows = [
        // (clause, listeners, rules, who wins a.test, b.test, other)
        (
            "3 ascending priority",
            all(),
            by([Some(1), Some(2), Some(3)]),
            ["site", "wild", "basic"],
        ),
        (
            "3 a basic one may beat a specific one",
            all(),
            by([Some(3), Some(2), Some(1)]),
            ["basic"; 3],
        ),
        (
            "3 a wildcard may beat a name",
            all(),
            by([Some(2), Some(1), Some(3)]),
            ["wild", "wild", "basic"],
        ),
        (
            "no priority comes after",
            all(),
            by([None, None, Some(20_000)]),
            ["basic"; 3],
        ),
        (
            "no priority goes by position",
            all(),
            by([None; 3]),
            ["site", "wild", "basic"],
        ),
        (
            "equal priority goes by rule name",
            all(),
            by([Some(7); 3]),
            ["site", "wild", "basic"],
        ),
        (
            "no rule comes last",
            vec![
                ("site", http(80, &["a.test"])),
                ("wild", http(80, &["*.test"])),
            ],
            vec![rule(None, 0, "wild")],
            ["wild", "wild", "no listener"],
        ),
        (
            "but answers for its hosts",
            vec![site(), wild()],
            vec![rule(Some(1), 0, "site")],
            ["site", "no rule", "no listener"],
        ),
    ];
    for (clause, listeners, rules, expected) in rows {
        let snapshot = compiled(&config(listeners, rules), None);
        let winners = ["A.test", "b.test.", "other"].map(|host| winner(&snapshot, host));
        assert_eq!(winners, expected, "{clause}");
    }
}

#[test]
fn what_leads_nowhere_is_skipped() {
    let mut config = config(
        vec![("basic", http(80, &[]))],
        vec![rule(None, 0, "gone"), rule(None, 1, "basic")],
    );
    assert_eq!(winner(&compiled(&config, None), "a"), "basic");
    config.http_settings.clear();
    let snapshot = compiled(&config, None);
    assert_eq!(winner(&snapshot, "a"), "no rule");
    assert!(snapshot.routes.is_empty() && snapshot.backends.is_empty());
}

#[test]
fn certificates_go_by_server_name() {
    let site = |sni| ("a", https("site", &["a.test"], sni));
    let wild = |sni| ("b", https("wild", &["*.test"], sni));
    let basic = |sni| ("c", https("basic", &[], sni));
    let rows = [
        // (clause, listeners in rule order, for a.test, b.test, other, no name)
        (
            "8 matching; no or unknown name: the first",
            vec![site(false), wild(false)],
            [Some("site"), Some("wild"), Some("site"), Some("site")],
        ),
        (
            "8 no name: a basic one's",
            vec![site(false), basic(false)],
            [Some("site"), Some("basic"), Some("basic"), Some("basic")],
        ),
        (
            "8 SNI required everywhere",
            vec![site(true), wild(true)],
            [Some("site"), Some("wild"), None, None],
        ),
        (
            "SNI required by some: the first of the others",
            vec![site(true), wild(false)],
            [Some("site"), Some("wild"), Some("wild"), Some("wild")],
        ),
        (
            "a basic one may require SNI",
            vec![site(false), basic(true)],
            [Some("site"), Some("basic"), Some("basic"), Some("site")],
        ),
    ];
    for (clause, listeners, expected) in rows {
        let rules = (0..)
            .zip(&listeners)
            .map(|(at, (name, _))| rule(None, at, name));
        let snapshot = compiled(&config(listeners.clone(), rules.collect()), None);
        let protocol = &snapshot.endpoints[0].protocol;
        let shown = [Some("A.test"), Some("b.test"), Some("other"), None]
            .map(|name| protocol.certificate(name).map(|name| name.as_str()));
        assert_eq!(shown, expected, "{clause}");
    }
    assert_eq!(EndpointProtocol::Http.certificate(Some("a.test")), None);
}

#[test]
fn frontends_are_bound_where_the_maps_say() {
    let options = CompileOptions {
        port_map: [(80, 8080)].into(),
        address_map: [
            ("10.0.1.10".parse().unwrap(), "127.0.0.1".parse().unwrap()),
            ("::".parse().unwrap(), "::1".parse().unwrap()),
        ]
        .into(),
        workers: 1,
    };
    let private = |address: &str| FrontendAddress::Private(address.parse().unwrap());
    let rows = [
        (FrontendAddress::AllIpv4, 80, "0.0.0.0:8080"),
        (FrontendAddress::AllIpv6, 80, "[::1]:8080"),
        (private("10.0.1.10"), 81, "127.0.0.1:81"),
        (private("10.0.1.11"), 80, "10.0.1.11:8080"),
    ];
    for (address, port, expected) in rows {
        assert_eq!(options.bind(address, port).to_string(), expected);
    }
}

#[test]
fn listeners_of_one_address_share_an_endpoint_unless_they_differ() {
    let mut proxied = http(80, &["b.test"]);
    proxied.proxy_protocol = true;
    let listeners = vec![
        ("first", http(80, &["a.test"])),
        ("same", http(80, &[])),
        (
            "tls",
            Listener {
                port: 80,
                ..https("site", &[], false)
            },
        ),
        ("proxied", proxied),
        ("other-port", http(81, &[])),
    ];
    let rules = (0..)
        .zip(&listeners)
        .map(|(at, (name, _))| rule(None, at, name));
    let snapshot = compiled(&config(listeners.clone(), rules.collect()), None);

    let binds: Vec<String> = snapshot
        .endpoints
        .iter()
        .map(|one| one.bind.to_string())
        .collect();
    assert_eq!(binds, ["0.0.0.0:80", "0.0.0.0:81"]);
    assert_eq!(snapshot.endpoints[0].hosts.len(), 2);
    let unserved: Vec<String> = snapshot.unserved.iter().map(ToString::to_string).collect();
    assert_eq!(
        unserved,
        [
            "listener tls and listener first both bind 0.0.0.0:80, but differ in protocol",
            "listener proxied and listener first both bind 0.0.0.0:80, but differ in proxyProtocol",
        ]
    );
    let routed: Vec<&str> = snapshot
        .routes
        .iter()
        .map(|route| route.listener.as_str())
        .collect();
    assert_eq!(routed, ["first", "same", "other-port"]);
    for (index, route) in snapshot.routes.iter().enumerate() {
        assert_eq!(route.index, index);
        assert!(snapshot.has_listener(route.listener_id));
    }
}

#[test]
fn members_become_targets_each_address_once() {
    let mut config = config(vec![("basic", http(80, &[]))], vec![rule(None, 0, "basic")]);
    config.pools.get_mut(&"pool".into()).unwrap().targets = vec![
        member("two.test", None, 3),
        member("10.0.0.1", None, 1),
        member("10.0.0.1", Some(9090), 1),
        member("gone.test", None, 1),
        member("new.test", None, 1),
        member("gone.test", Some(1), 1),
        member("10.0.0.1", Some(8080), 9),
    ];
    let dns = [
        (
            "two.test",
            Resolution::Addresses(vec![
                "10.0.0.1".parse().unwrap(),
                "10.0.0.2".parse().unwrap(),
            ]),
        ),
        ("gone.test", Resolution::Failed("NXDOMAIN".into())),
    ];
    let dns = dns.map(|(name, answer)| (name.into(), answer)).into();
    let snapshot = resolved(&config, &dns, None);
    let backend = only_backend(&snapshot);

    assert_eq!(
        addresses(&backend.targets),
        ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.1:9090"]
    );
    let hosts: Vec<String> = backend
        .targets
        .iter()
        .map(|target| target.host.to_string())
        .collect();
    assert_eq!(hosts, ["two.test", "two.test", "10.0.0.1"]);
    assert_eq!(backend.cycle.len(), 7, "3 + 3 + 1");
    let unresolved: Vec<_> = backend
        .unresolved
        .iter()
        .map(|one| (&*one.fqdn, &*one.reason))
        .collect();
    assert_eq!(
        unresolved,
        [("gone.test", "NXDOMAIN"), ("new.test", "not resolved yet")]
    );
}
