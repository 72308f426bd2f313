//! What queries mean, and what is said of those that mean nothing.

use std::time::SystemTime;

use super::*;
use crate::config::OnUnhealthy;
use crate::snapshot::{ListenerId, TargetId};

fn facts() -> TunnelFacts<'static> {
    TunnelFacts {
        id: TunnelId {
            worker: 0,
            serial: 17,
        },
        listener_id: ListenerId(1),
        target_id: TargetId(2),
        listener: "Web",
        rule: "app",
        pool: "chat",
        settings: "plain",
        on_unhealthy: OnUnhealthy::Keep,
        target: ([10, 0, 0, 4], 8080).into(),
        client: ([192, 0, 2, 9], 40_000).into(),
        host: "chat.example",
        subprotocol: Some("mqtt"),
        opened_at: SystemTime::UNIX_EPOCH,
        last_traffic_at: SystemTime::UNIX_EPOCH,
        age: Duration::from_secs(3600),
        idle: Duration::from_secs(60),
        messages: 3,
        bytes: 300,
    }
}

fn parse(parameters: &[(&str, &str)]) -> Result<ListQuery, String> {
    ListQuery::parse(parameters.iter().copied()).map_err(|problem| problem.to_string())
}

#[test]
fn a_filter_matches_what_it_names_and_nothing_else() {
    let rows = [
        ("listener", "web", true),
        ("listener", "we", false),
        ("rule", "APP", true),
        ("rule", "other", false),
        ("pool", "chat", true),
        ("pool", "chat2", false),
        ("target", "10.0.0.4", true),
        ("target", "10.0.0.4:8080", true),
        ("target", "10.0.0.4:80", false),
        ("target", "10.0.0.5", false),
        ("client", "192.0.2.9", true),
        ("client", "::ffff:192.0.2.9", true),
        ("client", "192.0.2.0/24", true),
        ("client", "192.0.2.77/24", true),
        ("client", "192.0.3.0/24", false),
        ("client", "2001:db8::/32", false),
        ("olderThan", "3600", true),
        ("olderThan", "3601", false),
        ("idleFor", "60", true),
        ("idleFor", "61", false),
        ("subprotocol", "mqtt", true),
        ("subprotocol", "MQTT", false),
        ("subprotocol", "", false),
    ];
    for (name, value, expected) in rows {
        let query = parse(&[(name, value)]).unwrap();
        assert_eq!(query.filter.matches(&facts()), expected, "{name}={value}");
        assert!(!query.filter.is_empty());
    }
}

#[test]
fn all_that_is_given_must_match_and_nothing_given_matches_all() {
    let both = parse(&[("pool", "chat"), ("idleFor", "600")]).unwrap();
    assert!(!both.filter.matches(&facts()));
    assert!(parse(&[]).unwrap().filter.matches(&facts()));
    let none = TunnelFacts {
        subprotocol: None,
        ..facts()
    };
    let without = parse(&[("subprotocol", "")]).unwrap();
    assert!(without.filter.matches(&none));
}

#[test]
fn a_client_that_came_by_a_mapped_address_is_found_by_its_own() {
    let mapped = TunnelFacts {
        client: "[::ffff:192.0.2.9]:1".parse().unwrap(),
        ..facts()
    };
    let query = parse(&[("client", "192.0.2.0/24")]).unwrap();
    assert!(query.filter.matches(&mapped));
}

