//! Rules, path maps, and what is not served.

use serde_json::{Value, json};

use super::{ERROR, WARNING, check, problems};

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
