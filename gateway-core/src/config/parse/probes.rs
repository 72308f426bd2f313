//! Custom probes.

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use super::backends::{path_fault, seconds};
use super::hosts::header_fault;
use super::{CONFLICTING_PROPERTIES, Checker, Place, each};
use crate::config::{Probe, ProbeHost, ProbeMatch, ProbeProtocol, StatusRange};
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
        let protocol = self.probe_protocol(place, written);
        let host = self.probe_host(place, written);
        let path = self.probe_path(place, written);
        let mut bounded = |property, value: Option<u32>, absent, highest| {
            let pointer = place.property(property);
            let value = value.unwrap_or(absent);
            self.bounded(&pointer, place, Some(value), 1..=highest)
        };
        let interval = bounded("interval", written.interval, INTERVAL_SECONDS, 86_400);
        let timeout = bounded("timeout", written.timeout, TIMEOUT_SECONDS, 86_400);
        let threshold = bounded(
            "unhealthyThreshold",
            written.unhealthy_threshold,
            THRESHOLD,
            20,
        );
        let port = self.port(&place.property("port"), place, written.port);
        let matches = self.probe_match(place, written.matches.as_ref());
        Some(Probe {
            protocol: protocol?,
            host,
            path,
            interval: seconds(interval?),
            timeout: seconds(timeout?),
            unhealthy_threshold: NonZeroU8::new(u8::try_from(threshold?).ok()?)?,
            min_servers: written.min_servers.unwrap_or_default() as usize,
            matches,
            port,
        })
    }

    fn probe_protocol(
        &mut self,
        place: &Place<'_>,
        written: &ProbeProperties,
    ) -> Option<ProbeProtocol> {
        let pointer = place.property("protocol");
        match written.protocol {
            Some(ProbeProtocolChoice::Http) => Some(ProbeProtocol::Http),
            Some(ProbeProtocolChoice::Https) => Some(ProbeProtocol::Https),
            None => {
                self.missing(place, "protocol", "write `Http` or `Https`");
                None
            }
            Some(other) => {
                self.problems.error(
                    pointer,
                    "ProbeProtocolNotServed",
                    format!("{place} asks by {other:?}, which is not served: nobody would notice a dead backend"),
                    "write `Http` or `Https`, and a path that the backend answers",
                );
                None
            }
        }
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
                &pointer,
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
