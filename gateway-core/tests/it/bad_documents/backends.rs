//! Pools, HTTP settings, probes and limits.

use serde_json::{Value, json};

use super::{ERROR, WARNING, check};

#[test]
fn backends() {
    let settings = "/properties/backendHttpSettingsCollection/0/properties";
    let member = "/properties/backendAddressPools/0/properties/backendAddresses/0";
    let of = |base: &str, property: &str, value: Value| {
        let pointer: &'static str = String::leak(format!("{base}/{property}"));
        (pointer, value)
    };
    let invalid = |base: &str, property: &str, value: Value, message, remedy| {
        let change = of(base, property, value);
        (
            vec![change.clone()],
            vec![(ERROR, "InvalidPropertyValue", change.0, message, remedy)],
        )
    };
    let drain = "/properties/backendHttpSettingsCollection/0/properties/connectionDraining";
    check(vec![
        invalid(settings, "port", json!(0), "is 0", "1 to 65535"),
        invalid(settings, "port", json!(65_536), "is 65536", "1 to 65535"),
        invalid(
            settings,
            "requestTimeout",
            json!(86_401),
            "is 86401",
            "1 to 86400",
        ),
        invalid(
            settings,
            "unavailableStatus",
            json!(500),
            "is 500",
            "502 or 503",
        ),
        invalid(
            settings,
            "path",
            json!("a"),
            "does not begin with `/`",
            "/app/",
        ),
        invalid(settings, "path", json!("/a b"), "percent-encoded", "/app/"),
        invalid(
            settings,
            "path",
            json!("/a\r\nX: y"),
            "percent-encoded",
            "/app/",
        ),
        invalid(
            settings,
            "hostName",
            json!("a\r\nX: y"),
            "cannot be a Host",
            "contoso",
        ),
        invalid(settings, "sniName", json!("*.a"), "a wildcard", "contoso"),
        (
            vec![
                of(settings, "hostName", json!("a")),
                of(settings, "pickHostNameFromBackendAddress", json!(true)),
            ],
            vec![(
                ERROR,
                "ConflictingProperties",
                "/properties/backendHttpSettingsCollection/0/properties/hostName",
                "picks it from the backend address",
                "remove",
            )],
        ),
        (
            vec![(drain, json!({ "enabled": true }))],
            vec![(
                ERROR,
                "MissingProperty",
                "/properties/backendHttpSettingsCollection/0/properties/connectionDraining/drainTimeoutInSec",
                "has no",
                "1 to 3600",
            )],
        ),
        (
            vec![(drain, json!({ "enabled": false, "drainTimeoutInSec": 1 }))],
            vec![],
        ),
        invalid(
            drain,
            "drainTimeoutInSec",
            json!(3601),
            "is 3601",
            "1 to 3600",
        ),
        invalid(member, "ipAddress", json!("web"), "is no address", "fqdn"),
        invalid(member, "port", json!(0), "is 0", "1 to 65535"),
        invalid(member, "weight", json!(0), "is 0", "1 to 65535"),
        (
            vec![(member, json!({}))],
            vec![(
                ERROR,
                "MissingProperty",
                member,
                "neither `fqdn` nor `ipAddress`",
                "one of them",
            )],
        ),
        (
            vec![of(member, "fqdn", json!("a"))],
            vec![(
                ERROR,
                "ConflictingProperties",
                member,
                "both",
                "two members",
            )],
        ),
        (
            vec![(
                "/properties/backendAddressPools/0/properties/backendAddresses/-",
                json!({ "fqdn": "WEB.example." }),
            )],
            vec![(
                WARNING,
                "DuplicateBackendAddress",
                "/properties/backendAddressPools/0/properties/backendAddresses/2",
                "web.example twice",
                "weight",
            )],
        ),
    ]);
}

