//! Custom probes.

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use super::backends::{path_fault, seconds};
use super::hosts::header_fault;
use super::{CONFLICTING_PROPERTIES, Checker, Place, each};
use crate::config::{Probe, ProbeAsks, ProbeHost, ProbeMatch, ProbeProtocol, StatusRange};
use crate::name::ProbeName;
use crate::resource::{Collection, ProbeHealthMatch, ProbeProperties, ProbeProtocolChoice, shown};

/// The default probe's figures (reference section 5), for what a custom one does not say.
const INTERVAL_SECONDS: u32 = 30;
const TIMEOUT_SECONDS: u32 = 30;
const THRESHOLD: u32 = 3;
const HEALTHY: StatusRange = StatusRange {
    first: 200,
    last: 399,
};

impl Checker<'_, '_> {
    pub(super) fn probes(&mut self) -> BTreeMap<ProbeName, Probe> {
        let all = self.gateway.properties.probes.as_ref();
        let mut probes = BTreeMap::new();
        for (place, written) in each(Collection::Probes, all) {
            if let Some(probe) = self.probe(&place, written) {
                probes.insert(place.name.into(), probe);
            }
        }
        probes
    }

    fn probe(&mut self, place: &Place<'_>, written: &ProbeProperties) -> Option<Probe> {
        let question = self.probe_question(place, written);
        let host = self.probe_host(place, written);
        let path = self.probe_path(place, written);
        let mut bounded = |property, value: Option<u32>, absent, highest| {
            let pointer = place.property(property);
            let value = value.unwrap_or(absent);
            self.bounded(pointer, place, Some(value), 1..=highest)
        };
        let interval = bounded("interval", written.interval, INTERVAL_SECONDS, 86_400);
        let timeout = bounded("timeout", written.timeout, TIMEOUT_SECONDS, 86_400);
        let threshold = bounded(
            "unhealthyThreshold",
            written.unhealthy_threshold,
            THRESHOLD,
            20,
        );
        let port = self.port(place.property("port"), place, written.port);
        let (protocol, asks) = question?;
        Some(Probe {
            protocol,
            asks,
            host,
            path,
            interval: seconds(interval?),
            timeout: seconds(timeout?),
            unhealthy_threshold: NonZeroU8::new(u8::try_from(threshold?).ok()?)?,
            min_servers: written.min_servers.unwrap_or_default() as usize,
            port,
        })
    }

    /// What is spoken and what is asked. What does not belong to the protocol is checked all the
    /// same: its faults would show with the next change of the protocol.
    fn probe_question(
        &mut self,
        place: &Place<'_>,
        written: &ProbeProperties,
    ) -> Option<(ProbeProtocol, ProbeAsks)> {
        let matches = self.probe_match(place, written.matches.as_ref());
        let subprotocol = self.probe_subprotocol(place, written);
        let protocol = match written.protocol {
            Some(ProbeProtocolChoice::Http) => ProbeProtocol::Http,
            Some(ProbeProtocolChoice::Https) => ProbeProtocol::Https,
            Some(ProbeProtocolChoice::WebSocket) => {
                self.without_match(place, written);
                let asks = ProbeAsks::WebSocket { subprotocol };
                return Some((ProbeProtocol::AsHttpSettings, asks));
            }
            None => {
                self.missing(place, "protocol", "write `Http`, `Https` or `WebSocket`");
                return None;
            }
            Some(other @ (ProbeProtocolChoice::Tcp | ProbeProtocolChoice::Tls)) => {
                self.problems.error(
                    place.property("protocol"),
                    "ProbeProtocolNotServed",
                    format!("{place} asks by {other:?}, which is not served: nobody would notice a dead backend"),
                    "write `Http`, `Https` or `WebSocket`, and a path that the backend answers",
                );
                return None;
            }
        };
        if subprotocol.is_some() {
            self.not_served(
                place.property("webSocket/subprotocol"),
                format!("`subprotocol` of {place} has no effect: the probe sends a GET"),
                "write `WebSocket` as `protocol`, or remove it",
            );
        }
        Some((protocol, ProbeAsks::Get(matches)))
    }

    /// Azure's GET writes an empty `match`, which means nothing.
    fn without_match(&mut self, place: &Place<'_>, written: &ProbeProperties) {
        let Some(matches) = &written.matches else {
            return;
        };
        let body = matches.body.as_deref().unwrap_or_default();
        let codes = matches.status_codes.as_deref().unwrap_or_default();
        for (given, property) in [
            (!codes.is_empty(), "statusCodes"),
            (!body.is_empty(), "body"),
        ] {
            if given {
                self.not_served(
                    place.property(&format!("match/{property}")),
                    format!("`{property}` of {place} has no effect: healthy is a valid 101, and a Pong to a Ping"),
                    "remove it",
                );
            }
        }
    }

