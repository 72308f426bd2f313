//! Whatever a document holds, reading it ends with a configuration or with problems.

use gateway_core::config::parse;
use gateway_core::resource::{Collection, Edit, EditError, JsonTree, apply_edit};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAMES: &[&str] = &[
    "properties",
    "PROPERTIES",
    "name",
    "id",
    "httpListeners",
    "frontendPorts",
    "port",
    "protocol",
    "probes",
    "match",
    "statusCodes",
    "backendAddressPools",
    "backendAddresses",
    "ipAddress",
    "fqdn",
    "hostNames",
    "hostName",
    "sslCertificates",
    "data",
    "keyVaultSecretId",
    "limits",
    "trustedProxies",
    "requestRoutingRules",
    "priority",
    "webSocket",
    "allowedOrigins",
    "maxConnections",
    "rebalance",
    "httpListener",
    "tags",
    "a/b~c",
    "",
];

const TEXTS: &[&str] = &[
    "",
    "Http",
    "https",
    "a",
    "/",
    "a/b",
    "//",
    "[parameters('x')]",
    "file:",
    "file:///%zz",
    "file:a%",
    "*.a",
    "200-",
    "::1",
    "10.0.0.0/33",
    "')]",
    "\u{0}",
    "é",
    "/subscriptions/é')",
];

pub(crate) fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(TEXTS).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 96, 8, |inner| {
        let name = prop_oneof![
            4 => proptest::sample::select(NAMES).prop_map(str::to_owned),
            1 => ".{0,8}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..8)
                .prop_map(|properties| Value::Object(properties.into_iter().collect())),
        ]
    })
}

/// Every place in a document, by its pointer.
pub(crate) fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                places(element, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(properties) => {
            for (name, value) in properties {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(value, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

/// Something of everything that is served.
pub(crate) fn whole() -> Value {
    json!({
        "name": "gw",
        "tags": { "Team": "a" },
        "properties": {
            "frontendIPConfigurations": [
                { "name": "local", "properties": { "privateIPAddress": "127.0.0.1" } }
            ],
            "frontendPorts": [
                { "name": "p80", "properties": { "port": 80 } },
                { "name": "p443", "properties": { "port": 443 } }
            ],
            "sslCertificates": [
                { "name": "cert", "properties": { "data": "AAEC", "password": "geheim" } }
            ],
            "trustedRootCertificates": [{ "name": "root", "properties": { "data": "AAEC" } }],
            "backendAddressPools": [{ "name": "web", "properties": { "backendAddresses": [
                { "ipAddress": "127.0.0.1", "port": 9001, "weight": 2 },
                { "fqdn": "web.example" }
            ] } }],
            "probes": [{ "name": "health", "properties": {
                "protocol": "Http", "path": "/health",
                "match": { "statusCodes": ["200-299"], "body": "ok" }
            } }],
            "backendHttpSettingsCollection": [{ "name": "plain", "properties": {
                "port": 80, "protocol": "Https", "probe": { "id": "health" },
                "trustedRootCertificates": [{ "id": "root" }],
                "connectionDraining": { "enabled": true, "drainTimeoutInSec": 5 },
                "webSocket": {
                    "frames": "Tracked", "allowedOrigins": ["https://*.example.com:8443"],
                    "idleTimeoutInSec": 900, "pingIntervalInSec": 30,
                    "maxMessageBytes": 65536, "maxFrameBytes": 4096, "closeOverInSec": 3,
                    "closeCode": 1012, "maxHandshakesPerSecond": 50, "handshakeRampInSec": 60,
                    "rebalance": { "thresholdPercent": 20 }
                }
            } }],
            "httpListeners": [
                { "name": "http", "properties": {
                    "frontendIPConfiguration": { "id": "local" },
                    "frontendPort": { "id": "p80" }, "protocol": "Http"
                } },
                { "name": "https", "properties": {
                    "frontendIPConfiguration": { "id": "local" },
                    "frontendPort": { "id": "p443" }, "protocol": "Https",
                    "sslCertificate": { "id": "cert" }, "hostNames": ["*.example"],
                    "webSocket": {
                        "allowedOrigins": ["https://app.example", "null"],
                        "originPolicy": "ReportOnly", "requiredSubprotocols": ["chat"],
                        "maxConnections": 1000, "maxConnectionsPerClient": 10
                    }
                } }
            ],
            "requestRoutingRules": [
                { "name": "r1", "properties": {
                    "ruleType": "Basic", "httpListener": { "id": "http" },
                    "backendAddressPool": { "id": "web" }, "backendHttpSettings": { "id": "plain" }
                } },
                { "name": "r2", "properties": {
                    "ruleType": "Basic", "httpListener": { "id": "https" },
                    "backendAddressPool": { "id": "web" }, "backendHttpSettings": { "id": "plain" }
                } }
            ],
            "limits": { "maxConnections": 10 },
            "trustedProxies": ["10.0.0.0/8"]
        }
    })
}

proptest! {
    #[test]
    fn parse_never_panics_on_arbitrary_json(value in value()) {
        if let Ok(tree) = JsonTree::parse(&value.to_string()) {
            let _ = parse(&tree);
        }
        if let Ok(tree) = JsonTree::from_value(&value) {
            let _ = parse(&tree);
        }
    }

    #[test]
    fn parse_never_panics_on_mutations_of_a_good_document(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), value()), 1..4),
    ) {
        let mut document = whole();
        for (place, value) in changes {
            let mut found = Vec::new();
            places(&document, "", &mut found);
            let pointer = place.get(&found);
            *document.pointer_mut(pointer).unwrap() = value;
            if document.is_null() {
                document = json!({});
            }
        }
        // Two ways in, one verdict.
        let by_text = JsonTree::parse(&document.to_string()).map(|tree| parse(&tree));
        let by_value = JsonTree::from_value(&document).map(|tree| parse(&tree));
        if let (Ok(by_text), Ok(by_value)) = (by_text, by_value) {
            match (by_text, by_value) {
                (Ok(a), Ok(b)) => prop_assert_eq!(a.config, b.config),
                (Err(a), Err(b)) => prop_assert_eq!(a.0.len(), b.0.len()),
                _ => prop_assert!(false, "text and value differ"),
            }
        }
    }

    #[test]
    fn parse_never_panics_on_arbitrary_text(text in ".{0,200}") {
        let _ = JsonTree::parse(&text).map(|tree| parse(&tree));
    }

    #[test]
    fn what_is_accepted_is_written_so_that_it_reads_back_equal(
        place in any::<proptest::sample::Index>(), value in scalar(),
    ) {
        let mut document = whole();
        let mut found = Vec::new();
        places(&document, "", &mut found);
        let pointer: &String = place.get(&found);
        *document.pointer_mut(pointer).unwrap() = value;
        let Ok(Ok(first)) = JsonTree::from_value(&document).map(|tree| parse(&tree)) else {
            return Ok(());
        };
        let (stored, blobs) = first.document.to_stored();
        let tree = gateway_core::resource::from_stored(stored, |hash| {
            blobs.iter().find(|blob| blob.hash == hash).map(|blob| blob.bytes.clone())
        }).unwrap();
        let again = parse(&tree).unwrap();
        prop_assert_eq!(&again.document, &first.document);
        prop_assert_eq!(again.config, first.config);
        prop_assert_eq!(again.document.etag(), first.document.etag());
    }
}

#[test]
fn the_document_that_is_mutated_is_good() {
    let parsed = parse(&JsonTree::from_value(&whole()).unwrap()).unwrap();
    assert_eq!(parsed.warnings, []);
}

#[test]
fn deep_nesting_is_refused_and_costs_no_stack() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [65, 513, 100_000] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let problems = JsonTree::parse(&text).unwrap_err();
            assert_eq!(problems.0[0].code, "NestingTooDeep", "{depth} {open}");
        }
        let text = format!("{}1{}", open.repeat(60), close.repeat(60));
        assert!(JsonTree::parse(&text).is_ok());
    }
}

