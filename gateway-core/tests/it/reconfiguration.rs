//! `diff` and `apply` against their definition, over generated configurations.

use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroU16};
use std::time::Duration;

use gateway_core::config::*;
use gateway_core::fixtures;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

/// Few names, so that two configurations share some; case varies.
fn name<N: for<'a> From<&'a str> + std::fmt::Debug>() -> impl Strategy<Value = N> {
    "[a-cA]".prop_map(|text| N::from(&text))
}

fn named<N, R>(resource: impl Strategy<Value = R>) -> impl Strategy<Value = BTreeMap<N, R>>
where
    N: for<'a> From<&'a str> + std::fmt::Debug + Ord,
    R: std::fmt::Debug,
{
    btree_map(name::<N>(), resource, 0..4)
}

fn port() -> impl Strategy<Value = NonZeroU16> {
    (1u16..5).prop_map(|port| NonZeroU16::new(port).unwrap())
}

fn seconds() -> impl Strategy<Value = Duration> {
    (1u64..4).prop_map(Duration::from_secs)
}

fn listener() -> impl Strategy<Value = Listener> {
    let address = prop_oneof![
        Just(FrontendAddress::AllIpv4),
        Just(FrontendAddress::AllIpv6),
        Just(FrontendAddress::Private([127, 0, 0, 1].into())),
    ];
    let protocol = prop_oneof![
        Just(ListenerProtocol::Http),
        (name(), any::<bool>()).prop_map(|(certificate, require_sni)| ListenerProtocol::Https {
            certificate,
            require_sni
        }),
    ];
    let hosts = prop_oneof![
        Just(HostNames::Any),
        vec("[a-b]\\.example", 1..3).prop_map(|names| {
            HostNames::Patterns(names.iter().map(|name| HostPattern::new(name)).collect())
        }),
    ];
    let flags = (any::<bool>(), option::of(1u32..3));
    (address, 1u16..4, protocol, hosts, flags).prop_map(
        |(address, port, protocol, hosts, (proxy_protocol, max_connections))| Listener {
            address,
            port,
            protocol,
            hosts,
            proxy_protocol,
            web_socket: ListenerWebSocket {
                max_connections,
                ..Default::default()
            },
        },
    )
}

fn certificate() -> impl Strategy<Value = Certificate> {
    let secret = || vec(any::<u8>(), 0..2).prop_map(Secret::new);
    prop_oneof![
        (secret(), secret()).prop_map(|(data, password)| CertificateSource::Pfx { data, password }),
        secret().prop_map(|password| CertificateSource::File {
            path: "/c.pem".into(),
            password
        }),
    ]
    .prop_map(|source| Certificate { source })
}

fn pool() -> impl Strategy<Value = BackendPool> {
    let host = prop_oneof![
        (0u8..3).prop_map(|last| TargetHost::Ip([10, 0, 0, last].into())),
        Just(TargetHost::Fqdn("web.example".into())),
    ];
    let target = (host, option::of(port()), port())
        .prop_map(|(host, port, weight)| BackendTarget { host, port, weight });
    vec(target, 0..3).prop_map(|targets| BackendPool { targets })
}

fn http_settings() -> impl Strategy<Value = HttpSettings> {
    let tls = (vec(name(), 0..2), any::<bool>()).prop_map(|(trusted_roots, verify)| BackendTls {
        trusted_roots,
        verify_chain: verify,
        verify_name: verify,
        server_name: None,
    });
    let protocol = prop_oneof![
        Just(BackendProtocol::Http),
        tls.prop_map(BackendProtocol::Https)
    ];
    let ping = option::of(seconds());
    (port(), protocol, seconds(), option::of(name()), ping).prop_map(
        |(port, protocol, request_timeout, probe, ping_interval)| HttpSettings {
            protocol,
            request_timeout,
            probe,
            web_socket: TunnelSettings {
                ping_interval,
                ..Default::default()
            },
            ..fixtures::http_settings(port.get())
        },
    )
}

fn probe() -> impl Strategy<Value = Probe> {
    (seconds(), seconds(), 1u8..3).prop_map(|(interval, timeout, threshold)| Probe {
        protocol: ProbeProtocol::Http,
        asks: ProbeAsks::Get(ProbeMatch {
            statuses: vec![StatusRange {
                first: 200,
                last: 399,
            }],
            body: String::new(),
        }),
        host: ProbeHost::FromHttpSettings,
        path: "/".to_owned(),
        interval,
        timeout,
        unhealthy_threshold: NonZeroU8::new(threshold).unwrap(),
        min_servers: 0,
        port: None,
    })
}

fn rule() -> impl Strategy<Value = RoutingRule> {
    let place = (option::of(1u16..3), 0u32..3, option::of(seconds()));
    (place, name(), name(), name()).prop_map(
        |((priority, position, slow_start), listener, pool, http_settings)| RoutingRule {
            priority,
            position,
            listener,
            pool,
            http_settings,
            balancing: Balancing::RoundRobin,
            slow_start,
        },
    )
}

fn config() -> impl Strategy<Value = Config> {
    let root = vec(any::<u8>(), 0..2).prop_map(|bytes| TrustedRoot::Inline(bytes.into()));
    let resources = (
        named(listener()),
        named(certificate()),
        named(root),
        named(pool()),
        named(http_settings()),
        named(probe()),
        named(rule()),
    );
    let gateway = (
        "[ab]",
        option::of(1u32..3),
        vec(Just("10.0.0.0/8".parse().unwrap()), 0..2),
    );
    (resources, gateway).prop_map(
        |(resources, (name, max_connections, trusted_proxies))| Config {
            name,
            listeners: resources.0,
            certificates: resources.1,
            trusted_roots: resources.2,
            pools: resources.3,
            http_settings: resources.4,
            probes: resources.5,
            rules: resources.6,
            limits: Limits {
                max_connections,
                ..Limits::default()
            },
            trusted_proxies,
        },
    )
}

proptest! {
    #[test]
    fn applying_the_difference_gives_the_new_one(a in config(), b in config()) {
        let mut changed = a.clone();
        apply(&diff(&a, &b), &mut changed);
        prop_assert_eq!(changed, b);
    }

    #[test]
    fn nothing_differs_from_itself(a in config()) {
        prop_assert_eq!(diff(&a, &a.clone()), vec![]);
    }

    #[test]
    fn each_resource_is_mentioned_at_most_once(a in config(), b in config()) {
        let mut resources: Vec<_> = diff(&a, &b)
            .iter()
            .map(|change| change.resource().to_ascii_lowercase())
            .collect();
        let count = resources.len();
        resources.sort();
        resources.dedup();
        prop_assert_eq!(resources.len(), count);
    }
}

#[test]
fn changes_are_told_by_collection_and_name() {
    let with_pool = |name: &str| Config {
        pools: BTreeMap::from([(name.into(), BackendPool::default())]),
        ..Config::default()
    };
    let told: Vec<_> = diff(&with_pool("old"), &with_pool("new"))
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "backendAddressPools/old removed",
            "backendAddressPools/new put"
        ]
    );
}
