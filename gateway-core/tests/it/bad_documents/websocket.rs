//! `webSocket` on listeners and HTTP settings, and slow start.

use serde_json::{Value, json};

use super::{Changes, ERROR, Expected, WARNING, check};

const LISTENER: &str = "/properties/httpListeners/0/properties/webSocket";
const SETTINGS: &str = "/properties/backendHttpSettingsCollection/0/properties/webSocket";

fn at(base: &str, property: &str) -> &'static str {
    String::leak(format!("{base}/{property}"))
}

/// `webSocket` is `written`, and that is what is wrong.
fn row(base: &'static str, written: Value, expected: Vec<Expected>) -> (Changes, Vec<Expected>) {
    (vec![(base, written)], expected)
}

fn invalid(
    base: &'static str,
    property: &str,
    value: Value,
    message: &'static str,
    remedy: &'static str,
) -> (Changes, Vec<Expected>) {
    let code = "InvalidPropertyValue";
    let expected = (ERROR, code, at(base, property), message, remedy);
    row(base, json!({ property: value }), vec![expected])
}

#[test]
fn numbers() {
    for base in [LISTENER, SETTINGS] {
        check(vec![
            invalid(base, "maxConnections", json!(0), "is 0", "1 to 4294967295"),
            invalid(
                base,
                "maxHandshakesPerSecond",
                json!(0),
                "is 0",
                "1 to 4294967295",
            ),
            row(
                base,
                json!({ "maxHandshakesPerSecond": 1, "handshakeRampInSec": 3601 }),
                vec![(
                    ERROR,
                    "InvalidPropertyValue",
                    at(base, "handshakeRampInSec"),
                    "is 3601",
                    "1 to 3600",
                )],
            ),
        ]);
    }
    check(vec![invalid(
        LISTENER,
        "maxConnectionsPerClient",
        json!(0),
        "is 0",
        "1 to",
    )]);
    let day = [
        "idleTimeoutInSec",
        "pingIntervalInSec",
        "tcpUserTimeoutInSec",
        "slowConsumerTimeoutInSec",
        "progressIntervalInSec",
    ];
    for property in day {
        check(vec![
            invalid(SETTINGS, property, json!(0), "is 0", "1 to 86400"),
            invalid(SETTINGS, property, json!(86_401), "is 86401", "1 to 86400"),
            row(SETTINGS, json!({ property: 86_400 }), vec![]),
        ]);
    }
    check(vec![
        invalid(SETTINGS, "maxMessageBytes", json!(0), "is 0", "1 to"),
        invalid(SETTINGS, "maxMessagesPerSecond", json!(0), "is 0", "1 to"),
        invalid(SETTINGS, "maxFrameBytes", json!(124), "is 124", "125 to"),
        invalid(SETTINGS, "closeCode", json!(1000), "is 1000", "1001"),
        invalid(
            SETTINGS,
            "closeOverInSec",
            json!(3601),
            "is 3601",
            "0 to 3600",
        ),
        row(SETTINGS, json!({ "closeOverInSec": 0 }), vec![]),
    ]);
    let part = |property: &str, value: u32, remedy| {
        let pointer = at(SETTINGS, &format!("rebalance/{property}"));
        let expected = (ERROR, "InvalidPropertyValue", pointer, "is ", remedy);
        let written = json!({ "rebalance": { property: value } });
        row(SETTINGS, written, vec![expected])
    };
    check(vec![
        part("thresholdPercent", 0, "1 to 1000"),
        part("thresholdPercent", 1001, "1 to 1000"),
        part("tunnelsPerSecond", 0, "1 to"),
    ]);
}

#[test]
fn choices_and_types() {
    let unknown = |base, property: &'static str, value, said| {
        invalid(base, property, json!(value), "cannot be", said)
    };
    check(vec![
        unknown(LISTENER, "handshake", "Loose", "Strict, Lenient"),
        unknown(
            LISTENER,
            "originPolicy",
            "Enforced",
            "did you mean `Enforce`",
        ),
        unknown(SETTINGS, "frames", "Raw", "Tracked, Opaque"),
        unknown(SETTINGS, "onUnhealthy", "Cut", "Keep, Drain, Close"),
        row(
            SETTINGS,
            json!({ "closeCode": "1012" }),
            vec![(
                ERROR,
                "PropertyTypeMismatch",
                at(SETTINGS, "closeCode"),
                "a whole number",
                "number",
            )],
        ),
        row(
            SETTINGS,
            json!({ "idleTimeout": 5 }),
            vec![(
                WARNING,
                "UnknownProperty",
                at(SETTINGS, "idleTimeout"),
                "not known",
                "`idleTimeoutInSec`",
            )],
        ),
    ]);
}

