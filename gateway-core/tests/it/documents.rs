//! Whole documents: the examples, the founding page's snippets, and what becomes of them.

use std::path::Path;

use gateway_core::config::{
    Balancing, FrontendAddress, ListenerProtocol, Parsed, ProbeAsks, ProbeProtocol, Severity,
    parse, parse_in,
};
use gateway_core::resource::JsonTree;

const WEBSOCKET: &str = include_str!("../../../examples/websocket.json");
const TWO_POOLS: &str = include_str!("../../../examples/two-pools.json");
const END_TO_END: &str = include_str!("../../../examples/end-to-end.json");

fn parsed(text: &str) -> Parsed {
    let tree = JsonTree::parse(text).unwrap();
    parse_in(&tree, Path::new("/etc/gateway")).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn the_founding_snippets_parse_with_warnings_only() {
    let parsed = parsed(WEBSOCKET);
    assert!(
        parsed
            .warnings
            .iter()
            .all(|warning| warning.severity == Severity::Warning && warning.position.is_some())
    );
    let count = |code| {
        let of_code = parsed
            .warnings
            .iter()
            .filter(|warning| warning.code == code);
        of_code.count()
    };
    // Four in the listeners, six in the rules.
    assert_eq!(count("StrayCharacters"), 10);
    assert_eq!(count("InvalidResourceName"), 2);
    assert_eq!(parsed.warnings.len(), 12, "{:#?}", parsed.warnings);

    let config = parsed.config;
    let https = &config.listeners[&"appGatewayHttpsListener".into()];
    assert_eq!((https.address, https.port), (FrontendAddress::AllIpv4, 443));
    assert!(matches!(
        &https.protocol,
        ListenerProtocol::Https { certificate, .. } if certificate.as_str() == "appGatewaySslCert1"
    ));
    let http = &config.listeners[&"APPGATEWAYHTTPLISTENER".into()];
    assert_eq!(
        http.address,
        FrontendAddress::Private([127, 0, 0, 1].into())
    );
    let rule = &config.rules[&"<ruleName2>".into()];
    assert_eq!((rule.priority, rule.position), (None, 1));
    assert_eq!(rule.pool.as_str(), "ContosoServerPool");
    assert_eq!(config.pools[&rule.pool].targets.len(), 3);
}

#[test]
fn the_other_examples_parse_without_a_warning() {
    for text in [TWO_POOLS, END_TO_END] {
        assert_eq!(parsed(text).warnings, []);
    }
}

#[test]
fn each_way_of_balancing_is_read_without_a_warning() {
    const LEAST_BUSY: &str = r#""loadDistributionAlgorithm": "LeastConnections""#;
    assert_eq!(TWO_POOLS.matches(LEAST_BUSY).count(), 1);
    for (written, expected) in [
        ("", Balancing::RoundRobin),
        (
            r#""loadDistributionAlgorithm": "roundRobin""#,
            Balancing::RoundRobin,
        ),
        (LEAST_BUSY, Balancing::LeastConnections),
        (
            r#""loadDistributionAlgorithm": "IPHASH""#,
            Balancing::IpHash,
        ),
    ] {
        let text = TWO_POOLS.replace(LEAST_BUSY, written);
        let parsed = parsed(&text);
        assert_eq!(parsed.warnings, [], "{written}");
        let rule = &parsed.config.rules[&"shop".into()];
        assert_eq!(rule.balancing, expected, "{written}");
    }
}

#[test]
fn a_websocket_probe_is_read_with_its_subprotocol() {
    let probe = |web_socket: &str| {
        let text = format!(
            r#"{{"properties": {{"probes": [{{"name": "p", "properties": {{
                "protocol": "websocket", "path": "/chat" {web_socket}
            }}}}]}}}}"#
        );
        let probe = parsed(&text).config.probes[&"p".into()].clone();
        assert_eq!(probe.protocol, ProbeProtocol::AsHttpSettings);
        assert_eq!((&*probe.path, probe.interval.as_secs()), ("/chat", 30));
        probe.asks
    };
    assert_eq!(
        probe(r#", "webSocket": {"subProtocol": "chat"}"#),
        ProbeAsks::WebSocket {
            subprotocol: Some("chat".into())
        }
    );
    for without in ["", r#", "webSocket": {}"#] {
        assert_eq!(
            probe(without),
            ProbeAsks::WebSocket { subprotocol: None },
            "{without}"
        );
    }
}

#[test]
fn canonical_output_reads_back_equal_and_with_nothing_left_to_repair() {
    for text in [WEBSOCKET, TWO_POOLS, END_TO_END] {
        let first = parsed(text);
        let written = serde_json::to_value(&first.document).unwrap();
        let again = parse_in(
            &JsonTree::from_value(&written).unwrap(),
            Path::new("/etc/gateway"),
        )
        .unwrap();
        assert_eq!(again.document, first.document);
        assert_eq!(again.config, first.config);
        assert!(
            again
                .warnings
                .iter()
                .all(|warning| warning.code == "InvalidResourceName")
        );
    }
}

#[test]
fn a_relative_file_uri_needs_a_folder() {
    let problems = parse(&JsonTree::parse(END_TO_END).unwrap()).unwrap_err();
    let pointers: Vec<_> = problems.0.iter().map(|problem| &*problem.pointer).collect();
    assert_eq!(
        pointers,
        [
            "/properties/sslCertificates/0/properties/keyVaultSecretId",
            "/properties/trustedRootCertificates/0/properties/keyVaultSecretId",
        ]
    );
}
