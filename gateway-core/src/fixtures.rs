//! Parts of a configuration as plain as they can be, for tests to change what they are about.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use crate::config::{
    BackendHost, BackendPool, BackendProtocol, BackendTarget, Balancing, Config, FrontendAddress,
    HostNames, HttpSettings, Listener, ListenerProtocol, RoutingRule, TargetHost,
};

/// One listener of that name, whose requests `rule` takes to `pool` by `settings`.
pub fn site(name: &str, listener: Listener, pool: BackendPool, settings: HttpSettings) -> Config {
    Config {
        listeners: [(name.into(), listener)].into(),
        pools: [("pool".into(), pool)].into(),
        http_settings: [("settings".into(), settings)].into(),
        rules: [("rule".into(), rule(name, "pool", "settings"))].into(),
        ..Config::default()
    }
}

/// Any host, in the clear, at all IPv4 addresses.
pub fn listener(port: u16) -> Listener {
    Listener {
        address: FrontendAddress::AllIpv4,
        port,
        protocol: ListenerProtocol::Http,
        hosts: HostNames::Any,
        proxy_protocol: false,
        web_socket: Default::default(),
    }
}

/// In the clear, by the client's host and the default probe.
pub fn http_settings(port: u16) -> HttpSettings {
    HttpSettings {
        port: NonZeroU16::new(port).expect("port 0 is nobody's"),
        protocol: BackendProtocol::Http,
        request_timeout: Duration::from_secs(30),
        host: BackendHost::FromClient,
        path_prefix: None,
        probe: None,
        drain_timeout: Duration::from_secs(30),
        unavailable_status: http::StatusCode::BAD_GATEWAY,
        web_socket: Default::default(),
    }
}

/// Members of one weight; without a port of their own, they have that of the settings.
pub fn pool(members: impl IntoIterator<Item = (IpAddr, Option<u16>)>) -> BackendPool {
    let targets = members.into_iter().map(|(address, port)| BackendTarget {
        host: TargetHost::Ip(address),
        port: port.and_then(NonZeroU16::new),
        weight: NonZeroU16::MIN,
    });
    BackendPool {
        targets: targets.collect(),
    }
}

/// Each target in turn.
pub fn rule(listener: &str, pool: &str, http_settings: &str) -> RoutingRule {
    RoutingRule {
        priority: None,
        position: 0,
        listener: listener.into(),
        pool: pool.into(),
        http_settings: http_settings.into(),
        balancing: Balancing::RoundRobin,
        slow_start: None,
    }
}
