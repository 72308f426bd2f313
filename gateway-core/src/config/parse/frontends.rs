//! Frontend addresses and ports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{CONFLICTING_PROPERTIES, Checker, Place, each};
use crate::config::FrontendAddress;
use crate::resource::{AllocationMethod, Collection, FrontendIpConfigurationProperties, shown};

/// Frontend addresses, or ports, by name; `None` where there was an error.
pub(super) type ByName<'g, T> = BTreeMap<&'g str, Option<T>>;

impl<'g> Checker<'g, '_> {
    pub(super) fn frontend_ports(&mut self) -> ByName<'g, u16> {
        let all = self.gateway.properties.frontend_ports.as_ref();
        let mut ports = BTreeMap::new();
        for (place, properties) in each(Collection::FrontendPorts, all) {
            if properties.port.is_none() {
                self.missing(&place, "port", "write a port from 1 to 65535");
            }
            let port = self.port(place.property("port"), &place, properties.port);
            ports.insert(place.name, port.map(std::num::NonZeroU16::get));
        }
        ports
    }

    pub(super) fn frontend_addresses(&mut self) -> ByName<'g, FrontendAddress> {
        let all = self.gateway.properties.frontend_ip_configurations.as_ref();
        let mut public = 0;
        let mut addresses = BTreeMap::new();
        for (place, properties) in each(Collection::FrontendIpConfigurations, all) {
            let public_ip = place.property("publicIPAddress");
            let address = if properties.public_ip_address.is_some()
                || self.problems.has_failed_inside(public_ip)
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
        if self.problems.has_failed_inside(pointer) {
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
            (Some(AllocationMethod::Static) | None, Some(address)) => Some(match address {
                IpAddr::V4(all) if all.is_unspecified() => FrontendAddress::AllIpv4,
                IpAddr::V6(all) if all.is_unspecified() => FrontendAddress::AllIpv6,
                IpAddr::V4(_) | IpAddr::V6(_) => FrontendAddress::Private(address),
            }),
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

/// What an address binds, in words.
pub(super) fn described(address: FrontendAddress) -> String {
    match address {
        FrontendAddress::Private(address) => address.to_string(),
        FrontendAddress::AllIpv4 => "all IPv4 addresses".to_owned(),
        FrontendAddress::AllIpv6 => "all IPv6 addresses".to_owned(),
    }
}
