//! Examples of what may be sent; together they are a document that can be sent.

use gateway_core::resource::Collection;
use serde_json::{Map, Value, json};

/// A whole document: a listener, and a rule from it to a probed pool.
pub(super) fn whole() -> Value {
    let mut properties = Map::new();
    for &collection in Collection::ALL {
        if let Some(example) = resource(collection) {
            let wire = collection.wire_name().to_owned();
            properties.insert(wire, json!([example]));
        }
    }
    json!({ "name": "example", "properties": properties })
}

/// One resource; `None` for collections that are read and not served.
pub(super) fn resource(collection: Collection) -> Option<Value> {
    let wire = collection.wire_name();
    let (name, properties) = match wire {
        "frontendIPConfigurations" => ("public", json!({ "privateIPAddress": "127.0.0.1" })),
        "frontendPorts" => ("port80", json!({ "port": 80 })),
        "sslCertificates" => (
            "wildcard",
            json!({ "keyVaultSecretId": "file:///etc/gateway/tls/wildcard.pem" }),
        ),
        "trustedRootCertificates" => (
            "internal",
            json!({ "keyVaultSecretId": "file:///etc/gateway/tls/internal-ca.pem" }),
        ),
        "probes" => (
            "health",
            json!({
                "protocol": "Http", "host": "app.example", "path": "/health",
                "interval": 5, "timeout": 2, "unhealthyThreshold": 2,
            }),
        ),
        "backendAddressPools" => (
            "web",
            json!({
                "backendAddresses": [
                    { "ipAddress": "10.0.0.4" },
                    { "fqdn": "web2.internal.example", "port": 8081 },
                ],
            }),
        ),
        "backendHttpSettingsCollection" => (
            "plain",
            json!({
                "port": 8080, "protocol": "Http", "requestTimeout": 30,
                "probe": reference("probes/health"),
            }),
        ),
        "httpListeners" => (
            "http",
            json!({
                "frontendIPConfiguration": reference("frontendIPConfigurations/public"),
                "frontendPort": reference("frontendPorts/port80"),
                "protocol": "Http", "hostName": "app.example",
            }),
        ),
        "requestRoutingRules" => (
            "app",
            json!({
                "ruleType": "Basic", "priority": 100,
                "httpListener": reference("httpListeners/http"),
                "backendAddressPool": reference("backendAddressPools/web"),
                "backendHttpSettings": reference("backendHttpSettingsCollection/plain"),
            }),
        ),
        _ => return None,
    };
    Some(json!({ "name": name, "properties": properties }))
}

fn reference(id: &str) -> Value {
    json!({ "id": id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::config::parse;
    use gateway_core::resource::JsonTree;

    #[test]
    fn the_examples_are_a_document_that_can_be_sent() {
        let tree = JsonTree::from_value(&whole()).unwrap();
        let parsed = parse(&tree).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(parsed.config.rules.len(), 1);
    }
}
