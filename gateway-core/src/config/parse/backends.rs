//! Backend pools and HTTP settings.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use super::hosts::{header_fault, host_fault};
use super::{CONFLICTING_PROPERTIES, Checker, Place, PropertyAt, each};
use crate::config::{
    BackendHost, BackendPool, BackendProtocol, BackendTarget, BackendTls, HttpSettings, TargetHost,
};
use crate::name::{HttpSettingsName, PoolName};
use crate::resource::{
    BackendAddress, BackendHttpSettingsProperties, Collection, HttpProtocol, shown,
};

/// Azure's command line writes 30 where nothing is said, its portal 20: the longer one breaks less.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a drain takes when `connectionDraining` is off (reference section 6).
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a pool's member is, inside the pool's properties.
#[derive(Debug, Clone, Copy)]
struct Member(usize);

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backendAddresses/{}", self.0)
    }
}

impl Checker<'_, '_> {
    pub(super) fn pools(&mut self) -> BTreeMap<PoolName, BackendPool> {
        let all = self.gateway.properties.backend_address_pools.as_ref();
        let mut pools = BTreeMap::new();
        for (place, written) in each(Collection::BackendAddressPools, all) {
            let mut targets = Vec::new();
            let mut seen = BTreeSet::new();
            for (index, address) in written.backend_addresses.iter().flatten().enumerate() {
                let pointer = place.property(Member(index));
                let Some(target) = self.backend_target(&place, pointer, address) else {
                    continue;
                };
                if seen.insert((target.host.clone(), target.port)) {
                    targets.push(target);
                } else {
                    self.problems.warning(
                        pointer,
                        "DuplicateBackendAddress",
                        format!(
                            "{place} has {} twice; the second one is dropped",
                            target.host
                        ),
                        "keep one of them, with a `weight` if it should get more",
                    );
                }
            }
            pools.insert(place.name.into(), BackendPool { targets });
        }
        pools
    }

    fn backend_target(
        &mut self,
        place: &Place<'_>,
        pointer: PropertyAt<'_, Member>,
        written: &BackendAddress,
    ) -> Option<BackendTarget> {
        let host = self.target_host(place, pointer, written);
        let port = self.port(format_args!("{pointer}/port"), place, written.port);
        let weight = Some(written.weight.unwrap_or(1));
        let weight = self.port(format_args!("{pointer}/weight"), place, weight);
        Some(BackendTarget {
            host: host?,
            port,
            weight: weight.unwrap_or(NonZeroU16::MIN),
        })
    }

    fn target_host(
        &mut self,
        place: &Place<'_>,
        pointer: PropertyAt<'_, Member>,
        written: &BackendAddress,
    ) -> Option<TargetHost> {
        match (&written.ip_address, &written.fqdn) {
            (Some(_), Some(_)) => {
                self.problems.error(
                    pointer,
                    CONFLICTING_PROPERTIES,
                    format!("a member of {place} has both `fqdn` and `ipAddress`"),
                    "keep one of them, or make two members",
                );
                None
            }
            (None, None) => {
                if !self.problems.has_failed_inside(pointer) {
                    self.problems.error(
                        pointer,
                        super::MISSING_PROPERTY,
                        format!("a member of {place} has neither `fqdn` nor `ipAddress`"),
                        "write one of them",
                    );
                }
                None
            }
            (Some(text), None) => {
                let address = text.parse::<IpAddr>();
                if address.is_err() {
                    self.invalid(
                        format!("{pointer}/ipAddress"),
                        format!("`{}` in {place} is no address", shown(text)),
                        "write an IPv4 or IPv6 address without a port, or use `fqdn` for a name",
                    );
                }
                address.ok().map(TargetHost::Ip)
            }
            (None, Some(name)) => self.fqdn(place, pointer, name),
        }
    }

