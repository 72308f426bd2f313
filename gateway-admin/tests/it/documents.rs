//! The document that most tests begin with, and what is put into it.

use serde_json::json;

use crate::fake::Answer;

/// In the document, and never in an answer.
pub(crate) const SECRET: &str = "hunter2-the-password";
pub(crate) const KEY: &str = "c2VjcmV0LWtleS1tYXRlcmlhbA==";

/// Two pools, one of them unused, and a certificate with secrets.
pub(crate) fn document() -> String {
    json!({
        "name": "gw",
        "properties": {
            "frontendIPConfigurations": [
                { "name": "local", "properties": { "privateIPAddress": "127.0.0.1" } }
            ],
            "frontendPorts": [{ "name": "p", "properties": { "port": 8080 } }],
            "sslCertificates": [
                { "name": "cert", "properties": { "data": KEY, "password": SECRET } }
            ],
            "backendAddressPools": [
                { "name": "web", "properties": { "backendAddresses": [{ "ipAddress": "10.0.0.4" }] } },
                { "name": "old", "properties": { "backendAddresses": [] } }
            ],
            "backendHttpSettingsCollection": [
                { "name": "plain", "properties": { "port": 80, "protocol": "Http" } }
            ],
            "httpListeners": [{ "name": "http", "properties": {
                "frontendIPConfiguration": { "id": "local" },
                "frontendPort": { "id": "p" },
                "protocol": "Http"
            } }],
            "requestRoutingRules": [{ "name": "app", "properties": {
                "ruleType": "Basic",
                "httpListener": { "id": "http" },
                "backendAddressPool": { "id": "web" },
                "backendHttpSettings": { "id": "plain" }
            } }]
        }
    })
    .to_string()
}

pub(crate) const WEB: &str = "/v1/backendAddressPools/web";

pub(crate) fn pool(address: &str) -> String {
    json!({ "properties": { "backendAddresses": [{ "ipAddress": address }] } }).to_string()
}

pub(crate) fn address(answer: &Answer) -> String {
    let body = answer.json();
    let resource = body.get("resource").unwrap_or(&body);
    let address = &resource["properties"]["backendAddresses"][0]["ipAddress"];
    address.as_str().unwrap_or_default().to_owned()
}
