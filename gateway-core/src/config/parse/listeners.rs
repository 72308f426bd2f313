//! Listeners, and what those on one address and port must agree on.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::frontends::{ByName, described};
use super::hosts::{host_fault, pattern_fault};
use super::{CONFLICTING_PROPERTIES, Checker, Place, each};
use crate::config::{FrontendAddress, HostNames, HostPattern, Listener, ListenerProtocol};
use crate::name::ListenerName;
use crate::resource::{Collection, HttpListenerProperties, HttpProtocol, shown};

/// The listeners so far on one address and port.
struct Shared<'l> {
    first: &'l (Place<'l>, Listener),
    basic: Option<Place<'l>>,
    hosts: BTreeMap<&'l HostPattern, Place<'l>>,
}

impl<'l> Shared<'l> {
    fn new(first: &'l (Place<'l>, Listener)) -> Self {
        let (basic, patterns) = match &first.1.hosts {
            HostNames::Any => (Some(first.0), [].as_slice()),
            HostNames::Patterns(patterns) => (None, patterns.as_slice()),
        };
        Self {
            first,
            basic,
            hosts: patterns.iter().map(|host| (host, first.0)).collect(),
        }
    }
}

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
        let web_socket = self.listener_web_socket(place, written.web_socket.as_ref());
        Some(Listener {
            address: addresses.get(address?).copied()??,
            port: ports.get(port?).copied()??,
            protocol: protocol?,
            hosts: hosts?,
            proxy_protocol: written.proxy_protocol.unwrap_or_default(),
            web_socket,
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
                let unreadable = self.problems.has_failed_inside(place.property("hostName"))
                    || self.problems.has_failed_inside(place.property("hostNames"));
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
        if self.problems.has_failed_inside(pointer) {
            return None;
        }
        if names.is_empty() || names.len() > 5 {
            self.invalid(
                pointer,
                format!("`hostNames` of {place} holds {} names", names.len()),
                "write one to five names, or leave it out for a listener that takes any host",
            );
            return None;
        }
        let mut patterns = Vec::new();
        for (index, name) in names.iter().enumerate() {
            patterns.extend(self.host(
                place,
                format_args!("{pointer}/{index}"),
                name,
                pattern_fault(name),
            ));
        }
        (patterns.len() == names.len()).then_some(HostNames::Patterns(patterns))
    }

    fn host(
        &mut self,
        place: &Place<'_>,
        pointer: impl Display,
        name: &str,
        fault: Option<&str>,
    ) -> Option<HostPattern> {
        let Some(fault) = fault else {
            return Some(HostPattern::new(name));
        };
        self.invalid(
            pointer.to_string(),
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
        let mut endpoints: BTreeMap<_, Shared<'_>> = BTreeMap::new();
        for entry in listeners {
            let key = (entry.1.address, entry.1.port);
            let Some(shared) = endpoints.get_mut(&key) else {
                endpoints.insert(key, Shared::new(entry));
                continue;
            };
            self.same_protocol(entry, shared.first);
            let HostNames::Patterns(patterns) = &entry.1.hosts else {
                self.two_basic(entry, &mut shared.basic);
                continue;
            };
            let other = patterns.iter().find_map(|host| shared.hosts.get(host));
            if let Some(other) = other {
                self.problems.warning(
                    entry.0.pointer(),
                    "HostNameTakenTwice",
                    format!("{other} and {} share a host name on one port", entry.0),
                    "keep it in one of them; the one whose rule comes first gets its requests",
                );
            }
            shared
                .hosts
                .extend(patterns.iter().map(|host| (host, entry.0)));
        }
    }

    fn two_basic<'l>(&mut self, entry: &(Place<'l>, Listener), basic: &mut Option<Place<'l>>) {
        if let Some(other) = basic {
            self.problems.error(
                entry.0.pointer(),
                "DuplicateBasicListener",
                format!(
                    "{other} and {} both take any host on {} port {}",
                    entry.0,
                    described(entry.1.address),
                    entry.1.port
                ),
                "give one of them a `hostName` or `hostNames`, or another port",
            );
        }
        *basic = Some(entry.0);
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
}
