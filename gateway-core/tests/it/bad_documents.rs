//! What is wrong with a document, and what is said of it: a good document, one thing broken in it,
//! and the problems that must come of that and no others.

use gateway_core::config::{ConfigProblem, Severity, parse};
use gateway_core::resource::JsonTree;
use serde_json::{Value, json};

use crate::hostile::whole;

/// What is broken, by pointer; `null` takes it away.
type Changes = Vec<(&'static str, Value)>;

/// A problem: severity, code, pointer, and a part of message and remedy.
type Expected = (
    Severity,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const ERROR: Severity = Severity::Error;
const WARNING: Severity = Severity::Warning;

fn put(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(elements) if name == "-" => elements.push(value),
        Value::Array(elements) => elements[name.parse::<usize>().unwrap()] = value,
        parent if value.is_null() => {
            parent.as_object_mut().unwrap().remove(name);
        }
        parent => parent[name] = value,
    }
}

fn problems(changes: &Changes) -> Vec<ConfigProblem> {
    let mut document = whole();
    for (pointer, value) in changes {
        put(&mut document, pointer, value.clone());
    }
    let text = serde_json::to_string_pretty(&document).unwrap();
    let problems = match parse(&JsonTree::parse(&text).unwrap()) {
        Ok(parsed) => parsed.warnings,
        Err(problems) => problems.0,
    };
    for problem in &problems {
        assert!(problem.remedy.is_some(), "{problem:#?}");
        let span = problem.span.clone().unwrap();
        let position = problem.position.unwrap();
        assert_eq!(text[..span.start].matches('\n').count() + 1, position.line);
    }
    problems
}

fn check(rows: Vec<(Changes, Vec<Expected>)>) {
    for (changes, expected) in rows {
        let mut found = problems(&changes);
        let mut expected = expected;
        found.sort_by(|a, b| (&a.pointer, a.code).cmp(&(&b.pointer, b.code)));
        expected.sort_by_key(|problem| (problem.2, problem.1));
        assert_eq!(found.len(), expected.len(), "{changes:?}: {found:#?}");
        for (found, (severity, code, pointer, message, remedy)) in found.iter().zip(expected) {
            let seen = (found.severity, found.code, &*found.pointer);
            assert_eq!(seen, (severity, code, pointer), "{changes:?}: {found:#?}");
            assert!(found.message.contains(message), "{changes:?}: {found:#?}");
            let said = found.remedy.as_deref().unwrap();
            assert!(said.contains(remedy), "{changes:?}: {found:#?}");
        }
    }
}

const HTTP: &str = "/properties/httpListeners/0/properties";
const FRONTEND: &str = "/properties/frontendIPConfigurations/0/properties";

#[test]
fn types_and_names() {
    check(vec![
        (
            vec![("/properties/frontendPorts/0/properties/port", json!("80"))],
            vec![(
                ERROR,
                "PropertyTypeMismatch",
                "/properties/frontendPorts/0/properties/port",
                "`port` is a string, where a whole number belongs",
                "write a whole number",
            )],
        ),
        (
            vec![("/properties/frontendPorts/0/properties/port", json!(-1))],
            vec![(
                ERROR,
                "InvalidPropertyValue",
                "/properties/frontendPorts/0/properties/port",
                "`port` is -1",
                "whole number",
            )],
        ),
        (
            vec![("/properties/frontendPorts/0/properties", json!([]))],
            vec![(
                ERROR,
                "PropertyTypeMismatch",
                "/properties/frontendPorts/0/properties",
                "`properties` is an array",
                "an object",
            )],
        ),
        // Nothing else is said of what refers into a list that cannot be read.
        (
            vec![("/properties/frontendPorts", json!({}))],
            vec![(
                ERROR,
                "PropertyTypeMismatch",
                "/properties/frontendPorts",
                "`frontendPorts` is an object",
                "an array",
            )],
        ),
        (
            vec![(
                "/properties/httpListeners/0/properties/protocol",
                json!("Htp"),
            )],
            vec![(
                ERROR,
                "InvalidPropertyValue",
                "/properties/httpListeners/0/properties/protocol",
                "`protocol` cannot be `Htp`",
                "did you mean `Http`?",
            )],
        ),
        (
            vec![("/properties/httpListeners/0/properties/hostNme", json!("a"))],
            vec![(
                WARNING,
                "UnknownProperty",
                "/properties/httpListeners/0/properties/hostNme",
                "`hostNme` is not known here",
                "did you mean `hostName`?",
            )],
        ),
        (
            vec![("/properties/httpListeners/0/hostName", json!("a"))],
            vec![(
                WARNING,
                "UnknownProperty",
                "/properties/httpListeners/0/hostName",
                "`hostName`",
                "belongs inside `properties`",
            )],
        ),
        (
            vec![(
                "/properties/httpListeners/0/properties/PROTOCOL",
                json!("Http"),
            )],
            vec![(
                ERROR,
                "DuplicateProperty",
                // Whichever comes second is named; either spelling finds the first.
                "/properties/httpListeners/0/properties/PROTOCOL",
                "is given twice",
                "without regard to case",
            )],
        ),
        (
            vec![(
                "/properties/frontendPorts/-",
                json!({ "name": "P80", "properties": { "port": 9 } }),
            )],
            vec![(
                ERROR,
                "DuplicateResourceName",
                "/properties/frontendPorts/2/name",
                "frontendPorts/P80 is there twice, at positions 0 and 2",
                "rename",
            )],
        ),
        (
            vec![("/properties/backendAddressPools/-", json!({}))],
            vec![(
                ERROR,
                "MissingProperty",
                "/properties/backendAddressPools/1/name",
                "backendAddressPools[1] has no `name`",
                "give it a name",
            )],
        ),
        (
            vec![(
                "/properties/backendAddressPools/-",
                json!({ "name": "a/b" }),
            )],
            vec![(
                ERROR,
                "InvalidResourceName",
                "/properties/backendAddressPools/1/name",
                "`a/b` cannot be a name",
                "at most 80",
            )],
        ),
        (
            vec![(
                "/properties/httpListeners/0/properties/hostName",
                json!("[parameters('h')]"),
            )],
            vec![(
                ERROR,
                "TemplateExpression",
                "/properties/httpListeners/0/properties/hostName",
                "`[parameters('h')]` is a template expression",
                "write the value",
            )],
        ),
    ]);
}

#[test]
fn references() {
    let listener = "/properties/requestRoutingRules/0/properties/httpListener";
    let id = "/properties/requestRoutingRules/0/properties/httpListener/id";
    let refers = |text: &str| vec![(listener, json!({ "id": text }))];
    check(vec![
        (refers("HTTP"), vec![]),
        (refers("httplisteners/http"), vec![]),
        (
            refers(
                "/subscriptions/s/resourceGroups/g/providers/microsoft.network/applicationgateways/x/httpListeners/http')]",
            ),
            vec![(
                WARNING,
                "StrayCharacters",
                id,
                "`')]` at the end",
                "remove it",
            )],
        ),
        (
            refers("htp"),
            vec![(
                ERROR,
                "InvalidResourceReference",
                id,
                "no listener `htp`: requestRoutingRules/r1 refers to httpListeners/htp",
                "did you mean `http`?",
            )],
        ),
        (
            refers("elsewhere"),
            vec![(
                ERROR,
                "InvalidResourceReference",
                id,
                "no listener `elsewhere`",
                "add it to httpListeners",
            )],
        ),
        (
            refers("probes/health"),
            vec![(
                ERROR,
                "InvalidResourceReference",
                id,
                "refers to probes/health here",
                "one of httpListeners",
            )],
        ),
        (
            refers("/subscriptions/x"),
            vec![(
                ERROR,
                "InvalidResourceReference",
                id,
                "which is no id",
                "a full id",
            )],
        ),
        (
            vec![(listener, json!({}))],
            vec![(ERROR, "MissingProperty", id, "has no `id`", "write the id")],
        ),
        (
            vec![(listener, json!("http"))],
            vec![(
                ERROR,
                "PropertyTypeMismatch",
                listener,
                "is a string",
                "{\"id\": \"name\"}",
            )],
        ),
        (
            vec![(listener, Value::Null)],
            vec![(
                ERROR,
                "MissingProperty",
                listener,
                "requestRoutingRules/r1 has no `httpListener`",
                "{\"id\": \"httpListeners/...\"}",
            )],
        ),
    ]);
}

#[test]
fn listeners() {
    let value = |property: &str, value: Value| {
        let pointer: &'static str = String::leak(format!("{HTTP}/{property}"));
        vec![(pointer, value)]
    };
    let host = "/properties/httpListeners/0/properties/hostName";
    let hosts = "/properties/httpListeners/0/properties/hostNames";
    let first = "/properties/httpListeners/0/properties/hostNames/0";
    let bad_host = |names: Value, pointer, message| {
        let changes = value("hostNames", names);
        (
            changes,
            vec![(ERROR, "InvalidPropertyValue", pointer, message, "write")],
        )
    };
    let second = json!({ "name": "x", "properties": {
        "frontendIPConfiguration": { "id": "local" }, "frontendPort": { "id": "p80" },
        "protocol": "Http"
    } });
    let without_rule = (
        WARNING,
        "ListenerWithoutRule",
        "/properties/httpListeners/2",
        "x",
        "add",
    );
    check(vec![
        (
            value("hostNames", json!(["a.b", "*?.c", "x.*"])),
            vec![bad_label()],
        ),
        bad_host(json!([]), hosts, "holds 0 names"),
        bad_host(
            json!(["a", "b", "c", "d", "e", "f"]),
            hosts,
            "holds 6 names",
        ),
        bad_host(json!([""]), first, "it is empty"),
        bad_host(json!(["a**.b"]), first, "more than one `*`"),
        bad_host(json!(["*.*.*.b"]), first, "more than two `*`"),
        bad_host(json!(["????.*.b"]), first, "more than four"),
        bad_host(json!(["a_b.c"]), first, "other characters"),
        bad_host(json!(["a..c"]), first, "a label is empty"),
        (
            value("hostName", json!("*.a")),
            vec![(
                ERROR,
                "InvalidPropertyValue",
                host,
                "a wildcard",
                "hostNames",
            )],
        ),
        (
            vec![(host, json!("a.b")), (hosts, json!(["c"]))],
            vec![(ERROR, "ConflictingProperties", hosts, "both", "keep one")],
        ),
        (vec![(host, json!("a.b")), (hosts, json!([]))], vec![]),
        (
            vec![("/properties/httpListeners/-", second.clone())],
            vec![
                without_rule,
                (
                    ERROR,
                    "DuplicateBasicListener",
                    "/properties/httpListeners/2",
                    "httpListeners/http and httpListeners/x both take any host on 127.0.0.1 port 80",
                    "hostName",
                ),
            ],
        ),
        (
            vec![
                ("/properties/httpListeners/-", second),
                (
                    "/properties/httpListeners/2/properties/hostName",
                    json!("a"),
                ),
                (
                    "/properties/httpListeners/2/properties/proxyProtocol",
                    json!(true),
                ),
            ],
            vec![
                without_rule,
                (
                    ERROR,
                    "MixedProxyProtocolOnPort",
                    "/properties/httpListeners/2/properties/proxyProtocol",
                    "differ in `proxyProtocol`",
                    "another port",
                ),
            ],
        ),
        (
            value("frontendPort", json!({ "id": "p443" })),
            vec![(
                ERROR,
                "MixedProtocolsOnPort",
                "/properties/httpListeners/1/properties/protocol",
                "127.0.0.1 port 443",
                "another port",
            )],
        ),
        (
            value("protocol", json!("Https")),
            vec![(
                ERROR,
                "MissingProperty",
                "/properties/httpListeners/0/properties/sslCertificate",
                "httpListeners/http has no `sslCertificate`",
                "sslCertificates/...",
            )],
        ),
    ]);
}

fn bad_label() -> Expected {
    (
        ERROR,
        "InvalidPropertyValue",
        "/properties/httpListeners/0/properties/hostNames/1",
        "both `*` and `?`",
        "write",
    )
}

#[test]
fn frontends() {
    let at = FRONTEND;
    let address = "/properties/frontendIPConfigurations/0/properties/privateIPAddress";
    let public = json!({ "publicIPAddress": { "id": "/x/publicIPAddresses/p" } });
    let another = |name: &str| json!({ "name": name, "properties": public });
    check(vec![
        (
            vec![(at, json!({}))],
            vec![(
                WARNING,
                "FeatureNotServed",
                "/properties/frontendIPConfigurations/0",
                "it binds all IPv4 addresses",
                "privateIPAddress",
            )],
        ),
        (
            vec![(at, json!({ "privateIPAddress": "localhost" }))],
            vec![(
                ERROR,
                "InvalidPropertyValue",
                address,
                "is no address",
                "IPv4 or IPv6",
            )],
        ),
        (
            vec![(at, json!({ "privateIPAllocationMethod": "static" }))],
            vec![(
                ERROR,
                "MissingProperty",
                address,
                "has no `privateIPAddress`",
                "to bind",
            )],
        ),
        (
            vec![
                (at, public.clone()),
                ("/properties/frontendIPConfigurations/-", another("v6")),
                ("/properties/frontendIPConfigurations/-", another("v7")),
            ],
            vec![
                (
                    WARNING,
                    "AddressFamilyGuessed",
                    "/properties/frontendIPConfigurations/1/properties/publicIPAddress",
                    "binds all IPv6 addresses",
                    "privateIPAddress",
                ),
                (
                    ERROR,
                    "TooManyPublicFrontends",
                    "/properties/frontendIPConfigurations/2/properties/publicIPAddress",
                    "one public frontend too many",
                    "at most two",
                ),
            ],
        ),
    ]);
}

#[test]
fn certificates() {
    let cert = "/properties/sslCertificates/0/properties";
    let data = "/properties/sslCertificates/0/properties/data";
    let uri = "/properties/sslCertificates/0/properties/keyVaultSecretId";
    let vault = json!({ "keyVaultSecretId": "https://v.vault.azure.net/secrets/s" });
    check(vec![
        (
            vec![(cert, json!({}))],
            vec![(
                ERROR,
                "MissingProperty",
                data,
                "neither `data` nor",
                "file:",
            )],
        ),
        (
            vec![(cert, json!({ "data": "geheim!" }))],
            vec![(
                ERROR,
                "InvalidCertificateData",
                data,
                "a foreign character at 6",
                "base64 -w0",
            )],
        ),
        (
            vec![(cert, json!({ "data": "" }))],
            vec![(ERROR, "InvalidCertificateData", data, "is empty", "base64")],
        ),
        (
            vec![(
                cert,
                json!({ "data": "AAEC", "keyVaultSecretId": "file:///a" }),
            )],
            vec![(ERROR, "ConflictingProperties", uri, "both", "keep one")],
        ),
        (
            vec![(cert, vault.clone())],
            vec![(
                ERROR,
                "KeyVaultNotServed",
                uri,
                "only files are read",
                "file:///path",
            )],
        ),
        // Nobody needs this one.
        (
            vec![(
                "/properties/sslCertificates/-",
                json!({ "name": "x", "properties": vault }),
            )],
            vec![(
                WARNING,
                "KeyVaultNotServed",
                "/properties/sslCertificates/1/properties/keyVaultSecretId",
                "sslCertificates/x",
                "file:///path",
            )],
        ),
        (
            vec![(cert, json!({ "keyVaultSecretId": "file:a.pem" }))],
            vec![(
                ERROR,
                "InvalidPropertyValue",
                uri,
                "it is relative",
                "file:///path",
            )],
        ),
    ]);
}

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
            vec![(
                "/properties/probes/0/properties/protocol",
                json!("webSocket"),
            )],
            vec![(
                ERROR,
                "ProbeProtocolNotServed",
                "/properties/probes/0/properties/protocol",
                "WebSocket",
                "`Http` or `Https`",
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
fn rules() {
    let r1 = "/properties/requestRoutingRules/0/properties";
    let r2 = "/properties/requestRoutingRules/1/properties";
    let of = |base: &str, property: &str, value: Value| {
        let pointer: &'static str = String::leak(format!("{base}/{property}"));
        (pointer, value)
    };
    let priority = "/properties/requestRoutingRules/1/properties/priority";
    let redirect = "/properties/requestRoutingRules/0/properties/redirectConfiguration";
    let redirects = (
        "/properties/redirectConfigurations",
        json!([{ "name": "r", "properties": { "redirectType": "found", "targetUrl": "https://a" } }]),
    );
    let no_redirects = (
        WARNING,
        "FeatureNotServed",
        "/properties/redirectConfigurations",
        "nothing is redirected",
        "remove",
    );
    check(vec![
        (
            vec![of(r1, "priority", json!(5)), of(r2, "priority", json!(5))],
            vec![(
                ERROR,
                "DuplicatePriority",
                priority,
                "requestRoutingRules/r1 and requestRoutingRules/r2 both have the priority 5",
                "of its own",
            )],
        ),
        (
            vec![of(r1, "priority", json!(5))],
            vec![(
                WARNING,
                "ApplicationGatewayRequestRoutingRulePartialPriorityDefined",
                priority,
                "r2 has no priority",
                "or none",
            )],
        ),
        (
            vec![
                of(r1, "priority", json!(1)),
                of(r2, "priority", json!(20_001)),
            ],
            vec![(
                ERROR,
                "InvalidPropertyValue",
                priority,
                "is 20001",
                "1 to 20000",
            )],
        ),
        (
            vec![of(r2, "httpListener", json!({ "id": "http" }))],
            vec![
                (
                    WARNING,
                    "ListenerWithoutRule",
                    "/properties/httpListeners/1",
                    "https",
                    "add it",
                ),
                (
                    ERROR,
                    "ListenerHasSeveralRules",
                    "/properties/requestRoutingRules/1/properties/httpListener",
                    "both take the requests of httpListeners/http",
                    "one rule",
                ),
            ],
        ),
        (
            vec![
                redirects.clone(),
                of(r1, "redirectConfiguration", json!({ "id": "r" })),
            ],
            vec![
                no_redirects,
                (
                    ERROR,
                    "ConflictingProperties",
                    redirect,
                    "a backend and a redirect",
                    "keep one",
                ),
            ],
        ),
        (
            vec![
                redirects,
                of(r1, "redirectConfiguration", json!({ "id": "r" })),
                of(r1, "backendAddressPool", Value::Null),
                of(r1, "backendHttpSettings", Value::Null),
            ],
            vec![
                no_redirects,
                (
                    WARNING,
                    "FeatureNotServed",
                    redirect,
                    "its listener answers 404",
                    "backendAddressPool",
                ),
            ],
        ),
        (
            vec![of(r1, "backendAddressPool", Value::Null)],
            vec![(
                ERROR,
                "MissingProperty",
                "/properties/requestRoutingRules/0/properties/backendAddressPool",
                "requestRoutingRules/r1 has no `backendAddressPool`",
                "name the pool",
            )],
        ),
    ]);
}

#[test]
fn path_maps() {
    let rule = (
        "/properties/requestRoutingRules/0/properties",
        json!({
            "ruleType": "PathBasedRouting",
            "httpListener": { "id": "http" }, "urlPathMap": { "id": "map" }
        }),
    );
    let map = |properties: Value| {
        (
            "/properties/urlPathMaps",
            json!([{ "name": "map", "properties": properties }]),
        )
    };
    let at = "/properties/requestRoutingRules/0/properties/urlPathMap";
    let default = json!({
        "defaultBackendAddressPool": { "id": "web" },
        "defaultBackendHttpSettings": { "id": "plain" }
    });
    check(vec![
        (
            vec![rule.clone(), map(default)],
            vec![(
                WARNING,
                "FeatureNotServed",
                at,
                "all its requests go to the default of urlPathMaps/map",
                "one Basic rule",
            )],
        ),
        (
            vec![
                rule,
                map(json!({ "defaultBackendAddressPool": { "id": "web" } })),
            ],
            vec![
                (
                    WARNING,
                    "FeatureNotServed",
                    at,
                    "its listener answers 404",
                    "a default pool",
                ),
                (
                    ERROR,
                    "ApplicationGatewayUrlPathMapMustSpecifyDefaultBackendHttpSettings",
                    "/properties/urlPathMaps/0/properties/defaultBackendHttpSettings",
                    "urlPathMaps/map has neither",
                    "requests go there",
                ),
            ],
        ),
    ]);
}

#[test]
fn what_is_not_served_is_warned_of() {
    let rows = [
        ("/properties/enableHttp2", json!(true)),
        (
            "/properties/sslPolicy",
            json!({ "policyType": "Predefined" }),
        ),
        (
            "/properties/autoscaleConfiguration",
            json!({ "minCapacity": 1 }),
        ),
        (
            "/properties/webApplicationFirewallConfiguration",
            json!({ "enabled": true }),
        ),
        ("/properties/sslProfiles", json!([{ "name": "p" }])),
        ("/properties/rewriteRuleSets", json!([{ "name": "r" }])),
        (
            "/properties/gatewayIPConfigurations",
            json!([{ "name": "g" }]),
        ),
        (
            "/properties/privateLinkConfigurations",
            json!([{ "name": "l" }]),
        ),
        ("/properties/listeners", json!([{ "name": "l" }])),
        (
            "/properties/httpListeners/0/properties/webSocket",
            json!({ "origins": [] }),
        ),
        (
            "/properties/backendHttpSettingsCollection/0/properties/cookieBasedAffinity",
            json!("enabled"),
        ),
        ("/zones", json!(["1"])),
        ("/identity", json!({ "type": "UserAssigned" })),
    ];
    for (pointer, value) in rows {
        let found = problems(&vec![(pointer, value)]);
        assert_eq!(found.len(), 1, "{pointer}: {found:#?}");
        assert_eq!(found[0].severity, WARNING);
        assert_eq!(
            (found[0].code, &*found[0].pointer),
            ("FeatureNotServed", pointer)
        );
    }
}
