//! `webSocket` on listeners and HTTP settings (extensions): which handshakes are taken, and how
//! tunnels are looked after.

use super::define::{choices, objects};

objects! {
    /// Extension: which WebSocket handshakes a listener takes.
    HttpListenerWebSocket {
        /// Pages that may open WebSockets: `https://app.example.com`, `https://*.example.com`, with
        /// a port or without, or `null`; any unless given. A handshake without `Origin` is no
        /// page's, and passes.
        allowed_origins: Vec<String> = "allowedOrigins",
        /// What becomes of handshakes from other pages; Enforce unless given.
        origin_policy: OriginPolicyChoice = "originPolicy",
        /// A handshake must offer one of these; none unless given.
        required_subprotocols: Vec<String> = "requiredSubprotocols",
        /// How closely a handshake must follow RFC 6455; Strict unless given.
        handshake: HandshakeChoice = "handshake",
        /// The most open WebSockets of the listener; unbounded unless given.
        max_connections: u32 = "maxConnections",
        /// The most open WebSockets of one client address at the listener; unbounded unless given.
        max_connections_per_client: u32 = "maxConnectionsPerClient",
        /// The most handshakes a second; unbounded unless given.
        max_handshakes_per_second: u32 = "maxHandshakesPerSecond",
        /// Seconds, 1 to 3600, over which that rate grows from a tenth after a start; at once
        /// unless given.
        handshake_ramp_in_sec: u32 = "handshakeRampInSec",
    }
    /// Extension: how WebSockets by these HTTP settings are looked after.
    BackendHttpSettingsWebSocket {
        /// Whether frames are followed; Tracked unless given.
        frames: FramesChoice = "frames",
        /// Pages that may open WebSockets, beside what the listener allows; any unless given.
        allowed_origins: Vec<String> = "allowedOrigins",
        /// What becomes of handshakes from other pages; Enforce unless given.
        origin_policy: OriginPolicyChoice = "originPolicy",
        /// Seconds of silence, 1 to 86400, until a WebSocket is closed; off unless given.
        idle_timeout_in_sec: u32 = "idleTimeoutInSec",
        /// Seconds of silence, 1 to 86400, until a peer is sent a Ping; off unless given.
        ping_interval_in_sec: u32 = "pingIntervalInSec",
        /// Seconds, 1 to 86400, that sent bytes may stay unacknowledged (`TCP_USER_TIMEOUT`); off
        /// unless given.
        tcp_user_timeout_in_sec: u32 = "tcpUserTimeoutInSec",
        /// The longest message, in bytes; unbounded unless given.
        max_message_bytes: u32 = "maxMessageBytes",
        /// The longest frame's payload, in bytes, 125 and up; unbounded unless given.
        max_frame_bytes: u32 = "maxFrameBytes",
        /// The most messages a second from each peer; unbounded unless given.
        max_messages_per_second: u32 = "maxMessagesPerSecond",
        /// Seconds, 1 to 86400, that a peer may take nothing of what waits for it; unbounded unless
        /// given.
        slow_consumer_timeout_in_sec: u32 = "slowConsumerTimeoutInSec",
        /// The most open WebSockets of each member; unbounded unless given.
        max_connections: u32 = "maxConnections",
        /// The most handshakes a second to the pool; unbounded unless given.
        max_handshakes_per_second: u32 = "maxHandshakesPerSecond",
        /// Seconds, 1 to 3600, over which that rate grows from a tenth after a start or when the
        /// pool comes back; at once unless given.
        handshake_ramp_in_sec: u32 = "handshakeRampInSec",
        /// What becomes of the WebSockets of a member that turns unhealthy; Keep unless given.
        on_unhealthy: OnUnhealthyChoice = "onUnhealthy",
        /// Seconds, 0 to 3600 and less than the drain, that a drain's Close frames are spread over;
        /// by number and time unless given.
        close_over_in_sec: u32 = "closeOverInSec",
        /// The code of a drain's Close frames, 1001 or 1012; 1001 unless given.
        close_code: u32 = "closeCode",
        /// Seconds, 1 to 86400, from one log record of an open WebSocket to the next; off unless
        /// given.
        progress_interval_in_sec: u32 = "progressIntervalInSec",
        /// Evens a pool out that has grown; off unless given.
        rebalance: RebalanceSettings = "rebalance",
    }
    /// Extension: when and how fast a pool's fullest members give WebSockets away.
    RebalanceSettings {
        /// How far above the mean the fullest member may be, 1 to 1000 per cent; 10 unless given.
        threshold_percent: u32 = "thresholdPercent",
        /// So many are closed a second, with 1012; 10 unless given.
        tunnels_per_second: u32 = "tunnelsPerSecond",
    }
}

choices! {
    /// What becomes of a handshake from a page that is not allowed.
    OriginPolicyChoice {
        /// It is refused with 403.
        Enforce = "Enforce",
        /// It passes, is counted and logged.
        ReportOnly = "ReportOnly",
    }
    /// How closely a handshake must follow RFC 6455.
    HandshakeChoice {
        /// To the letter.
        Strict = "Strict",
        /// What old clients get wrong and harms nobody is put right.
        Lenient = "Lenient",
    }
    /// Whether frames are followed.
    FramesChoice {
        /// They are, and must be RFC 6455's.
        Tracked = "Tracked",
        /// Bytes pass untouched: no pings, no limits on messages, no Close frames.
        Opaque = "Opaque",
    }
    /// What becomes of the WebSockets of a member that turns unhealthy.
    OnUnhealthyChoice {
        /// They go on for as long as they can.
        Keep = "Keep",
        /// They drain, in the settings' drain time.
        Drain = "Drain",
        /// They are closed at once.
        Close = "Close",
    }
}
