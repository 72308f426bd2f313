//! The envelope: everything that one document holds.

use std::collections::BTreeMap;

use super::define::objects;
use super::pointer::Pointer;
use super::read::{Fields, Read, Shape};
use super::tree::Node;
use super::*;
use crate::config::Collector;

/// `Microsoft.Network/applicationGateways`: the whole document (reference section 1).
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApplicationGateway {
    /// The gateway's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where Azure runs it. Without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The user's own labels; names keep their case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// Availability zones. Not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones: Option<Vec<String>>,
    /// Managed identity. Not served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Opaque>,
    /// What it is.
    pub properties: ApplicationGatewayProperties,
}

impl ApplicationGateway {
    /// Reads the whole tree, noting every type error.
    pub(crate) fn read(tree: &JsonTree, problems: &mut Collector<'_>) -> Self {
        <Self as Read>::read(&tree.root, &Pointer::ROOT, problems).unwrap_or_default()
    }
}

impl Read for ApplicationGateway {
    fn read(node: &Node, at: &Pointer<'_>, problems: &mut Collector<'_>) -> Option<Self> {
        let shape = Shape {
            known: &[
                "name",
                "location",
                "tags",
                "zones",
                "identity",
                "properties",
            ],
            // The last six belong to the template around a resource.
            read_only: &[
                "id",
                "type",
                "etag",
                "systemData",
                "$schema",
                "apiVersion",
                "comments",
                "condition",
                "dependsOn",
                "metadata",
            ],
            inner: ApplicationGatewayProperties::PROPERTIES,
        };
        let fields = Fields::of(node, &shape, at, problems)?;
        Some(Self {
            name: fields.read("name", at, problems),
            location: fields.read("location", at, problems),
            tags: fields.read("tags", at, problems),
            zones: fields.read("zones", at, problems),
            identity: fields.read("identity", at, problems),
            properties: fields.read("properties", at, problems).unwrap_or_default(),
        })
    }
}

