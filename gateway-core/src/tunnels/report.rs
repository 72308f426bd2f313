//! One open tunnel as it is told to operators.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::TunnelId;

/// How far a tunnel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TunnelStatus {
    /// Its peers decide.
    Open,
    /// It is to be closed, and its turn has not come.
    Draining,
    /// A Close frame was said, or one side has ended.
    Closing,
}

impl TunnelStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "Open",
            Self::Draining => "Draining",
            Self::Closing => "Closing",
        }
    }
}

/// What came from one peer and was passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Whole messages; control frames do not count.
    pub messages: u64,
    /// Bytes of the WebSocket stream, frame headers and all.
    pub bytes: u64,
    /// When the last bytes came; when the tunnel was opened, before any.
    pub last_at: SystemTime,
}

/// One open tunnel at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct TunnelReport {
    /// Its name.
    pub id: TunnelId,
    /// The listener.
    pub listener: String,
    /// The rule.
    pub rule: String,
    /// The pool.
    pub pool: String,
    /// The target.
    pub target: SocketAddr,
    /// The HTTP settings that it was opened under.
    pub settings: String,
    /// The client.
    pub client: SocketAddr,
    /// The handshake's `Host`, without its port.
    pub host: String,
    /// The handshake's path, without its query.
    pub path: String,
    /// What the peers agreed on.
    pub subprotocol: Option<String>,
    /// The client came over TLS.
    pub secure: bool,
    /// When it was opened.
    pub opened_at: SystemTime,
    /// How far it has come.
    pub status: TunnelStatus,
    /// Whether frames are followed; where they are not, messages are not counted.
    pub frames: crate::config::Frames,
    /// How long the last Ping of ours took to be answered.
    pub ping_round_trip: Option<Duration>,
    /// From the client.
    pub received: Carried,
    /// To the client.
    pub sent: Carried,
}
