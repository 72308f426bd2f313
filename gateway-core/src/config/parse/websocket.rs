//! `webSocket` on listeners and HTTP settings, extensions.

use std::fmt::{self, Display};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::backends::seconds;
use super::probes::is_subprotocol;
use super::{CONFLICTING_PROPERTIES, Checker, Place, PropertyAt};
use crate::config::{
    DrainCode, Frames, HandshakeMode, HandshakeRate, ListenerWebSocket, OnUnhealthy, OriginPolicy,
    Origins, Rebalance, TunnelSettings,
};
use crate::resource::{
    BackendHttpSettingsWebSocket, FramesChoice, HandshakeChoice, HttpListenerWebSocket,
    OnUnhealthyChoice, OriginPolicyChoice, RebalanceSettings, shown,
};
use crate::websocket::OriginPattern;

const DAY: RangeInclusive<u32> = 1..=86_400;
const HOUR: RangeInclusive<u32> = 1..=3600;
const ANY: RangeInclusive<u32> = 1..=u32::MAX;

/// A peer may always send a control frame, which has up to 125 bytes.
const FRAME_BYTES: RangeInclusive<u32> = 125..=u32::MAX;

/// What `rebalance` takes where nothing is said: a share that random reconnects stay below, at a
/// rate that a pool takes in passing.
const REBALANCE_PERCENT: u32 = 10;
const REBALANCE_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// The properties of one `webSocket`.
#[derive(Clone, Copy)]
struct At<'p>(&'p Place<'p>);

impl<'p> At<'p> {
    fn property<N: Display>(self, name: N) -> PropertyAt<'p, InWebSocket<N>> {
        self.0.property(InWebSocket(name))
    }
}

/// A property's path inside a resource's properties.
#[derive(Debug, Clone, Copy)]
struct InWebSocket<N>(N);

impl<N: Display> Display for InWebSocket<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "webSocket/{}", self.0)
    }
}

impl Checker<'_, '_> {
    pub(super) fn listener_web_socket(
        &mut self,
        place: &Place<'_>,
        written: Option<&HttpListenerWebSocket>,
    ) -> ListenerWebSocket {
        let Some(written) = written else {
            return ListenerWebSocket::default();
        };
        let at = At(place);
        let most = self.ws_number(at, "maxConnections", written.max_connections, ANY);
        let per_client = "maxConnectionsPerClient";
        let most_per_client =
            self.ws_number(at, per_client, written.max_connections_per_client, ANY);
        if let (Some(most), Some(of_one)) = (most, most_per_client)
            && of_one > most
        {
            self.without_effect(at, per_client, "`maxConnections` is less", "write less");
        }
        ListenerWebSocket {
            origins: self.origins(
                at,
                written.allowed_origins.as_deref(),
                written.origin_policy,
            ),
            required_subprotocols: self.subprotocols(at, written.required_subprotocols.as_deref()),
            handshake: match written.handshake {
                None | Some(HandshakeChoice::Strict) => HandshakeMode::Strict,
                Some(HandshakeChoice::Lenient) => HandshakeMode::Lenient,
            },
            max_connections: most,
            max_connections_per_client: most_per_client,
            handshakes: self.handshake_rate(
                at,
                written.max_handshakes_per_second,
                written.handshake_ramp_in_sec,
            ),
        }
    }