    /// Azure takes an address for a name too.
    fn fqdn(
        &mut self,
        place: &Place<'_>,
        pointer: PropertyAt<'_, Member>,
        name: &str,
    ) -> Option<TargetHost> {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Some(TargetHost::Ip(address));
        }
        let bare = name.strip_suffix('.').unwrap_or(name);
        // Names with `_` are no host names, but container networks resolve them.
        if let Some(fault) = host_fault(&bare.replace('_', "-")) {
            self.invalid(
                format!("{pointer}/fqdn"),
                format!("`{}` in {place} is no name: {fault}", shown(name)),
                "write a name like `web.contoso.com`; a port goes into `port`",
            );
            return None;
        }
        Some(TargetHost::Fqdn(bare.to_ascii_lowercase().into()))
    }

    pub(super) fn http_settings(&mut self) -> BTreeMap<HttpSettingsName, HttpSettings> {
        let gateway = self.gateway;
        let all = gateway.properties.backend_http_settings_collection.as_ref();
        let mut checked = BTreeMap::new();
        for (place, written) in each(Collection::BackendHttpSettingsCollection, all) {
            if let Some(settings) = self.settings(&place, written) {
                checked.insert(place.name.into(), settings);
            }
        }
        checked
    }

    fn settings(
        &mut self,
        place: &Place<'_>,
        written: &BackendHttpSettingsProperties,
    ) -> Option<HttpSettings> {
        if written.port.is_none() {
            self.missing(place, "port", "write the backend's port, 1 to 65535");
        }
        let port = self.port(place.property("port"), place, written.port);
        let protocol = self.backend_protocol(place, written);
        let timeout_at = place.property("requestTimeout");
        let timeout = self.bounded(timeout_at, place, written.request_timeout, 1..=86_400);
        let host = self.backend_host(place, written);
        let path_prefix = self.path_prefix(place, written);
        let drain_timeout = self.drain_timeout(place, written);
        let unavailable_status = self.unavailable_status(place, written);
        let web_socket = self.tunnel_settings(place, written.web_socket.as_ref(), drain_timeout);
        let probe = self.target(written.probe.as_ref(), Collection::Probes);
        Some(HttpSettings {
            port: port?,
            protocol: protocol?,
            request_timeout: timeout.map_or(REQUEST_TIMEOUT, seconds),
            host,
            path_prefix,
            probe: probe.map(Into::into),
            drain_timeout,
            unavailable_status,
            web_socket,
        })
    }

    fn backend_protocol(
        &mut self,
        place: &Place<'_>,
        written: &BackendHttpSettingsProperties,
    ) -> Option<BackendProtocol> {
        let server_name = written.sni_name.as_deref().filter(|name| {
            let fault = host_fault(name);
            if let Some(fault) = fault {
                self.invalid(
                    place.property("sniName"),
                    format!("`{}` of {place} is no server name: {fault}", shown(name)),
                    "write a name like `web.contoso.com`",
                );
            }
            fault.is_none()
        });
        match written.protocol {
            None => {
                self.missing(place, "protocol", "write `Http` or `Https`");
                None
            }
            Some(HttpProtocol::Http) => Some(BackendProtocol::Http),
            Some(HttpProtocol::Https) => {
                let roots = written.trusted_root_certificates.iter().flatten();
                let names = roots.filter_map(|root| {
                    self.target(Some(root), Collection::TrustedRootCertificates)
                });
                Some(BackendProtocol::Https(BackendTls {
                    trusted_roots: names.map(Into::into).collect(),
                    verify_chain: written.validate_cert_chain_and_expiry.unwrap_or(true),
                    verify_name: written.validate_sni.unwrap_or(true),
                    server_name: server_name.map(str::to_owned),
                }))
            }
        }
    }

    fn backend_host(
        &mut self,
        place: &Place<'_>,
        written: &BackendHttpSettingsProperties,
    ) -> BackendHost {
        let pointer = place.property("hostName");
        let pick = written
            .pick_host_name_from_backend_address
            .unwrap_or_default();
        // Azure's GET writes an empty name for none.
        match written.host_name.as_deref().filter(|name| !name.is_empty()) {
            None if pick => BackendHost::FromTarget,
            None => BackendHost::FromClient,
            Some(name) => {
                if pick {
                    self.problems.error(
                        pointer,
                        CONFLICTING_PROPERTIES,
                        format!("{place} has `hostName` and picks it from the backend address"),
                        "remove `hostName`, or `pickHostNameFromBackendAddress`",
                    );
                }
                if let Some(fault) = header_fault(name) {
                    self.invalid(
                        pointer,
                        format!("`{}` of {place} cannot be a Host: {fault}", shown(name)),
                        "write a name like `web.contoso.com`",
                    );
                }
                BackendHost::Fixed(name.to_owned())
            }
        }
    }

    fn path_prefix(
        &mut self,
        place: &Place<'_>,
        written: &BackendHttpSettingsProperties,
    ) -> Option<String> {
        let path = written.path.as_deref()?.trim_end_matches('/');
        if path.is_empty() {
            return None;
        }
        if let Some(fault) = path_fault(path) {
            self.invalid(
                place.property("path"),
                format!("`{}` of {place} cannot be a path: {fault}", shown(path)),
                "write a path like `/app/`",
            );
            return None;
        }
        Some(format!("{path}/"))
    }

    fn drain_timeout(
        &mut self,
        place: &Place<'_>,
        written: &BackendHttpSettingsProperties,
    ) -> Duration {
        let Some(draining) = &written.connection_draining else {
            return DRAIN_TIMEOUT;
        };
        if draining.enabled.is_none() {
            self.missing(place, "connectionDraining/enabled", "write true or false");
        }
        if draining.drain_timeout_in_sec.is_none() {
            let property = "connectionDraining/drainTimeoutInSec";
            self.missing(place, property, "write seconds, 1 to 3600");
        }
        let pointer = place.property("connectionDraining/drainTimeoutInSec");
        let timeout = self.bounded(pointer, place, draining.drain_timeout_in_sec, 1..=3600);
        match (draining.enabled, timeout) {
            (Some(true), Some(timeout)) => seconds(timeout),
            (_, _) => DRAIN_TIMEOUT,
        }
    }

    fn unavailable_status(
        &mut self,
        place: &Place<'_>,
        written: &BackendHttpSettingsProperties,
    ) -> http::StatusCode {
        match written.unavailable_status {
            None | Some(502) => http::StatusCode::BAD_GATEWAY,
            Some(503) => http::StatusCode::SERVICE_UNAVAILABLE,
            Some(other) => {
                self.invalid(
                    place.property("unavailableStatus"),
                    format!("`unavailableStatus` of {place} is {other}"),
                    "write 502 or 503",
                );
                http::StatusCode::BAD_GATEWAY
            }
        }
    }
}

/// Why `path` cannot be put into a request line.
pub(super) fn path_fault(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("it does not begin with `/`")
    } else if path.contains(['?', '#']) {
        Some("it holds `?` or `#`")
    } else if path.parse::<http::uri::PathAndQuery>().is_err() || !path.is_ascii() {
        Some("it holds characters that must be percent-encoded")
    } else {
        None
    }
}

pub(super) fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}
