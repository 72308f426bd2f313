//! Gateway documents, as an operator would write them.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

/// A document under construction: one frontend address, and what scenarios add.
#[derive(Debug, Clone)]
pub(crate) struct Document(Value);

impl Document {
    pub(crate) fn new() -> Self {
        Self(json!({
            "name": "conformance",
            "properties": {
                "frontendIPConfigurations": [{
                    "name": "loopback",
                    "properties": { "privateIPAddress": "127.0.0.1" },
                }],
                "frontendPorts": [],
                "sslCertificates": [],
                "trustedRootCertificates": [],
                "probes": [],
                "backendAddressPools": [],
                "backendHttpSettingsCollection": [],
                "httpListeners": [],
                "requestRoutingRules": [],
            },
        }))
    }

    /// One that is written already.
    pub(crate) fn from_json(document: Value) -> Self {
        Self(document)
    }

    /// A property of the gateway itself.
    pub(crate) fn set(mut self, property: &str, value: Value) -> Self {
        self.0["properties"][property] = value;
        self
    }

    /// A member of a collection.
    pub(crate) fn with(mut self, collection: &str, name: &str, properties: Value) -> Self {
        let member = json!({ "name": name, "properties": properties });
        if let Some(members) = self.0["properties"][collection].as_array_mut() {
            members.push(member);
        }
        self
    }

    /// A plain listener on `port`, and the rule that ties it to `pool` and `settings`.
    pub(crate) fn http(self, port: u16, pool: &str, settings: &str) -> Self {
        self.http_named("plain", port, json!({}), pool, settings)
    }

    /// One pool of `members` behind a plain listener on `port`; the probe of that name asks them.
    pub(crate) fn serve(
        self,
        port: u16,
        members: &[SocketAddr],
        (name, probe): (&str, Value),
        settings: Value,
    ) -> Self {
        self.with("probes", name, probe)
            .with("backendHttpSettingsCollection", "settings", settings)
            .pool("pool", members)
            .http(port, "pool", "settings")
    }

    /// [`http`](Self::http) by this name, with more properties of the listener.
    pub(crate) fn http_named(
        self,
        name: &str,
        port: u16,
        mut extra: Value,
        pool: &str,
        settings: &str,
    ) -> Self {
        extra["protocol"] = json!("Http");
        self.listen(name, port, extra, pool, settings)
    }

    /// The same over TLS, with the certificate and key in `pem`.
    pub(crate) fn https(self, port: u16, pem: &Path, pool: &str, settings: &str) -> Self {
        self.https_named("tls", port, json!({}), pem, pool, settings)
    }

    /// The same by this name, with more properties of the listener.
    pub(crate) fn https_named(
        self,
        name: &str,
        port: u16,
        mut extra: Value,
        pem: &Path,
        pool: &str,
        settings: &str,
    ) -> Self {
        let file = json!({ "keyVaultSecretId": format!("file://{}", pem.display()) });
        extra["protocol"] = json!("Https");
        extra["sslCertificate"] = json!({ "id": "sslCertificates/certificate" });
        self.with("sslCertificates", "certificate", file)
            .listen(name, port, extra, pool, settings)
    }

    fn listen(self, name: &str, port: u16, mut extra: Value, pool: &str, settings: &str) -> Self {
        extra["frontendIPConfiguration"] = json!({ "id": "frontendIPConfigurations/loopback" });
        extra["frontendPort"] = json!({ "id": format!("frontendPorts/{name}") });
        let rule = json!({
            "ruleType": "Basic",
            "httpListener": { "id": format!("httpListeners/{name}") },
            "backendAddressPool": { "id": format!("backendAddressPools/{pool}") },
            "backendHttpSettings": { "id": format!("backendHttpSettingsCollection/{settings}") },
        });
        self.with("frontendPorts", name, json!({ "port": port }))
            .with("httpListeners", name, extra)
            .with("requestRoutingRules", name, rule)
    }

    /// Lets a policy with these properties choose the targets of the rule of that name.
    pub(crate) fn balanced(mut self, rule: &str, properties: Value) -> Self {
        let policy = json!([{ "name": "policy", "properties": properties }]);
        self.0["properties"]["loadDistributionPolicies"] = policy;
        let rules = self.0["properties"]["requestRoutingRules"].as_array_mut();
        for written in rules.into_iter().flatten() {
            if written["name"] == rule {
                written["properties"]["loadDistributionPolicy"] =
                    json!({ "id": "loadDistributionPolicies/policy" });
            }
        }
        self
    }

    pub(crate) fn pool(self, name: &str, members: &[SocketAddr]) -> Self {
        self.with("backendAddressPools", name, pool(members))
    }

    pub(crate) fn into_json(self) -> Value {
        self.0
    }
}

/// A pool's properties.
pub(crate) fn pool(members: &[SocketAddr]) -> Value {
    let members = members
        .iter()
        .map(|member| json!({ "ipAddress": member.ip(), "port": member.port() }));
    json!({ "backendAddresses": members.collect::<Vec<_>>() })
}

/// Settings for plain backends with the probe of that name.
pub(crate) fn plain_settings(probe: &str) -> Value {
    json!({
        // Every member brings its own port.
        "port": 80,
        "protocol": "Http",
        "requestTimeout": 5,
        "probe": { "id": format!("probes/{probe}") },
    })
}

/// A probe that asks often: out after two failures.
pub(crate) fn quick_probe() -> Value {
    json!({
        "protocol": "Http",
        "host": "backend.test",
        "path": "/health",
        "interval": 1,
        "timeout": 1,
        "unhealthyThreshold": 2,
    })
}

/// A probe that takes no target out: one member always counts as healthy.
pub(crate) fn idle_probe() -> Value {
    json!({
        "protocol": "Http",
        "host": "backend.test",
        "path": "/probe",
        "interval": 3600,
        "timeout": 5,
        "unhealthyThreshold": 20,
        "minServers": 1,
    })
}
