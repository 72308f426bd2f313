//! Where clients come in: frontend addresses and ports, listeners.

use super::define::{choices, objects, resources};
use super::{CustomErrorConfiguration, HttpListenerWebSocket, Reference};

resources! {
    /// `gatewayIPConfigurations[]`: the subnet that Azure puts a gateway into. Not served.
    GatewayIpConfiguration(GatewayIpConfigurationProperties);
    /// `frontendIPConfigurations[]`: an address that listeners listen on.
    FrontendIpConfiguration(FrontendIpConfigurationProperties);
    /// `frontendPorts[]`: a port that listeners listen on.
    FrontendPort(FrontendPortProperties);
    /// `httpListeners[]`: address, port, protocol and hosts.
    HttpListener(HttpListenerProperties);
}

objects! {
    /// Properties of a gateway IP configuration.
    GatewayIpConfigurationProperties {
        /// The subnet.
        subnet: Reference = "subnet",
    }
    /// Properties of a frontend IP configuration: public, private and static, or private and dynamic.
    FrontendIpConfigurationProperties {
        /// A public frontend: all addresses of its family are bound.
        public_ip_address: Reference = "publicIPAddress",
        /// The subnet of a private frontend. Not served.
        subnet: Reference = "subnet",
        /// The address of a private frontend, bound as it is.
        private_ip_address: String = "privateIPAddress",
        /// Whether `privateIPAddress` is fixed.
        private_ip_allocation_method: AllocationMethod = "privateIPAllocationMethod",
        /// Private link. Not served.
        private_link_configuration: Reference = "privateLinkConfiguration",
    }
    /// Properties of a frontend port.
    FrontendPortProperties {
        /// 1 to 65535.
        port: u32 = "port",
    }
    /// Properties of an HTTP listener.
    HttpListenerProperties {
        /// The address: one of `frontendIPConfigurations`.
        frontend_ip_configuration: Reference = "frontendIPConfiguration",
        /// The port: one of `frontendPorts`.
        frontend_port: Reference = "frontendPort",
        /// Plain or TLS.
        protocol: HttpProtocol = "protocol",
        /// The one host that a multi-site listener answers for; not with `hostNames`.
        host_name: String = "hostName",
        /// Up to five hosts or patterns with `*` and `?`; not with `hostName`.
        host_names: Vec<String> = "hostNames",
        /// The certificate, for Https: one of `sslCertificates`.
        ssl_certificate: Reference = "sslCertificate",
        /// Client authentication and TLS policy. Not served.
        ssl_profile: Reference = "sslProfile",
        /// Clients that name no server, or an unknown one, are refused (Https only).
        require_server_name_indication: bool = "requireServerNameIndication",
        /// Pages for answers that the gateway makes. Not served.
        custom_error_configurations: Vec<CustomErrorConfiguration> = "customErrorConfigurations",
        /// Web application firewall. Not served.
        firewall_policy: Reference = "firewallPolicy",
        /// Extension: connections open with a PROXY protocol header, version 1 or 2.
        proxy_protocol: bool = "proxyProtocol",
        /// Extension: which WebSocket handshakes are taken.
        web_socket: HttpListenerWebSocket = "webSocket",
    }
}

choices! {
    /// How a private frontend gets its address.
    AllocationMethod {
        /// `privateIPAddress` is the address.
        Static = "Static",
        /// The platform chooses; here, all addresses are bound.
        Dynamic = "Dynamic",
    }
    /// What is spoken.
    HttpProtocol {
        /// HTTP in the clear.
        Http = "Http",
        /// HTTP over TLS.
        Https = "Https",
    }
}
