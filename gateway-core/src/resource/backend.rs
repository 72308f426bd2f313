//! Where requests go: pools, HTTP settings, probes.

use super::define::{choices, objects, resources};
use super::frontend::HttpProtocol;
use super::{BackendHttpSettingsWebSocket, Reference};

resources! {
    /// `backendAddressPools[]`: members that share the load.
    BackendAddressPool(BackendAddressPoolProperties);
    /// `backendHttpSettingsCollection[]`: how a pool is spoken to.
    BackendHttpSettings(BackendHttpSettingsProperties);
    /// `probes[]`: how members are asked for their health.
    ProbeResource(ProbeProperties);
    /// `loadDistributionPolicies[]`: how a member is chosen.
    LoadDistributionPolicy(LoadDistributionPolicyProperties);
    /// `loadDistributionPolicies[].properties.loadDistributionTargets[]`: a pool's share.
    LoadDistributionTarget(LoadDistributionTargetProperties);
}

objects! {
    /// Properties of a backend pool.
    BackendAddressPoolProperties [read only: "backendIPConfigurations"] {
        /// The members. None is legal: requests get 502.
        backend_addresses: Vec<BackendAddress> = "backendAddresses",
    }
    /// One member: `fqdn` or `ipAddress`.
    BackendAddress {
        /// A name that DNS resolves.
        fqdn: String = "fqdn",
        /// An IPv4 or IPv6 address.
        ip_address: String = "ipAddress",
        /// Extension: the member's own port, instead of the HTTP settings'.
        port: u32 = "port",
        /// Extension: its share among the members, 1 unless given.
        weight: u32 = "weight",
    }
    /// Properties of HTTP settings.
    BackendHttpSettingsProperties {
        /// 1 to 65535.
        port: u32 = "port",
        /// Plain or TLS.
        protocol: HttpProtocol = "protocol",
        /// Stickiness by cookie. Not served yet.
        cookie_based_affinity: Switch = "cookieBasedAffinity",
        /// The affinity cookie's name. Not served yet.
        affinity_cookie_name: String = "affinityCookieName",
        /// Seconds until the answer must begin, 1 to 86400; 30 unless given.
        request_timeout: u32 = "requestTimeout",
        /// A custom probe: one of `probes`.
        probe: Reference = "probe",
        /// Whether probing is enabled; set by Azure, without effect there and here.
        probe_enabled: bool = "probeEnabled",
        /// Exact backend certificates of version 1. Not served.
        authentication_certificates: Vec<Reference> = "authenticationCertificates",
        /// Roots that an Https backend must chain to: `trustedRootCertificates`.
        trusted_root_certificates: Vec<Reference> = "trustedRootCertificates",
        /// What becomes of what is open at a member that is removed.
        connection_draining: ConnectionDraining = "connectionDraining",
        /// The `Host` that members see, instead of the client's.
        host_name: String = "hostName",
        /// Members see their own FQDN or address as `Host`.
        pick_host_name_from_backend_address: bool = "pickHostNameFromBackendAddress",
        /// Put before the request's path.
        path: String = "path",
        /// One backend connection per client connection. Not served.
        dedicated_backend_connection: bool = "dedicatedBackendConnection",
        /// Whether a member's chain and expiry are verified; true unless given.
        validate_cert_chain_and_expiry: bool = "validateCertChainAndExpiry",
        /// Whether a member's certificate must bear its name; true unless given.
        validate_sni: bool = "validateSNI",
        /// The name sent and verified, whatever the host.
        sni_name: String = "sniName",
        /// Extension: the status when no member can be had, 502 or 503.
        unavailable_status: u32 = "unavailableStatus",
        /// Extension: how WebSockets are looked after.
        web_socket: BackendHttpSettingsWebSocket = "webSocket",
    }
    /// `connectionDraining`; both properties are required.
    ConnectionDraining {
        /// Off means 30 seconds.
        enabled: bool = "enabled",
        /// 1 to 3600 seconds.
        drain_timeout_in_sec: u32 = "drainTimeoutInSec",
    }
    /// Properties of a probe.
    ProbeProperties {
        /// What is spoken.
        protocol: ProbeProtocolChoice = "protocol",
        /// The `Host` asked for; not with `pickHostNameFromBackendHttpSettings`.
        host: String = "host",
        /// Begins with `/`.
        path: String = "path",
        /// Seconds from probe to probe, 1 to 86400; 30 unless given.
        interval: u32 = "interval",
        /// Seconds that one may take, 1 to 86400; 30 unless given.
        timeout: u32 = "timeout",
        /// Failures in a row until a member is down, 1 to 20; 3 unless given.
        unhealthy_threshold: u32 = "unhealthyThreshold",
        /// The host comes from the HTTP settings or the member.
        pick_host_name_from_backend_http_settings: bool = "pickHostNameFromBackendHttpSettings",
        /// As in `pickHostNameFromBackendHttpSettings`, for layer 4. Not served.
        pick_host_name_from_backend_settings: bool = "pickHostNameFromBackendSettings",
        /// So many members are always treated as healthy; 0 unless given.
        min_servers: u32 = "minServers",
        /// Which answers are healthy; not for `WebSocket`, where a valid 101 and a Pong are.
        matches: ProbeHealthMatch = "match",
        /// The probe's own port, 1 to 65535, instead of the member's.
        port: u32 = "port",
        /// PROXY protocol towards members, for layer 4. Not served.
        enable_probe_proxy_protocol_header: bool = "enableProbeProxyProtocolHeader",
        /// Extension: what a probe of `protocol` `WebSocket` offers.
        web_socket: ProbeWebSocket = "webSocket",
    }
    /// Which answers to a probe are healthy.
    ProbeHealthMatch {
        /// A text that the body must hold, at most 4090 characters.
        body: String = "body",
        /// Statuses (`"204"`) and ranges (`"200-399"`).
        status_codes: Vec<String> = "statusCodes",
    }
    /// Extension: how a probe opens a WebSocket.
    ProbeWebSocket {
        /// Offered to the member, which must agree to it.
        subprotocol: String = "subprotocol",
    }
    /// Properties of a load distribution policy.
    LoadDistributionPolicyProperties {
        /// How a member is chosen.
        load_distribution_algorithm: LoadDistributionAlgorithm = "loadDistributionAlgorithm",
        /// Several pools behind one rule. Not served.
        load_distribution_targets: Vec<LoadDistributionTarget> = "loadDistributionTargets",
        /// Extension: seconds, 1 to 3600, over which a member that came back grows into its share;
        /// at once unless given.
        slow_start_in_sec: u32 = "slowStartInSec",
    }
    /// Properties of a pool's share.
    LoadDistributionTargetProperties {
        /// The pool.
        backend_address_pool: Reference = "backendAddressPool",
        /// Its share.
        weight_per_server: u32 = "weightPerServer",
    }
}

choices! {
    /// On or off.
    Switch {
        /// On.
        Enabled = "Enabled",
        /// Off.
        Disabled = "Disabled",
    }
    /// What a probe speaks.
    ProbeProtocolChoice {
        /// HTTP in the clear.
        Http = "Http",
        /// HTTP over TLS.
        Https = "Https",
        /// Layer 4. Not served.
        Tcp = "Tcp",
        /// Layer 4 over TLS. Not served.
        Tls = "Tls",
        /// Extension: a WebSocket handshake and a Ping, over TLS where the HTTP settings say Https.
        WebSocket = "WebSocket",
    }
    /// How a member is chosen among the healthy ones.
    LoadDistributionAlgorithm {
        /// Each in turn.
        RoundRobin = "RoundRobin",
        /// The least busy.
        LeastConnections = "LeastConnections",
        /// By the client's address.
        IpHash = "IpHash",
    }
}