#[test]
fn a_value_that_nests_too_deep_is_refused_too() {
    let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
    let problems = JsonTree::from_value(&deep).unwrap_err();
    assert_eq!(problems.0[0].code, "NestingTooDeep");
}

#[test]
fn what_a_put_takes_can_be_read_again() {
    let put = |depth: usize| {
        let text = format!(
            "{{\"properties\": {}1{}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let edit = Edit::Put {
            collection: Collection::EntraJwtValidationConfigs,
            name: "deep".to_owned(),
            body: JsonTree::parse(&text).unwrap(),
        };
        apply_edit(None, &edit)
    };
    // In the document it stands three levels deeper, and has to be read from there after a restart.
    let document = put(60).unwrap().parsed.document;
    let written = serde_json::to_value(&document).unwrap();
    let again = parse(&JsonTree::from_value(&written).unwrap()).unwrap();
    assert_eq!(again.document, document);

    let EditError::Invalid(problems) = put(61).unwrap_err() else {
        panic!("a problem of the document");
    };
    assert_eq!(problems.0[0].code, "NestingTooDeep");
    assert!(problems.0[0].position.is_some());
}

#[test]
fn a_flood_of_problems_is_counted_and_not_listed() {
    let names: Vec<_> = (0..20_000).map(|n| format!("\"x{n}\": 1")).collect();
    let text = format!("{{ {} }}", names.join(","));
    let parsed = parse(&JsonTree::parse(&text).unwrap()).unwrap();
    assert_eq!(parsed.warnings.len(), 501);
    let last = parsed.warnings.last().unwrap();
    assert_eq!(last.code, "ProblemsOmitted");
    assert!(last.message.starts_with("19501 more"), "{}", last.message);
}