#[test]
fn probes_and_limits() {
    let invalid = |pointer: &'static str, value: Value, message, remedy| {
        let at = pointer;
        (
            vec![(pointer, value)],
            vec![(ERROR, "InvalidPropertyValue", at, message, remedy)],
        )
    };
    check(vec![
        invalid(
            "/properties/probes/0/properties/interval",
            json!(0),
            "is 0",
            "1 to 86400",
        ),
        invalid(
            "/properties/probes/0/properties/timeout",
            json!(86_401),
            "is",
            "1 to 86400",
        ),
        invalid(
            "/properties/probes/0/properties/unhealthyThreshold",
            json!(21),
            "is 21",
            "1 to 20",
        ),
        invalid(
            "/properties/probes/0/properties/path",
            json!("x"),
            "cannot be asked for",
            "/health",
        ),
        invalid(
            "/properties/probes/0/properties/host",
            json!("a b"),
            "cannot be a Host",
            "contoso",
        ),
        invalid(
            "/properties/probes/0/properties/match/body",
            json!("x".repeat(4091)),
            "has 4091 characters",
            "4090",
        ),
        (
            vec![(
                "/properties/probes/0/properties/match/statusCodes",
                json!(["2xx"]),
            )],
            vec![(
                ERROR,
                "InvalidPropertyValue",
                "/properties/probes/0/properties/match/statusCodes/0",
                "`2xx` of probes/health is no status",
                "200-399",
            )],
        ),
        (
            vec![("/properties/probes/0/properties/protocol", json!("tls"))],
            vec![(
                ERROR,
                "ProbeProtocolNotServed",
                "/properties/probes/0/properties/protocol",
                "Tls",
                "`Http`, `Https` or `WebSocket`",
            )],
        ),
        (
            vec![
                ("/properties/probes/0/properties/host", json!("a")),
                (
                    "/properties/probes/0/properties/pickHostNameFromBackendHttpSettings",
                    json!(true),
                ),
            ],
            vec![(
                ERROR,
                "ConflictingProperties",
                "/properties/probes/0/properties/host",
                "picks it from the HTTP settings",
                "remove",
            )],
        ),
        invalid(
            "/properties/limits/maxConnections",
            json!(0),
            "is 0",
            "write 1 to",
        ),
        invalid(
            "/properties/limits/maxRequestHeadBytes",
            json!(100),
            "is 100",
            "8192 to 1048576",
        ),
        (
            vec![("/properties/trustedProxies/-", json!("10.0.0.0/33"))],
            vec![(
                ERROR,
                "InvalidPropertyValue",
                "/properties/trustedProxies/1",
                "neither an address nor a network",
                "10.0.0.0/8",
            )],
        ),
    ]);
}

#[test]
fn websocket_probes() {
    let probe = |property: &str, value: Value| {
        let pointer: &'static str =
            String::leak(format!("/properties/probes/0/properties/{property}"));
        (pointer, value)
    };
    let websocket = || probe("protocol", json!("webSocket"));
    let chat = || probe("webSocket", json!({ "subprotocol": "chat" }));
    check(vec![
        (
            vec![websocket(), probe("match", Value::Null), chat()],
            vec![],
        ),
        (
            vec![
                websocket(),
                // As Azure's GET writes it.
                probe("match", json!({ "body": "", "statusCodes": [] })),
            ],
            vec![],
        ),
        (
            vec![
                websocket(),
                probe(
                    "match",
                    json!({ "statusCodes": ["200-399"], "body": "fine" }),
                ),
            ],
            ["statusCodes", "body"]
                .map(|property| {
                    let (pointer, _) = probe(&format!("match/{property}"), Value::Null);
                    let message = "healthy is a valid 101";
                    (WARNING, "FeatureNotServed", pointer, message, "remove")
                })
                .to_vec(),
        ),
        (
            vec![
                websocket(),
                probe("match", Value::Null),
                probe("webSocket", json!({ "subprotocol": "chat, superchat" })),
            ],
            vec![(
                ERROR,
                "InvalidPropertyValue",
                "/properties/probes/0/properties/webSocket/subprotocol",
                "`chat, superchat` of probes/health is no subprotocol",
                "one name like `chat`",
            )],
        ),
        (
            vec![
                websocket(),
                probe("match", Value::Null),
                probe("webSocket", json!({ "subProtocols": ["chat"] })),
            ],
            vec![(
                WARNING,
                "UnknownProperty",
                "/properties/probes/0/properties/webSocket/subProtocols",
                "subProtocols",
                "subprotocol",
            )],
        ),
        (
            vec![chat()],
            vec![(
                WARNING,
                "FeatureNotServed",
                "/properties/probes/0/properties/webSocket/subprotocol",
                "the probe sends a GET",
                "write `WebSocket` as `protocol`",
            )],
        ),
    ]);
}
