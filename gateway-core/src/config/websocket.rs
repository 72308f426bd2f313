//! What WebSockets may do: `webSocket` on listeners and on HTTP settings (extensions).
//!
//! The defaults change nothing for those who set nothing. A tunnel is judged by the settings that it
//! was opened under.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::websocket::OriginPattern;

/// `httpListeners[].webSocket`: which handshakes a listener takes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListenerWebSocket {
    /// Which pages may open WebSockets here (`allowedOrigins`, `originPolicy`).
    pub origins: Origins,
    /// At least one of these must be offered, where there are any (`requiredSubprotocols`).
    pub required_subprotocols: Vec<String>,
    /// How closely a handshake must follow RFC 6455 (`handshake`).
    pub handshake: HandshakeMode,
    /// The most open tunnels of the listener (`maxConnections`). Exceeded: 503.
    pub max_connections: Option<u32>,
    /// The most open tunnels of one client address at the listener (`maxConnectionsPerClient`).
    /// Exceeded: 503.
    pub max_connections_per_client: Option<u32>,
    /// Handshakes a second (`maxHandshakesPerSecond`, `handshakeRampInSec`). Exceeded: 503.
    pub handshakes: Option<HandshakeRate>,
}

/// `backendHttpSettingsCollection[].webSocket`: how tunnels to a pool are looked after.
#[derive(Debug, Clone, PartialEq)]
pub struct TunnelSettings {
    /// Whether frames are followed (`frames`).
    pub frames: Frames,
    /// Which pages may open WebSockets by these settings (`allowedOrigins`, `originPolicy`).
    pub origins: Origins,
    /// After so long without a byte from either peer, a tunnel is closed (`idleTimeoutInSec`).
    pub idle_timeout: Option<Duration>,
    /// A leg that was silent for so long is sent a Ping (`pingIntervalInSec`).
    pub ping_interval: Option<Duration>,
    /// `TCP_USER_TIMEOUT` on both legs (`tcpUserTimeoutInSec`).
    pub tcp_user_timeout: Option<Duration>,
    /// The longest message, in bytes (`maxMessageBytes`). Exceeded: 1009 to the offender.
    pub max_message_bytes: Option<u64>,
    /// The longest frame's payload, in bytes (`maxFrameBytes`). Exceeded: 1009 to the offender.
    pub max_frame_bytes: Option<u64>,
    /// The most messages a second from each peer (`maxMessagesPerSecond`). Exceeded: 1008.
    pub max_messages_per_second: Option<NonZeroU32>,
    /// How long a peer may take nothing of what waits for it (`slowConsumerTimeoutInSec`).
    pub slow_consumer_timeout: Option<Duration>,
    /// The most open tunnels of one target (`maxConnections`). Exceeded: another target, else 503.
    pub max_connections: Option<u32>,
    /// Handshakes a second to the pool (`maxHandshakesPerSecond`, `handshakeRampInSec`).
    pub handshakes: Option<HandshakeRate>,
    /// What becomes of the tunnels of a target that turns unhealthy (`onUnhealthy`).
    pub on_unhealthy: OnUnhealthy,
    /// What a drain's Close frames are spread over (`closeOverInSec`); by number and time unless given.
    pub close_over: Option<Duration>,
    /// The code of a drain's Close frames (`closeCode`).
    pub close_code: DrainCode,
    /// How often an open tunnel is logged (`progressIntervalInSec`).
    pub progress_interval: Option<Duration>,
    /// Whether a pool that has grown is evened out (`rebalance`).
    pub rebalance: Option<Rebalance>,
}

impl Default for TunnelSettings {
    fn default() -> Self {
        Self {
            frames: Frames::Tracked,
            origins: Origins::default(),
            idle_timeout: None,
            ping_interval: None,
            tcp_user_timeout: None,
            max_message_bytes: None,
            max_frame_bytes: None,
            max_messages_per_second: None,
            slow_consumer_timeout: None,
            max_connections: None,
            handshakes: None,
            on_unhealthy: OnUnhealthy::Keep,
            close_over: None,
            close_code: DrainCode::GoingAway,
            progress_interval: None,
            rebalance: None,
        }
    }
}

/// Which pages may open WebSockets, by the handshake's `Origin` (RFC 6455 section 10.2).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origins {
    /// Patterns; any origin where there are none. A handshake without `Origin` is no page's, and passes.
    pub allowed: Vec<OriginPattern>,
    /// What becomes of a handshake from elsewhere.
    pub policy: OriginPolicy,
}

/// What becomes of a handshake from an origin that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OriginPolicy {
    /// 403.
    #[default]
    Enforce,
    /// It passes, and is counted and told.
    ReportOnly,
}

/// How closely a handshake must follow RFC 6455 section 4.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HandshakeMode {
    /// To the letter.
    #[default]
    Strict,
    /// What old clients get wrong, and a backend may take, is passed on.
    Lenient,
}

/// How many handshakes a second are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeRate {
    /// In the long run.
    pub per_second: NonZeroU32,
    /// After a start or a recovery the rate grows to that over so long.
    pub ramp: Duration,
}

impl HandshakeRate {
    /// The same at all times.
    pub fn level(per_second: NonZeroU32) -> Self {
        Self {
            per_second,
            ramp: Duration::ZERO,
        }
    }
}

/// Whether a tunnel's frames are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Frames {
    /// They are, and must be RFC 6455's.
    #[default]
    Tracked,
    /// Bytes pass untouched. Nothing that needs frames works then: pings, limits on messages, Close frames.
    Opaque,
}

/// What becomes of the tunnels of a target that turns unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum OnUnhealthy {
    /// They go on for as long as they can.
    #[default]
    Keep,
    /// They drain, in the settings' drain time.
    Drain,
    /// They are closed at once.
    Close,
}

/// The code of a drain's Close frames (RFC 6455 section 7.4.1, and its registry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DrainCode {
    /// 1001.
    #[default]
    GoingAway,
    /// 1012.
    ServiceRestart,
}

impl DrainCode {
    /// The number.
    pub fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::ServiceRestart => 1012,
        }
    }
}

/// When and how fast a pool's fullest targets give tunnels away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebalance {
    /// While the fullest target has more than this many percent above the mean for its weight
    /// (`thresholdPercent`).
    pub threshold_percent: u32,
    /// So many tunnels a second are closed with 1012 (`tunnelsPerSecond`).
    pub tunnels_per_second: NonZeroU32,
}
