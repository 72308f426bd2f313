//! `properties.limits` and `properties.trustedProxies`, both extensions.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::Checker;
use super::backends::seconds;
use crate::config::Limits;
use crate::resource::shown;

impl Checker<'_, '_> {
    pub(super) fn limits(&mut self) -> Limits {
        let mut limits = Limits::default();
        let Some(written) = &self.gateway.properties.limits else {
            return limits;
        };
        let mut read = |name: &str, value, bounds: RangeInclusive<u32>| {
            let pointer = format!("/properties/limits/{name}");
            self.bounded(pointer, &"limits", value, bounds)
        };
        let day = 1..=86_400;
        let any = 1..=u32::MAX;
        if let Some(head) = read(
            "requestHeadTimeoutInSec",
            written.request_head_timeout_in_sec,
            day.clone(),
        ) {
            limits.request_head_timeout = seconds(head);
        }
        if let Some(body) = read(
            "requestBodyTimeoutInSec",
            written.request_body_timeout_in_sec,
            day.clone(),
        ) {
            limits.request_body_timeout = seconds(body);
        }
        if let Some(idle) = read(
            "keepAliveTimeoutInSec",
            written.keep_alive_timeout_in_sec,
            day,
        ) {
            limits.keep_alive_timeout = seconds(idle);
        }
        if let Some(bytes) = read(
            "maxRequestHeadBytes",
            written.max_request_head_bytes,
            8192..=1_048_576,
        ) {
            limits.max_request_head_bytes = bytes as usize;
        }
        if let Some(count) = read("maxRequestHeaders", written.max_request_headers, 8..=4096) {
            limits.max_request_headers = count as usize;
        }
        limits.max_connections = read("maxConnections", written.max_connections, any.clone());
        let handshakes = read(
            "maxHandshakesPerSecond",
            written.max_handshakes_per_second,
            any.clone(),
        );
        limits.max_handshakes_per_second = handshakes.and_then(NonZeroU32::new);
        limits.max_tunnels_per_client =
            read("maxTunnelsPerClient", written.max_tunnels_per_client, any);
        limits
    }

    pub(super) fn trusted_proxies(&mut self) -> Vec<IpNet> {
        let mut networks = Vec::new();
        let written = self.gateway.properties.trusted_proxies.iter().flatten();
        for (index, text) in written.enumerate() {
            let network = text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            match network {
                Ok(network) => networks.push(network),
                Err(_) => self.invalid(
                    format!("/properties/trustedProxies/{index}"),
                    format!("`{}` is neither an address nor a network", shown(text)),
                    "write an address like `10.0.0.1` or a network like `10.0.0.0/8`",
                ),
            }
        }
        networks
    }
}
