//! `webSocket` settings and slow start as they come out of a document.

use std::num::NonZeroU32;
use std::time::Duration;

use gateway_core::config::*;
use gateway_core::resource::{Collection, JsonTree};
use gateway_core::websocket::OriginPattern;
use serde_json::{Value, json};

use crate::hostile::whole;

const LISTENER: &str = "/properties/httpListeners/0/properties";
const SETTINGS: &str = "/properties/backendHttpSettingsCollection/0/properties";

/// The good document with another `webSocket` there.
fn with(pointer: &str, written: Value) -> Parsed {
    let mut document = whole();
    document.pointer_mut(pointer).unwrap()["webSocket"] = written;
    let parsed = parse(&JsonTree::from_value(&document).unwrap());
    parsed.unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn listener(written: Value) -> ListenerWebSocket {
    with(LISTENER, written).config.listeners[&"http".into()]
        .web_socket
        .clone()
}

fn settings(written: Value) -> TunnelSettings {
    with(SETTINGS, written).config.http_settings[&"plain".into()]
        .web_socket
        .clone()
}

fn seconds(count: u64) -> Option<Duration> {
    Some(Duration::from_secs(count))
}

fn rate(per_second: u32, ramp: u64) -> Option<HandshakeRate> {
    Some(HandshakeRate {
        per_second: NonZeroU32::new(per_second).unwrap(),
        ramp: Duration::from_secs(ramp),
    })
}

fn origins(texts: &[&str], policy: OriginPolicy) -> Origins {
    let allowed = texts.iter().map(|text| OriginPattern::parse(text).unwrap());
    Origins {
        allowed: allowed.collect(),
        policy,
    }
}

#[test]
fn who_sets_nothing_gets_what_there_was() {
    for nothing in [Value::Null, json!({})] {
        assert_eq!(listener(nothing.clone()), ListenerWebSocket::default());
        assert_eq!(settings(nothing), TunnelSettings::default());
    }
}

#[test]
fn every_property_of_a_listener_arrives() {
    let read = listener(json!({
        "AllowedOrigins": ["https://App.example.com", "https://*.example.com:8443", "null"],
        "originPolicy": "reportonly",
        "requiredSubprotocols": ["chat", "v12.stomp"],
        "handshake": "lenient",
        "maxConnections": 100, "maxConnectionsPerClient": 5,
        "maxHandshakesPerSecond": 50, "handshakeRampInSec": 60
    }));
    let patterns = [
        "https://app.example.com",
        "https://*.example.com:8443",
        "null",
    ];
    let expected = ListenerWebSocket {
        origins: origins(&patterns, OriginPolicy::ReportOnly),
        required_subprotocols: vec!["chat".to_owned(), "v12.stomp".to_owned()],
        handshake: HandshakeMode::Lenient,
        max_connections: Some(100),
        max_connections_per_client: Some(5),
        handshakes: rate(50, 60),
    };
    assert_eq!(read, expected);
}

#[test]
fn every_property_of_http_settings_arrives() {
    let read = settings(json!({
        "frames": "TRACKED",
        "allowedOrigins": ["https://a"], "originPolicy": "Enforce",
        "idleTimeoutInSec": 1, "pingIntervalInSec": 2, "tcpUserTimeoutInSec": 3,
        "maxMessageBytes": 4000, "maxFrameBytes": 500, "maxMessagesPerSecond": 6,
        "slowConsumerTimeoutInSec": 7, "maxConnections": 8,
        "maxHandshakesPerSecond": 9,
        "onUnhealthy": "drain", "closeOverInSec": 4, "closeCode": 1012,
        "progressIntervalInSec": 12,
        "rebalance": { "thresholdPercent": 13, "tunnelsPerSecond": 14 }
    }));
    let expected = TunnelSettings {
        frames: Frames::Tracked,
        origins: origins(&["https://a"], OriginPolicy::Enforce),
        idle_timeout: seconds(1),
        ping_interval: seconds(2),
        tcp_user_timeout: seconds(3),
        max_message_bytes: Some(4000),
        max_frame_bytes: Some(500),
        max_messages_per_second: NonZeroU32::new(6),
        slow_consumer_timeout: seconds(7),
        max_connections: Some(8),
        handshakes: rate(9, 0),
        on_unhealthy: OnUnhealthy::Drain,
        close_over: seconds(4),
        close_code: DrainCode::ServiceRestart,
        progress_interval: seconds(12),
        rebalance: Some(Rebalance {
            threshold_percent: 13,
            tunnels_per_second: NonZeroU32::new(14).unwrap(),
        }),
    };
    assert_eq!(read, expected);
}

#[test]
fn the_rest_of_the_choices() {
    assert_eq!(
        settings(json!({ "frames": "Opaque" })).frames,
        Frames::Opaque
    );
    let of = |then: &str| settings(json!({ "onUnhealthy": then })).on_unhealthy;
    assert_eq!(
        (of("Keep"), of("Close")),
        (OnUnhealthy::Keep, OnUnhealthy::Close)
    );
    let read = settings(json!({ "closeCode": 1001, "closeOverInSec": 0, "rebalance": {} }));
    assert_eq!(read.close_code, DrainCode::GoingAway);
    assert_eq!(read.close_over, Some(Duration::ZERO));
    let rebalance = read.rebalance.unwrap();
    assert_eq!(
        (
            rebalance.threshold_percent,
            rebalance.tunnels_per_second.get()
        ),
        (10, 10)
    );
}

#[test]
fn slow_start_belongs_to_the_rules_of_its_policy() {
    let mut document = whole();
    document["properties"]["loadDistributionPolicies"] = json!([{ "name": "p", "properties": {
        "loadDistributionAlgorithm": "LeastConnections", "slowStartInSec": 30
    } }]);
    document["properties"]["requestRoutingRules"][0]["properties"]["loadDistributionPolicy"] =
        json!({ "id": "p" });
    let parsed = parse(&JsonTree::from_value(&document).unwrap()).unwrap();
    let rules = parsed.config.rules;
    assert_eq!(rules[&"r1".into()].slow_start, seconds(30));
    assert_eq!(rules[&"r2".into()].slow_start, None);
}

#[test]
fn what_is_written_has_the_names_and_choices_of_the_documentation() {
    let first = with(
        SETTINGS,
        json!({ "FRAMES": "opaque", "idletimeoutinsec": 5, "AllowedOrigins": ["https://A:443"] }),
    );
    let written = serde_json::to_value(&first.document).unwrap();
    assert_eq!(
        written.pointer(SETTINGS).unwrap()["webSocket"],
        json!({ "frames": "Opaque", "idleTimeoutInSec": 5, "allowedOrigins": ["https://A:443"] })
    );
}

#[test]
fn a_change_is_that_resources_alone() {
    let (before, after) = (
        with(SETTINGS, json!({ "pingIntervalInSec": 5 })),
        with(SETTINGS, json!({ "pingIntervalInSec": 6 })),
    );
    let changes = diff(&before.config, &after.config);
    let told: Vec<_> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["backendHttpSettingsCollection/plain put"]);

    let etag = |parsed: &Parsed, collection, name| {
        let tag = parsed.document.resource_etag(collection, name);
        tag.unwrap()
    };
    let tags = |parsed| {
        let settings = Collection::BackendHttpSettingsCollection;
        (
            etag(parsed, settings, "plain"),
            etag(parsed, Collection::HttpListeners, "http"),
        )
    };
    assert_ne!(tags(&before).0, tags(&after).0);
    assert_eq!(tags(&before).1, tags(&after).1);
}
