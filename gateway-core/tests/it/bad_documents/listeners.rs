//! Listeners, frontends and certificates.

use serde_json::{Value, json};

use super::{ERROR, Expected, WARNING, check};

const HTTP: &str = "/properties/httpListeners/0/properties";
const FRONTEND: &str = "/properties/frontendIPConfigurations/0/properties";

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
                ("/properties/httpListeners/-", second.clone()),
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
            vec![
                ("/properties/httpListeners/-", second.clone()),
                (
                    "/properties/httpListeners/2/properties/hostName",
                    json!("A.b"),
                ),
                (host, json!("a.B")),
            ],
            vec![
                without_rule,
                (
                    WARNING,
                    "HostNameTakenTwice",
                    "/properties/httpListeners/2",
                    "httpListeners/http and httpListeners/x share a host name",
                    "whose rule comes first",
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
