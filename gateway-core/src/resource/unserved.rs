//! What documents may hold and this gateway does not serve: firewall, private link, layer 4 and the
//! newest collections. Read so that no real document is refused.

use super::Reference;
use super::define::{objects, resources};
use super::pointer::Pointer;
use super::read::Read;
use super::tree::Node;
use crate::config::Collector;

/// JSON that is kept as it was written.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(value_type = Object))]
pub struct Opaque(pub serde_json::Value);

impl Read for Opaque {
    fn read(node: &Node, _: &Pointer<'_>, _: &mut Collector<'_>) -> Option<Self> {
        Some(Self(node.to_value()))
    }
}

/// A resource that is kept as it was written, but for its name.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OpaqueResource {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<Opaque>,
}

impl Read for OpaqueResource {
    fn read(node: &Node, at: &Pointer<'_>, problems: &mut Collector<'_>) -> Option<Self> {
        let shape = super::read::Shape {
            known: &["name", "properties"],
            read_only: &["id", "etag", "type"],
            inner: &[],
        };
        let fields = super::read::Fields::of(node, &shape, at, problems)?;
        Some(Self {
            name: fields.read("name", at, problems),
            properties: fields.read("properties", at, problems),
        })
    }

    fn placeholder() -> Option<Self> {
        Some(Self::default())
    }
}

impl super::Resource for OpaqueResource {
    type Properties = Option<Opaque>;

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn properties(&self) -> &Option<Opaque> {
        &self.properties
    }
}

resources! {
    /// `privateLinkConfigurations[]`.
    PrivateLinkConfiguration(PrivateLinkConfigurationProperties);
    /// `privateLinkConfigurations[].properties.ipConfigurations[]`.
    PrivateLinkIpConfiguration(PrivateLinkIpConfigurationProperties);
    /// `backendSettingsCollection[]`: layer 4.
    BackendSettings(BackendSettingsProperties);
    /// `listeners[]`: layer 4.
    Layer4Listener(Layer4ListenerProperties);
    /// `routingRules[]`: layer 4.
    Layer4RoutingRule(Layer4RoutingRuleProperties);
}

objects! {
    /// Properties of a private link.
    PrivateLinkConfigurationProperties {
        /// Its addresses.
        ip_configurations: Vec<PrivateLinkIpConfiguration> = "ipConfigurations",
    }
    /// Properties of a private link's address.
    PrivateLinkIpConfigurationProperties {
        /// The address.
        private_ip_address: String = "privateIPAddress",
        /// Static or dynamic.
        private_ip_allocation_method: super::AllocationMethod = "privateIPAllocationMethod",
        /// The subnet.
        subnet: Reference = "subnet",
        /// Whether it is the first.
        primary: bool = "primary",
    }
    /// Properties of layer 4 settings.
    BackendSettingsProperties {
        /// The members' port.
        port: u32 = "port",
        /// Tcp or Tls.
        protocol: String = "protocol",
        /// Seconds of silence.
        timeout: u32 = "timeout",
        /// A custom probe.
        probe: Reference = "probe",
        /// Roots.
        trusted_root_certificates: Vec<Reference> = "trustedRootCertificates",
        /// The server's name.
        host_name: String = "hostName",
        /// The server's name is the member's.
        pick_host_name_from_backend_address: bool = "pickHostNameFromBackendAddress",
        /// PROXY protocol towards members.
        enable_l4_client_ip_preservation: bool = "enableL4ClientIpPreservation",
    }
    /// Properties of a layer 4 listener.
    Layer4ListenerProperties {
        /// The address.
        frontend_ip_configuration: Reference = "frontendIPConfiguration",
        /// The port.
        frontend_port: Reference = "frontendPort",
        /// Tcp or Tls.
        protocol: String = "protocol",
        /// The certificate.
        ssl_certificate: Reference = "sslCertificate",
        /// Client authentication and TLS policy.
        ssl_profile: Reference = "sslProfile",
        /// Server names.
        host_names: Vec<String> = "hostNames",
    }
    /// Properties of a layer 4 rule.
    Layer4RoutingRuleProperties {
        /// Basic.
        rule_type: String = "ruleType",
        /// 1 first.
        priority: u32 = "priority",
        /// Where to.
        backend_address_pool: Reference = "backendAddressPool",
        /// How.
        backend_settings: Reference = "backendSettings",
        /// Whose connections.
        listener: Reference = "listener",
    }
    /// `webApplicationFirewallConfiguration`.
    WebApplicationFirewallConfiguration {
        /// On or off.
        enabled: bool = "enabled",
        /// Detection or Prevention.
        firewall_mode: String = "firewallMode",
        /// OWASP.
        rule_set_type: String = "ruleSetType",
        /// 3.2 and so on.
        rule_set_version: String = "ruleSetVersion",
        /// Groups that are off.
        disabled_rule_groups: Opaque = "disabledRuleGroups",
        /// Bodies are inspected.
        request_body_check: bool = "requestBodyCheck",
        /// The longest body, in bytes.
        max_request_body_size: u32 = "maxRequestBodySize",
        /// The longest body, in KiB.
        max_request_body_size_in_kb: u32 = "maxRequestBodySizeInKb",
        /// The longest file, in MiB.
        file_upload_limit_in_mb: u32 = "fileUploadLimitInMb",
        /// What is not inspected.
        exclusions: Opaque = "exclusions",
    }
}