objects! {
    /// `properties` of the gateway.
    ApplicationGatewayProperties [
        read only: "operationalState",
        "resourceGuid",
        "defaultPredefinedSslPolicy",
        "privateEndpointConnections"
    ] {
        /// Size and tier. Any is accepted; all of this gateway is served whatever it names.
        sku: Sku = "sku",
        /// Azure's scaling. Not served.
        autoscale_configuration: AutoscaleConfiguration = "autoscaleConfiguration",
        /// Azure's subnet. Not served, and not required.
        gateway_ip_configurations: Vec<GatewayIpConfiguration> = "gatewayIPConfigurations",
        /// Addresses to listen on.
        frontend_ip_configurations: Vec<FrontendIpConfiguration> = "frontendIPConfigurations",
        /// Ports to listen on.
        frontend_ports: Vec<FrontendPort> = "frontendPorts",
        /// Listeners' certificates.
        ssl_certificates: Vec<SslCertificate> = "sslCertificates",
        /// Exact backend certificates of version 1. Not served.
        authentication_certificates: Vec<AuthenticationCertificate> = "authenticationCertificates",
        /// Backends' roots.
        trusted_root_certificates: Vec<TrustedRootCertificate> = "trustedRootCertificates",
        /// Clients' roots. Not served yet.
        trusted_client_certificates: Vec<TrustedClientCertificate> = "trustedClientCertificates",
        /// Client authentication and TLS policies. Not served yet.
        ssl_profiles: Vec<SslProfile> = "sslProfiles",
        /// The gateway's TLS policy. Not served yet.
        ssl_policy: SslPolicy = "sslPolicy",
        /// How members are asked for their health.
        probes: Vec<ProbeResource> = "probes",
        /// Members that share the load.
        backend_address_pools: Vec<BackendAddressPool> = "backendAddressPools",
        /// How pools are spoken to.
        backend_http_settings_collection: Vec<BackendHttpSettings> = "backendHttpSettingsCollection",
        /// Where requests come in.
        http_listeners: Vec<HttpListener> = "httpListeners",
        /// Pools by path. Only defaults are served yet.
        url_path_maps: Vec<UrlPathMap> = "urlPathMaps",
        /// Which listener's requests go to which pool.
        request_routing_rules: Vec<RequestRoutingRule> = "requestRoutingRules",
        /// Changes to headers and URLs. Not served yet.
        rewrite_rule_sets: Vec<RewriteRuleSet> = "rewriteRuleSets",
        /// Answers that send clients elsewhere. Not served yet.
        redirect_configurations: Vec<RedirectConfiguration> = "redirectConfigurations",
        /// Pages for answers that the gateway makes. Not served yet.
        custom_error_configurations: Vec<CustomErrorConfiguration> = "customErrorConfigurations",
        /// HTTP/2 towards clients. Not served yet.
        enable_http2: bool = "enableHttp2",
        /// FIPS mode. Not served.
        enable_fips: bool = "enableFips",
        /// Buffering. Bodies are always streamed.
        global_configuration: GlobalConfiguration = "globalConfiguration",
        /// Web application firewall. Not served.
        web_application_firewall_configuration: WebApplicationFirewallConfiguration =
            "webApplicationFirewallConfiguration",
        /// Web application firewall. Not served.
        firewall_policy: Reference = "firewallPolicy",
        /// Web application firewall. Not served.
        force_firewall_policy_association: bool = "forceFirewallPolicyAssociation",
        /// Private link. Not served.
        private_link_configurations: Vec<PrivateLinkConfiguration> = "privateLinkConfigurations",
        /// How a member is chosen.
        load_distribution_policies: Vec<LoadDistributionPolicy> = "loadDistributionPolicies",
        /// Layer 4. Not served.
        backend_settings_collection: Vec<BackendSettings> = "backendSettingsCollection",
        /// Layer 4. Not served.
        listeners: Vec<Layer4Listener> = "listeners",
        /// Layer 4. Not served.
        routing_rules: Vec<Layer4RoutingRule> = "routingRules",
        /// Token validation. Not served.
        entra_jwt_validation_configs: Vec<OpaqueResource> = "entraJWTValidationConfigs",
        /// Rules by conditions. Not served.
        advanced_routing_maps: Vec<OpaqueResource> = "advancedRoutingMaps",
        /// Extension: what a client may take.
        limits: LimitsResource = "limits",
        /// Extension: addresses and networks whose `X-Forwarded-For` is believed.
        trusted_proxies: Vec<String> = "trustedProxies",
    }
    /// `sku`.
    Sku {
        /// `Standard_v2` and so on.
        name: String = "name",
        /// `Standard_v2` and so on.
        tier: String = "tier",
        /// Instances. Without effect.
        capacity: u32 = "capacity",
        /// Generation. Without effect.
        family: String = "family",
    }
    /// `autoscaleConfiguration`.
    AutoscaleConfiguration {
        /// Instances at least.
        min_capacity: u32 = "minCapacity",
        /// Instances at most.
        max_capacity: u32 = "maxCapacity",
    }
    /// `globalConfiguration`.
    GlobalConfiguration {
        /// Requests are read whole before they are sent on. Not served: they are streamed.
        enable_request_buffering: bool = "enableRequestBuffering",
        /// Answers are read whole before they are sent on. Not served: they are streamed.
        enable_response_buffering: bool = "enableResponseBuffering",
        /// Answers made by the gateway bear no `Server`.
        disable_default_server_header_in_response: bool = "disableDefaultServerHeaderInResponse",
    }
    /// `limits`, an extension: what a client may take. 0 is not allowed; absent means the default.
    LimitsResource {
        /// Seconds until a request's head, or a TLS handshake, must be complete; 60 unless given.
        request_head_timeout_in_sec: u32 = "requestHeadTimeoutInSec",
        /// The longest silence inside a request's body, in seconds; 60 unless given.
        request_body_timeout_in_sec: u32 = "requestBodyTimeoutInSec",
        /// Seconds that a connection may wait for its next request; 75 unless given.
        keep_alive_timeout_in_sec: u32 = "keepAliveTimeoutInSec",
        /// The longest request head, 8192 to 1048576 bytes; 32768 unless given.
        max_request_head_bytes: u32 = "maxRequestHeadBytes",
        /// The most header fields of a request, 8 to 4096; 128 unless given.
        max_request_headers: u32 = "maxRequestHeaders",
        /// The most client connections at once; unbounded unless given.
        max_connections: u32 = "maxConnections",
        /// The most WebSocket handshakes a second; unbounded unless given.
        max_handshakes_per_second: u32 = "maxHandshakesPerSecond",
        /// The most open WebSockets of one client address; unbounded unless given.
        max_tunnels_per_client: u32 = "maxTunnelsPerClient",
    }
}