#[test]
fn what_is_not_understood_is_named_with_what_would_be_right() {
    let rows = [
        (
            "client",
            "10.0.0.0/33",
            "client: \"10.0.0.0/33\" is not an address or a network, such as 10.0.0.0/8",
        ),
        (
            "target",
            "web1",
            "target: \"web1\" is not an address, with or without a port, such as 10.0.0.4:8080",
        ),
        (
            "target",
            "10.0.0.4:",
            "target: \"10.0.0.4:\" is not an address, with or without a port, such as 10.0.0.4:8080",
        ),
        (
            "olderThan",
            "1h",
            "olderThan: \"1h\" is not a number of seconds, such as 3600",
        ),
        (
            "olderThan",
            "",
            "olderThan: \"\" is not a number of seconds, such as 3600",
        ),
        (
            "idleFor",
            "-1",
            "idleFor: \"-1\" is not a number of seconds, such as 60",
        ),
        (
            "idleFor",
            "+1",
            "idleFor: \"+1\" is not a number of seconds, such as 60",
        ),
        (
            "pool",
            "",
            "pool: \"\" is not the name of a backend address pool",
        ),
        ("limit", "0", "limit: \"0\" is not a number from 1 to 1000"),
        (
            "limit",
            "1001",
            "limit: \"1001\" is not a number from 1 to 1000",
        ),
        (
            "sort",
            "age",
            "sort: \"age\" is not one of id, openedAt, lastTrafficAt, messages, bytes, or one with - before it",
        ),
        (
            "cursor",
            "17",
            "cursor: \"17\" is not a cursor; take the one of `nextLink` as it is",
        ),
        (
            "cursor",
            "1.0-017",
            "cursor: \"1.0-017\" is not a cursor; take the one of `nextLink` as it is",
        ),
        (
            "Pool",
            "chat",
            "Pool: no such parameter; there are: listener, rule, pool, target, client, olderThan, idleFor, subprotocol, sort, limit, cursor",
        ),
    ];
    for (name, value, expected) in rows {
        assert_eq!(parse(&[(name, value)]).unwrap_err(), expected);
    }
    for name in ["pool", "limit"] {
        let twice = parse(&[(name, "1"), (name, "1")]).unwrap_err();
        assert!(
            twice.starts_with(&format!("{name}: is given twice")),
            "{twice}"
        );
    }
}

#[test]
fn a_list_is_read_with_its_order_and_place() {
    let query = parse(&[
        ("sort", "-bytes"),
        ("limit", "1000"),
        ("cursor", "300.0-17"),
    ])
    .unwrap();
    assert_eq!(query.limit, 1000);
    assert!(query.sort.descending && query.sort.by == SortBy::Bytes);
    assert_eq!(query.after, Some(query.sort.place(&facts())));
    let query = parse(&[]).unwrap();
    assert_eq!((query.limit, query.sort), (100, Sort::default()));
}

#[test]
fn addresses_are_read_with_and_without_a_port() {
    for (text, address, expected) in [
        ("::1", "[::1]:80", true),
        ("[::1]", "[::1]:80", true),
        ("[::1]:80", "[::1]:80", true),
        ("[::1]:81", "[::1]:80", false),
        ("10.0.0.4:80", "10.0.0.4:80", true),
    ] {
        let pattern = AddressPattern::parse(text).unwrap();
        assert_eq!(
            pattern.matches(address.parse().unwrap()),
            expected,
            "{text}"
        );
    }
    for text in ["", "[10.0.0.4]", "10.0.0.4:99999", "[::1]:", "example.com"] {
        assert_eq!(AddressPattern::parse(text), None, "{text}");
    }
}

#[test]
fn nothing_is_closed_by_accident() {
    let parse = |parameters: &[(&str, &str)]| {
        let parsed = parse_close_filter(parameters.iter().copied());
        parsed
            .map(|filter| filter.to_string())
            .map_err(|problem| problem.to_string())
    };
    let all = "all: say which connections, by a filter such as target=10.0.0.4, or all=true";
    type Row<'r> = (&'r [(&'r str, &'r str)], Result<&'r str, &'r str>);
    let rows: [Row<'_>; 7] = [
        (&[], Err(all)),
        (&[("all", "true")], Ok("all")),
        (&[("all", "false")], Err("all: \"false\" is not true")),
        (
            &[("all", "true"), ("pool", "a")],
            Err("all: all=true goes with no filter"),
        ),
        (
            &[("pool", "a"), ("target", "[::1]:80"), ("olderThan", "60")],
            Ok("pool=a&target=[::1]:80&olderThan=60"),
        ),
        (&[("client", "10.1.2.3/8")], Ok("client=10.0.0.0/8")),
        (
            &[("limit", "5")],
            Err(
                "limit: no such parameter; there are: listener, rule, pool, target, client, olderThan, idleFor, subprotocol, all",
            ),
        ),
    ];
    for (parameters, expected) in rows {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(parse(parameters), expected, "{parameters:?}");
    }
}