    pub(super) fn tunnel_settings(
        &mut self,
        place: &Place<'_>,
        written: Option<&BackendHttpSettingsWebSocket>,
        drain: Duration,
    ) -> TunnelSettings {
        let Some(written) = written else {
            return TunnelSettings::default();
        };
        let at = At(place);
        let mut number = |name, value, bounds| self.ws_number(at, name, value, bounds);
        let idle = number("idleTimeoutInSec", written.idle_timeout_in_sec, DAY);
        let ping = number("pingIntervalInSec", written.ping_interval_in_sec, DAY);
        let user = number("tcpUserTimeoutInSec", written.tcp_user_timeout_in_sec, DAY);
        let message = number("maxMessageBytes", written.max_message_bytes, ANY);
        let frame = number("maxFrameBytes", written.max_frame_bytes, FRAME_BYTES);
        let rate = written.max_messages_per_second;
        let rate = number("maxMessagesPerSecond", rate, ANY);
        let slow = written.slow_consumer_timeout_in_sec;
        let slow = number("slowConsumerTimeoutInSec", slow, DAY);
        let most = number("maxConnections", written.max_connections, ANY);
        let progress = written.progress_interval_in_sec;
        let progress = number("progressIntervalInSec", progress, DAY);
        if let (Some(message), Some(frame)) = (message, frame)
            && frame > message
        {
            let why = "`maxMessageBytes` is less, and a message has one frame at least";
            self.without_effect(at, "maxFrameBytes", why, "write less");
        }
        self.what_opaque_cannot(at, written);
        TunnelSettings {
            frames: match written.frames {
                None | Some(FramesChoice::Tracked) => Frames::Tracked,
                Some(FramesChoice::Opaque) => Frames::Opaque,
            },
            origins: self.origins(
                at,
                written.allowed_origins.as_deref(),
                written.origin_policy,
            ),
            idle_timeout: idle.map(seconds),
            ping_interval: ping.map(seconds),
            tcp_user_timeout: user.map(seconds),
            max_message_bytes: message.map(u64::from),
            max_frame_bytes: frame.map(u64::from),
            max_messages_per_second: rate.and_then(NonZeroU32::new),
            slow_consumer_timeout: slow.map(seconds),
            max_connections: most,
            handshakes: self.handshake_rate(
                at,
                written.max_handshakes_per_second,
                written.handshake_ramp_in_sec,
            ),
            on_unhealthy: match written.on_unhealthy {
                None | Some(OnUnhealthyChoice::Keep) => OnUnhealthy::Keep,
                Some(OnUnhealthyChoice::Drain) => OnUnhealthy::Drain,
                Some(OnUnhealthyChoice::Close) => OnUnhealthy::Close,
            },
            close_over: self.close_over(at, written.close_over_in_sec, drain),
            close_code: self.close_code(at, written.close_code),
            progress_interval: progress.map(seconds),
            rebalance: self.rebalance(at, written.rebalance.as_ref()),
        }
    }

    fn ws_number(
        &mut self,
        at: At<'_>,
        name: &str,
        value: Option<u32>,
        bounds: RangeInclusive<u32>,
    ) -> Option<u32> {
        self.bounded(at.property(name), at.0, value, bounds)
    }

    fn origins(
        &mut self,
        at: At<'_>,
        written: Option<&[String]>,
        policy: Option<OriginPolicyChoice>,
    ) -> Origins {
        let policy = match policy {
            None | Some(OriginPolicyChoice::Enforce) => OriginPolicy::Enforce,
            Some(OriginPolicyChoice::ReportOnly) => OriginPolicy::ReportOnly,
        };
        let mut allowed = Vec::new();
        match written {
            None if policy == OriginPolicy::ReportOnly => {
                let why = "without `allowedOrigins`, any origin is allowed";
                self.without_effect(at, "originPolicy", why, "write `allowedOrigins`");
            }
            None => {}
            // To mean any would open what somebody may have wanted shut.
            Some([])
                if !self
                    .problems
                    .has_failed_inside(at.property("allowedOrigins")) =>
            {
                self.invalid(
                    at.property("allowedOrigins"),
                    format!("`allowedOrigins` of {} holds none", at.0),
                    "write at least one, or leave it out for any",
                )
            }
            Some(patterns) => {
                for (index, text) in patterns.iter().enumerate() {
                    match OriginPattern::parse(text) {
                        Ok(pattern) => allowed.push(pattern),
                        Err(fault) => self.invalid(
                            at.property(format_args!("allowedOrigins/{index}")),
                            format!("`{}` of {} is no origin: {fault}", shown(text), at.0),
                            "write `https://app.example.com`, `https://*.example.com`, with a port \
                             or without, or `null`",
                        ),
                    }
                }
            }
        }
        Origins { allowed, policy }
    }

    fn subprotocols(&mut self, at: At<'_>, written: Option<&[String]>) -> Vec<String> {
        let names = written.unwrap_or_default();
        for (index, name) in names.iter().enumerate() {
            if !is_subprotocol(name) {
                self.invalid(
                    at.property(format_args!("requiredSubprotocols/{index}")),
                    format!("`{}` of {} is no subprotocol", shown(name), at.0),
                    "write one name like `chat`, of letters, digits and !#$%&'*+-.^_`|~",
                );
            }
        }
        names.to_vec()
    }

    fn handshake_rate(
        &mut self,
        at: At<'_>,
        per_second: Option<u32>,
        ramp: Option<u32>,
    ) -> Option<HandshakeRate> {
        let name = "maxHandshakesPerSecond";
        let given = per_second.is_some() || self.problems.has_failed(at.property(name));
        let per_second = self.ws_number(at, name, per_second, ANY);
        let ramp = self.ws_number(at, "handshakeRampInSec", ramp, HOUR);
        if ramp.is_some() && !given {
            let why = "without `maxHandshakesPerSecond`, handshakes have no rate that could grow";
            let remedy = "write `maxHandshakesPerSecond` too";
            self.without_effect(at, "handshakeRampInSec", why, remedy);
        }
        Some(HandshakeRate {
            per_second: NonZeroU32::new(per_second?)?,
            ramp: ramp.map_or(Duration::ZERO, seconds),
        })
    }