    fn probe_subprotocol(
        &mut self,
        place: &Place<'_>,
        written: &ProbeProperties,
    ) -> Option<Box<str>> {
        let subprotocol = written.web_socket.as_ref()?.subprotocol.as_deref()?;
        if !is_subprotocol(subprotocol) {
            self.invalid(
                place.property("webSocket/subprotocol"),
                format!("`{}` of {place} is no subprotocol", shown(subprotocol)),
                "write one name like `chat`, of letters, digits and !#$%&'*+-.^_`|~",
            );
        }
        Some(subprotocol.into())
    }

    /// Without a word on the host, the settings or the member give it, as for the default probe.
    fn probe_host(&mut self, place: &Place<'_>, written: &ProbeProperties) -> ProbeHost {
        let pick = written
            .pick_host_name_from_backend_http_settings
            .unwrap_or_default();
        let pointer = place.property("host");
        let Some(host) = written.host.as_deref().filter(|host| !host.is_empty()) else {
            return ProbeHost::FromHttpSettings;
        };
        if pick {
            self.problems.error(
                pointer,
                CONFLICTING_PROPERTIES,
                format!("{place} has `host` and picks it from the HTTP settings"),
                "remove `host`, or `pickHostNameFromBackendHttpSettings`",
            );
        }
        if let Some(fault) = header_fault(host) {
            self.invalid(
                pointer,
                format!("`{}` of {place} cannot be a Host: {fault}", shown(host)),
                "write a name like `web.contoso.com`",
            );
        }
        ProbeHost::Fixed(host.to_owned())
    }

    fn probe_path(&mut self, place: &Place<'_>, written: &ProbeProperties) -> String {
        let path = written.path.as_deref().unwrap_or("/");
        // A probe may have a query; the path in front of it may not be anything.
        let bare = path.split('?').next().unwrap_or_default();
        let fault = path_fault(bare).or_else(|| path_fault(&path.replace('?', "/")));
        if let Some(fault) = fault {
            self.invalid(
                place.property("path"),
                format!("`{}` of {place} cannot be asked for: {fault}", shown(path)),
                "write a path like `/health`",
            );
        }
        path.to_owned()
    }

    fn probe_match(&mut self, place: &Place<'_>, written: Option<&ProbeHealthMatch>) -> ProbeMatch {
        let body = written.and_then(|matches| matches.body.clone());
        let body = body.unwrap_or_default();
        let length = body.chars().count();
        if length > 4090 {
            self.invalid(
                place.property("match/body"),
                format!("`body` of {place} has {length} characters"),
                "write at most 4090",
            );
        }
        let codes = written.and_then(|matches| matches.status_codes.as_deref());
        let mut statuses = Vec::new();
        for (index, code) in codes.unwrap_or_default().iter().enumerate() {
            match status_range(code) {
                Some(range) => statuses.push(range),
                None => self.invalid(
                    place.property(&format!("match/statusCodes/{index}")),
                    format!("`{}` of {place} is no status", shown(code)),
                    "write a status like \"204\" or a range like \"200-399\"",
                ),
            }
        }
        if statuses.is_empty() {
            statuses.push(HEALTHY);
        }
        ProbeMatch { statuses, body }
    }
}

/// Visible ASCII without separators (RFC 6455 section 4.1, item 10).
pub(super) fn is_subprotocol(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// `"204"` or `"200-399"`; blanks around the numbers are Azure's too.
fn status_range(text: &str) -> Option<StatusRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        let text = text.trim();
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .then(|| text.parse::<u16>().ok())
            .flatten()
            .filter(|status| (100..=599).contains(status))
    };
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some(StatusRange { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subprotocols() {
        let rows = [
            ("chat", true),
            ("v12.stomp", true),
            ("graphql-transport-ws", true),
            ("!#$%&'*+-.^_`|~", true),
            ("", false),
            ("chat, superchat", false),
            ("a b", false),
            ("a\r\nX: y", false),
            ("wamp/2", false),
            ("k\u{e4}se", false),
        ];
        for (text, expected) in rows {
            assert_eq!(is_subprotocol(text), expected, "{text:?}");
        }
    }

    #[test]
    fn status_codes() {
        let rows = [
            ("200", Some((200, 200))),
            ("200-399", Some((200, 399))),
            ("200 - 399", Some((200, 399))),
            ("399-200", None),
            ("20", None),
            ("2xx", None),
            ("200-", None),
            ("+20", None),
            ("200-300-400", None),
            ("600", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let expected = expected.map(|(first, last)| StatusRange { first, last });
            assert_eq!(status_range(text), expected, "{text:?}");
        }
    }
}