#[test]
fn origins_and_subprotocols() {
    for base in [LISTENER, SETTINGS] {
        let bad = |text: &str, message| {
            let pointer = at(base, "allowedOrigins/1");
            let expected = (
                ERROR,
                "InvalidPropertyValue",
                pointer,
                message,
                "https://*.example",
            );
            let written = json!({ "allowedOrigins": ["https://a", text] });
            row(base, written, vec![expected])
        };
        check(vec![
            bad("https://a/", "has no path"),
            bad("app.example.com", "no `scheme://`"),
            bad("https://a.*", "host is no name"),
            invalid(
                base,
                "allowedOrigins",
                json!([]),
                "holds none",
                "leave it out",
            ),
            row(
                base,
                json!({ "originPolicy": "ReportOnly" }),
                vec![(
                    WARNING,
                    "FeatureNotServed",
                    at(base, "originPolicy"),
                    "any origin is allowed",
                    "`allowedOrigins`",
                )],
            ),
            row(base, json!({ "originPolicy": "Enforce" }), vec![]),
        ]);
    }
    check(vec![
        row(
            LISTENER,
            json!({ "requiredSubprotocols": ["chat", "a b"] }),
            vec![(
                ERROR,
                "InvalidPropertyValue",
                at(LISTENER, "requiredSubprotocols/1"),
                "`a b` of httpListeners/http is no subprotocol",
                "`chat`",
            )],
        ),
        row(LISTENER, json!({ "requiredSubprotocols": [] }), vec![]),
    ]);
}

#[test]
fn pairs_that_do_not_go_together() {
    let of = |severity, code, property, message, remedy| -> Expected {
        (severity, code, at(SETTINGS, property), message, remedy)
    };
    let conflict =
        |property, message, remedy| of(ERROR, "ConflictingProperties", property, message, remedy);
    let opaque = |property| conflict(property, "cannot work", "Tracked");
    let idle = |property, message| of(WARNING, "FeatureNotServed", property, message, "Tracked");
    check(vec![
        row(
            SETTINGS,
            json!({
                "frames": "opaque", "pingIntervalInSec": 5, "maxMessageBytes": 5000,
                "maxFrameBytes": 500, "maxMessagesPerSecond": 5, "closeCode": 1001
            }),
            vec![
                opaque("pingIntervalInSec"),
                opaque("maxMessageBytes"),
                opaque("maxFrameBytes"),
                opaque("maxMessagesPerSecond"),
                opaque("closeCode"),
            ],
        ),
        row(
            SETTINGS,
            json!({
                "frames": "Opaque", "closeOverInSec": 1, "rebalance": {}, "onUnhealthy": "Close"
            }),
            vec![
                idle("closeOverInSec", "without a Close frame"),
                idle("rebalance", "without a Close frame"),
                idle("onUnhealthy", "without a Close frame"),
            ],
        ),
        row(
            SETTINGS,
            json!({
                "frames": "Opaque", "idleTimeoutInSec": 5, "tcpUserTimeoutInSec": 5,
                "slowConsumerTimeoutInSec": 5, "maxConnections": 5, "onUnhealthy": "Keep",
                "progressIntervalInSec": 5, "maxHandshakesPerSecond": 5
            }),
            vec![],
        ),
        // The document's drain takes 5 seconds, one that says nothing 30.
        row(
            SETTINGS,
            json!({ "closeOverInSec": 5 }),
            vec![conflict("closeOverInSec", "ends after 5", "less than 5")],
        ),
        (
            vec![
                (SETTINGS, json!({ "closeOverInSec": 30 })),
                (
                    "/properties/backendHttpSettingsCollection/0/properties/connectionDraining",
                    Value::Null,
                ),
            ],
            vec![conflict("closeOverInSec", "ends after 30", "less than 30")],
        ),
        row(
            SETTINGS,
            json!({ "maxMessageBytes": 500, "maxFrameBytes": 501 }),
            vec![of(
                WARNING,
                "FeatureNotServed",
                "maxFrameBytes",
                "no effect",
                "less",
            )],
        ),
        row(
            LISTENER,
            json!({ "maxConnections": 5, "maxConnectionsPerClient": 6 }),
            vec![(
                WARNING,
                "FeatureNotServed",
                at(LISTENER, "maxConnectionsPerClient"),
                "no effect",
                "less",
            )],
        ),
    ]);
    for base in [LISTENER, SETTINGS] {
        check(vec![
            row(
                base,
                json!({ "handshakeRampInSec": 5 }),
                vec![(
                    WARNING,
                    "FeatureNotServed",
                    at(base, "handshakeRampInSec"),
                    "no rate that could grow",
                    "`maxHandshakesPerSecond`",
                )],
            ),
            // What is wrong is said once.
            row(
                base,
                json!({ "maxHandshakesPerSecond": "5", "handshakeRampInSec": 5 }),
                vec![(
                    ERROR,
                    "PropertyTypeMismatch",
                    at(base, "maxHandshakesPerSecond"),
                    "a whole number",
                    "number",
                )],
            ),
        ]);
    }
}

#[test]
fn slow_start() {
    let policies = "/properties/loadDistributionPolicies";
    let policy = |seconds: u32| {
        json!([{ "name": "p", "properties": {
            "loadDistributionAlgorithm": "RoundRobin", "slowStartInSec": seconds
        } }])
    };
    let named = |rule: &str| (at(rule, "loadDistributionPolicy"), json!({ "id": "p" }));
    let both = [
        named("/properties/requestRoutingRules/0/properties"),
        named("/properties/requestRoutingRules/1/properties"),
    ];
    for (seconds, expected) in [(0, "is 0"), (3601, "is 3601")] {
        let mut changes = vec![(policies, policy(seconds))];
        changes.extend(both.clone());
        check(vec![(
            changes,
            vec![(
                ERROR,
                "InvalidPropertyValue",
                "/properties/loadDistributionPolicies/0/properties/slowStartInSec",
                expected,
                "1 to 3600",
            )],
        )]);
    }
    check(vec![(vec![(policies, policy(3600))], vec![])]);
}