    /// A Close frame that is due when the deadline has cut its tunnel is none.
    fn close_over(
        &mut self,
        at: At<'_>,
        written: Option<u32>,
        drain: Duration,
    ) -> Option<Duration> {
        let over = self.ws_number(at, "closeOverInSec", written, 0..=3600)?;
        let over = seconds(over);
        if !over.is_zero() && over >= drain {
            let limit = drain.as_secs();
            self.problems.error(
                at.property("closeOverInSec"),
                CONFLICTING_PROPERTIES,
                format!(
                    "`closeOverInSec` of {} is {}, and a drain ends after {limit}: the last would be \
                     cut without a Close frame",
                    at.0,
                    over.as_secs(),
                ),
                format!(
                    "write less than {limit}, or more as `connectionDraining.drainTimeoutInSec`"
                ),
            );
        }
        Some(over)
    }

    fn close_code(&mut self, at: At<'_>, written: Option<u32>) -> DrainCode {
        match written {
            None | Some(1001) => DrainCode::GoingAway,
            Some(1012) => DrainCode::ServiceRestart,
            Some(other) => {
                self.invalid(
                    at.property("closeCode"),
                    format!("`closeCode` of {} is {other}", at.0),
                    "write 1001 (going away) or 1012 (service restart)",
                );
                DrainCode::GoingAway
            }
        }
    }

    fn rebalance(&mut self, at: At<'_>, written: Option<&RebalanceSettings>) -> Option<Rebalance> {
        let written = written?;
        let percent = written.threshold_percent;
        let percent = self.ws_number(at, "rebalance/thresholdPercent", percent, 1..=1000);
        let per_second = written.tunnels_per_second;
        let per_second = self.ws_number(at, "rebalance/tunnelsPerSecond", per_second, ANY);
        Some(Rebalance {
            threshold_percent: percent.unwrap_or(REBALANCE_PERCENT),
            tunnels_per_second: per_second
                .and_then(NonZeroU32::new)
                .unwrap_or(REBALANCE_PER_SECOND),
        })
    }

    /// A limit that would not hold is an error: somebody relies on it. What would happen in another
    /// way is a warning.
    fn what_opaque_cannot(&mut self, at: At<'_>, written: &BackendHttpSettingsWebSocket) {
        if written.frames != Some(FramesChoice::Opaque) {
            return;
        }
        let ends = [
            (written.ping_interval_in_sec.is_some(), "pingIntervalInSec"),
            (written.max_message_bytes.is_some(), "maxMessageBytes"),
            (written.max_frame_bytes.is_some(), "maxFrameBytes"),
            (
                written.max_messages_per_second.is_some(),
                "maxMessagesPerSecond",
            ),
            (written.close_code.is_some(), "closeCode"),
        ];
        for (_, name) in ends.into_iter().filter(|(given, _)| *given) {
            self.problems.error(
                at.property(name),
                CONFLICTING_PROPERTIES,
                format!(
                    "`frames` of {} is `Opaque`, so nothing knows where a frame ends: `{name}` \
                     cannot work",
                    at.0,
                ),
                "write `\"frames\": \"Tracked\"`, or remove it",
            );
        }
        let closes = [
            (written.close_over_in_sec.is_some(), "closeOverInSec"),
            (written.rebalance.is_some(), "rebalance"),
            (
                written
                    .on_unhealthy
                    .is_some_and(|then| then != OnUnhealthyChoice::Keep),
                "onUnhealthy",
            ),
        ];
        for (_, name) in closes.into_iter().filter(|(given, _)| *given) {
            self.not_served(
                at.property(name),
                format!(
                    "`frames` of {} is `Opaque`: what `{name}` closes ends without a Close frame, \
                     which its peers take for a failure (1006)",
                    at.0,
                ),
                "write `\"frames\": \"Tracked\"`, if the peers should be told",
            );
        }
    }

    fn without_effect(&mut self, at: At<'_>, name: &str, why: &str, remedy: &str) {
        self.not_served(
            at.property(name),
            format!("`{name}` of {} has no effect: {why}", at.0),
            format!("{remedy}, or remove it"),
        );
    }
}
