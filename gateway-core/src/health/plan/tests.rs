//! `Host`, port and server name of probes: reference section 5, and section 8 for SNI.

use std::num::NonZeroU16;
use std::sync::Arc;

use super::*;
use crate::config::{BackendTls, ProbeProtocol};
use crate::fixtures::http_settings;
use crate::health::HealthCell;
use crate::snapshot::{PerWorker, TargetId};

fn settings(host: BackendHost) -> HttpSettings {
    HttpSettings {
        host,
        ..http_settings(80)
    }
}

fn https(server_name: Option<&str>) -> BackendProtocol {
    BackendProtocol::Https(BackendTls {
        trusted_roots: vec![],
        verify_chain: true,
        verify_name: true,
        server_name: server_name.map(Into::into),
    })
}

fn probe(host: ProbeHost) -> Probe {
    Probe {
        protocol: ProbeProtocol::Https,
        asks: ProbeAsks::Get(asked_match()),
        host,
        path: "/health".into(),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(7),
        unhealthy_threshold: NonZeroU8::MIN,
        min_servers: 2,
        port: NonZeroU16::new(8443),
    }
}

fn asked_match() -> ProbeMatch {
    ProbeMatch {
        statuses: vec![StatusRange {
            first: 204,
            last: 204,
        }],
        body: "well".into(),
    }
}

fn target(host: &str) -> Target {
    let host = host
        .parse()
        .map_or_else(|_| TargetHost::Fqdn(host.into()), TargetHost::Ip);
    Target {
        id: TargetId(1),
        host,
        address: "10.0.0.4:8080".parse().unwrap(),
        weight: NonZeroU16::MIN,
        health: Arc::new(HealthCell::new(2)),
        load: PerWorker::new(1),
        drain: Arc::default(),
    }
}

#[test]
fn host_and_server_name_follow_the_references_order() {
    let fixed = |host: &str| BackendHost::Fixed(host.into());
    let asks = |host: &str| Some(probe(ProbeHost::Fixed(host.into())));
    let picks = || Some(probe(ProbeHost::FromHttpSettings));
    let rows = [
        // (clause, settings' host, custom probe, member, Host, server name)
        (
            "default",
            BackendHost::FromClient,
            None,
            "10.0.0.4",
            "127.0.0.1",
            None,
        ),
        (
            "default, SNI by FQDN",
            BackendHost::FromClient,
            None,
            "a.test",
            "127.0.0.1",
            Some("a.test"),
        ),
        (
            "default, hostName",
            fixed("set.test"),
            None,
            "a.test",
            "set.test",
            Some("set.test"),
        ),
        (
            "default, pick",
            BackendHost::FromTarget,
            None,
            "a.test",
            "a.test",
            Some("a.test"),
        ),
        (
            "default, pick, address",
            BackendHost::FromTarget,
            None,
            "::1",
            "[::1]",
            None,
        ),
        (
            "probe host first",
            fixed("set.test"),
            asks("p.test"),
            "a.test",
            "p.test",
            Some("p.test"),
        ),
        (
            "probe host an address",
            fixed("set.test"),
            asks("10.1.1.1"),
            "a.test",
            "10.1.1.1",
            Some("set.test"),
        ),
        (
            "all addresses",
            fixed("[::2]"),
            asks("127.0.0.1"),
            "10.0.0.4",
            "127.0.0.1",
            None,
        ),
        (
            "picks hostName",
            fixed("set.test"),
            picks(),
            "a.test",
            "set.test",
            Some("set.test"),
        ),
        (
            "picks the FQDN",
            BackendHost::FromTarget,
            picks(),
            "a.test",
            "a.test",
            Some("a.test"),
        ),
        (
            "picks the FQDN",
            BackendHost::FromClient,
            picks(),
            "a.test",
            "a.test",
            Some("a.test"),
        ),
        (
            "nothing to pick",
            BackendHost::FromClient,
            picks(),
            "10.0.0.4",
            "10.0.0.4",
            None,
        ),
    ];
    for (clause, host, custom, member, expected_host, expected_name) in rows {
        let settings = settings(host);
        let plan = ProbePlan::new(&settings, custom.as_ref());
        let request = plan.request(&settings, &target(member));
        assert_eq!(request.host, expected_host, "{clause}: Host");
        assert_eq!(
            request.server_name.as_deref(),
            expected_name,
            "{clause}: SNI"
        );
    }
}

#[test]
fn sni_name_goes_before_all_others() {
    let mut settings = settings(BackendHost::Fixed("set.test".into()));
    settings.protocol = https(Some("sni.test"));
    let plan = ProbePlan::new(&settings, Some(&probe(ProbeHost::Fixed("p.test".into()))));
    let request = plan.request(&settings, &target("a.test"));
    assert_eq!(request.server_name.as_deref(), Some("sni.test"));
    assert_eq!(request.host, "p.test");
}

#[test]
fn the_default_probe_is_the_references() {
    let mut settings = settings(BackendHost::FromClient);
    let plan = ProbePlan::new(&settings, None);
    assert!(!plan.tls);
    assert_eq!(plan.path, "/");
    assert_eq!(
        (plan.interval, plan.timeout),
        (DEFAULT_INTERVAL, DEFAULT_INTERVAL)
    );
    assert_eq!((plan.unhealthy_threshold.get(), plan.min_servers), (3, 0));
    let ProbeAsks::Get(matches) = &plan.asks else {
        panic!("{plan:?}");
    };
    assert!(matches.judge_status(399).is_ok() && matches.judge_status(400).is_err());
    let request = plan.request(&settings, &target("10.0.0.4"));
    assert_eq!(request.address, "10.0.0.4:8080".parse().unwrap());

    settings.protocol = https(None);
    assert!(ProbePlan::new(&settings, None).tls);
}

#[test]
fn a_custom_probe_has_its_own_port_and_protocol() {
    let settings = settings(BackendHost::FromClient);
    let probe = probe(ProbeHost::Fixed("p.test".into()));
    let plan = ProbePlan::new(&settings, Some(&probe));
    assert!(plan.tls);
    assert_eq!(
        (plan.interval, plan.timeout),
        (probe.interval, probe.timeout)
    );
    assert_eq!((plan.unhealthy_threshold.get(), plan.min_servers), (1, 2));
    assert_eq!(plan.asks, ProbeAsks::Get(asked_match()));
    let request = plan.request(&settings, &target("10.0.0.4"));
    assert_eq!(request.address, "10.0.0.4:8443".parse().unwrap());
}

#[test]
fn a_websocket_probe_goes_over_tls_where_live_traffic_does() {
    let mut probe = probe(ProbeHost::Fixed("p.test".into()));
    probe.protocol = ProbeProtocol::AsHttpSettings;
    probe.asks = ProbeAsks::WebSocket {
        subprotocol: Some("chat".into()),
    };
    let mut settings = settings(BackendHost::FromClient);
    let plan = ProbePlan::new(&settings, Some(&probe));
    assert!(!plan.tls);
    assert_eq!(plan.asks, probe.asks);

    settings.protocol = https(None);
    assert!(ProbePlan::new(&settings, Some(&probe)).tls);
}
