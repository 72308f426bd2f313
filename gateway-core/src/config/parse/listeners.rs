//! Frontend addresses, ports and listeners.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::hosts::{host_fault, pattern_fault};
use super::{CONFLICTING_PROPERTIES, Checker, Place, each};
use crate::config::{FrontendAddress, HostNames, HostPattern, Listener, ListenerProtocol};
use crate::name::ListenerName;
use crate::resource::{
    AllocationMethod, Collection, FrontendIpConfigurationProperties, HttpListenerProperties,
    HttpProtocol, shown,
};

/// Frontend addresses, or ports, by name; `None` where there was an error.
type ByName<'g, T> = BTreeMap<&'g str, Option<T>>;

impl<'g> Checker<'g, '_> {
    pub(super) fn listeners(&mut self) -> BTreeMap<ListenerName, Listener> {
        let gateway = self.gateway;
        let addresses = self.frontend_addresses();
        let ports = self.frontend_ports();
        let mut checked = Vec::new();
        let all = gateway.properties.http_listeners.as_ref();
        for (place, properties) in each(Collection::HttpListeners, all) {
            if let Some(listener) = self.listener(&place, properties, &addresses, &ports) {
                checked.push((place, listener));
            }
        }
        self.shared_endpoints(&checked);
        let named = checked.into_iter();
        named
            .map(|(place, listener)| (place.name.into(), listener))
            .collect()
    }

    fn listener(
        &mut self,
        place: &Place<'g>,
        written: &HttpListenerProperties,
        addresses: &ByName<'g, FrontendAddress>,
        ports: &ByName<'g, u16>,
    ) -> Option<Listener> {
        let address = self.required_target(
            place,
            "frontendIPConfiguration",
            written.frontend_ip_configuration.as_ref(),
            Collection::FrontendIpConfigurations,
        );
        let port = self.required_target(
            place,
            "frontendPort",
            written.frontend_port.as_ref(),
            Collection::FrontendPorts,
        );
        let protocol = self.listener_protocol(place, written);
        let hosts = self.listener_hosts(place, written);
        Some(Listener {
            address: addresses.get(address?).copied()??,
            port: ports.get(port?).copied()??,
            protocol: protocol?,
            hosts: hosts?,
            proxy_protocol: written.proxy_protocol.unwrap_or_default(),
        })
    }

    fn listener_protocol(
        &mut self,
        place: &Place<'g>,
        written: &HttpListenerProperties,
    ) -> Option<ListenerProtocol> {
        let certificate = written.ssl_certificate.as_ref();
        let require_sni = written.require_server_name_indication.unwrap_or_default();
        match written.protocol {
            None => {
                self.missing(place, "protocol", "write `Http` or `Https`");
                None
            }
            Some(HttpProtocol::Http) => {
                if certificate.is_some() || require_sni {
                    let unused = if certificate.is_some() {
                        "sslCertificate"
                    } else {
                        "requireServerNameIndication"
                    };
                    self.not_served(
                        place.property(unused),
                        format!("{place} speaks Http, so `{unused}` has no effect"),
                        "write `\"protocol\": \"Https\"`, or remove it",
                    );
                }
                Some(ListenerProtocol::Http)
            }
            Some(HttpProtocol::Https) => {
                let certificate = self.required_target(
                    place,
                    "sslCertificate",
                    certificate,
                    Collection::SslCertificates,
                )?;
                Some(ListenerProtocol::Https {
                    certificate: certificate.into(),
                    require_sni,
                })
            }
        }
    }

    fn listener_hosts(
        &mut self,
        place: &Place<'_>,
        written: &HttpListenerProperties,
    ) -> Option<HostNames> {
        let several = written.host_names.as_deref();
        match (&written.host_name, several) {
            (None, None) => {
                let unreadable = self.problems.has_failed_inside(&place.property("hostName"))
                    || self
                        .problems
                        .has_failed_inside(&place.property("hostNames"));
                (!unreadable).then_some(HostNames::Any)
            }
            // Azure's GET adds an empty list to a listener with one name.
            (Some(name), None | Some([])) => {
                let pointer = place.property("hostName");
                self.host(place, pointer, name, host_fault(name))
                    .map(|pattern| HostNames::Patterns(vec![pattern]))
            }
            (Some(_), Some(_)) => {
                self.problems.error(
                    place.property("hostNames"),
                    CONFLICTING_PROPERTIES,
                    format!("{place} has both `hostName` and `hostNames`"),
                    "keep one of them",
                );
                None
            }
            (None, Some(names)) => self.host_names(place, names),
        }
    }

    fn host_names(&mut self, place: &Place<'_>, names: &[String]) -> Option<HostNames> {
        let pointer = place.property("hostNames");
        if self.problems.has_failed_inside(&pointer) {
            return None;
        }
        if names.is_empty() || names.len() > 5 {
            self.invalid(
                &pointer,
                format!("`hostNames` of {place} holds {} names", names.len()),
                "write one to five names, or leave it out for a listener that takes any host",
            );
            return None;
        }
        let mut patterns = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let at = format!("{pointer}/{index}");
            patterns.extend(self.host(place, at, name, pattern_fault(name)));
        }
        (patterns.len() == names.len()).then_some(HostNames::Patterns(patterns))
    }

    fn host(
        &mut self,
        place: &Place<'_>,
        pointer: String,
        name: &str,
        fault: Option<&str>,
    ) -> Option<HostPattern> {
        let Some(fault) = fault else {
            return Some(HostPattern::new(name));
        };
        self.invalid(
            pointer,
            format!(
                "{place} cannot have the host name `{}`: {fault}",
                shown(name)
            ),
            "write a name like `www.contoso.com`; in `hostNames` also `*.contoso.com`",
        );
        None
    }

    /// What listeners on one address and port must agree on.
    fn shared_endpoints(&mut self, listeners: &[(Place<'_>, Listener)]) {
        let mut endpoints: BTreeMap<_, Vec<&(Place<'_>, Listener)>> = BTreeMap::new();
        for entry in listeners {
            let key = (entry.1.address, entry.1.port);
            let earlier = endpoints.entry(key).or_default();
            if let Some(first) = earlier.first() {
                self.same_protocol(entry, first);
            }
            if entry.1.hosts == HostNames::Any
                && let Some(basic) = earlier.iter().find(|other| other.1.hosts == HostNames::Any)
            {
                self.problems.error(
                    entry.0.pointer(),
                    "DuplicateBasicListener",
                    format!(
                        "{} and {} both take any host on {} port {}",
                        basic.0,
                        entry.0,
                        described(entry.1.address),
                        entry.1.port
                    ),
                    "give one of them a `hostName` or `hostNames`, or another port",
                );
            }
            self.same_host(entry, earlier);
            earlier.push(entry);
        }
    }

    fn same_protocol(&mut self, this: &(Place<'_>, Listener), first: &(Place<'_>, Listener)) {
        let is_plain = |listener: &Listener| listener.protocol == ListenerProtocol::Http;
        let (property, code) = if is_plain(&this.1) != is_plain(&first.1) {
            ("protocol", "MixedProtocolsOnPort")
        } else if this.1.proxy_protocol != first.1.proxy_protocol {
            ("proxyProtocol", "MixedProxyProtocolOnPort")
        } else {
            return;
        };
        self.problems.error(
            this.0.property(property),
            code,
            format!(
                "{} and {} share {} port {}, but differ in `{property}`",
                first.0,
                this.0,
                described(this.1.address),
                this.1.port
            ),
            "make them alike, or give one of them another port",
        );
    }

    fn same_host(&mut self, this: &(Place<'_>, Listener), earlier: &[&(Place<'_>, Listener)]) {
        let HostNames::Patterns(patterns) = &this.1.hosts else {
            return;
        };
        let has = |other: &&&(Place<'_>, Listener)| match &other.1.hosts {
            HostNames::Any => false,
            HostNames::Patterns(others) => others.iter().any(|host| patterns.contains(host)),
        };
        if let Some(other) = earlier.iter().find(has) {
            self.problems.warning(
                this.0.pointer(),
                "HostNameTakenTwice",
                format!("{} and {} share a host name on one port", other.0, this.0),
                "keep it in one of them; the one whose rule comes first gets its requests",
            );
        }
    }

    fn frontend_ports(&mut self) -> ByName<'g, u16> {
        let all = self.gateway.properties.frontend_ports.as_ref();
        let mut ports = BTreeMap::new();
        for (place, properties) in each(Collection::FrontendPorts, all) {
            if properties.port.is_none() {
                self.missing(&place, "port", "write a port from 1 to 65535");
            }
            let port = self.port(&place.property("port"), &place, properties.port);
            ports.insert(place.name, port.map(std::num::NonZeroU16::get));
        }
        ports
    }

    fn frontend_addresses(&mut self) -> ByName<'g, FrontendAddress> {
        let all = self.gateway.properties.frontend_ip_configurations.as_ref();
        let mut public = 0;
        let mut addresses = BTreeMap::new();
        for (place, properties) in each(Collection::FrontendIpConfigurations, all) {
            let public_ip = place.property("publicIPAddress");
            let address = if properties.public_ip_address.is_some()
                || self.problems.has_failed_inside(&public_ip)
            {
                public += 1;
                self.public_address(&place, properties, public)
            } else {
                self.private_address(&place, properties)
            };
            addresses.insert(place.name, address);
        }
        addresses
    }

    /// Nothing in the document tells a public address's family: Azure allows one of each.
    fn public_address(
        &mut self,
        place: &Place<'_>,
        written: &FrontendIpConfigurationProperties,
        count: usize,
    ) -> Option<FrontendAddress> {
        let pointer = place.property("publicIPAddress");
        if written.private_ip_address.is_some() {
            self.problems.error(
                pointer,
                CONFLICTING_PROPERTIES,
                format!("{place} has both a public and a private address"),
                "keep one of them; a gateway may have a frontend of each kind",
            );
            return None;
        }
        match count {
            1 => Some(FrontendAddress::AllIpv4),
            2 => {
                self.problems.warning(
                    pointer,
                    "AddressFamilyGuessed",
                    format!("{place} is the second public frontend: it binds all IPv6 addresses"),
                    "write a `privateIPAddress` where a certain address should be bound",
                );
                Some(FrontendAddress::AllIpv6)
            }
            _ => {
                self.problems.error(
                    pointer,
                    "TooManyPublicFrontends",
                    format!("{place} is one public frontend too many"),
                    "keep at most two, one for IPv4 and one for IPv6",
                );
                None
            }
        }
    }

    fn private_address(
        &mut self,
        place: &Place<'_>,
        written: &FrontendIpConfigurationProperties,
    ) -> Option<FrontendAddress> {
        let pointer = place.property("privateIPAddress");
        if self.problems.has_failed_inside(&pointer) {
            return None;
        }
        let address = match &written.private_ip_address {
            None => None,
            Some(text) => match text.parse::<IpAddr>() {
                Ok(address) => Some(address),
                Err(_) => {
                    self.invalid(
                        pointer,
                        format!("`{}` of {place} is no address", shown(text)),
                        "write an IPv4 or IPv6 address",
                    );
                    return None;
                }
            },
        };
        match (written.private_ip_allocation_method, address) {
            (Some(AllocationMethod::Static) | None, Some(address)) => {
                Some(FrontendAddress::Private(address))
            }
            (Some(AllocationMethod::Static), None) => {
                self.missing(place, "privateIPAddress", "write the address to bind");
                None
            }
            (Some(AllocationMethod::Dynamic), _) | (None, None) => {
                let all = match address {
                    Some(IpAddr::V6(_)) => FrontendAddress::AllIpv6,
                    Some(IpAddr::V4(_)) | None => FrontendAddress::AllIpv4,
                };
                self.not_served(
                    place.pointer(),
                    format!("{place} has no fixed address: it binds {}", described(all)),
                    "write a `privateIPAddress` to bind that alone",
                );
                Some(all)
            }
        }
    }
}

fn described(address: FrontendAddress) -> String {
    match address {
        FrontendAddress::Private(address) => address.to_string(),
        FrontendAddress::AllIpv4 => "all IPv4 addresses".to_owned(),
        FrontendAddress::AllIpv6 => "all IPv6 addresses".to_owned(),
    }
}
