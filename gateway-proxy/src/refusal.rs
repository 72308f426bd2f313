//! Why a WebSocket handshake is turned away before any backend hears of it.

use std::ops::RangeInclusive;

use gateway_core::websocket::HandshakeError;
use http::StatusCode;

use crate::error::Side;

/// A refused handshake. The words go to the client, [`label`](Self::label) to a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeRefusal {
    /// It breaks RFC 6455 section 4.2.1.
    #[error("{0}")]
    Malformed(#[from] HandshakeError),
    /// The page that opens it is of an origin that is not among `allowedOrigins`.
    #[error("pages of this origin may not open WebSockets here")]
    Origin,
    /// It offers none of `requiredSubprotocols`.
    #[error("none of the subprotocols offered is one of those that are required here")]
    Subprotocol,
    /// More a second than `limits.maxHandshakesPerSecond`.
    #[error("too many WebSocket handshakes at once")]
    GatewayRate,
    /// More a second than the listener's `maxHandshakesPerSecond`.
    #[error("too many WebSocket handshakes at once for this listener")]
    ListenerRate,
    /// More a second than the HTTP settings' `maxHandshakesPerSecond`.
    #[error("too many WebSocket handshakes at once for this backend")]
    PoolRate,
    /// The client has as many tunnels as `limits.maxTunnelsPerClient`.
    #[error("too many WebSocket connections from this address")]
    ClientTunnels,
    /// The client has as many tunnels at the listener as its `maxConnectionsPerClient`.
    #[error("too many WebSocket connections from this address to this listener")]
    ListenerClientTunnels,
    /// The listener has as many tunnels as its `maxConnections`.
    #[error("too many WebSocket connections to this listener")]
    ListenerTunnels,
    /// Every target that could be had has as many tunnels as the HTTP settings' `maxConnections`.
    #[error("the backend has as many WebSocket connections as it may have")]
    TargetTunnels,
}

impl HandshakeRefusal {
    /// All labels, in the order of [`index`](Self::index).
    pub const LABELS: [&'static str; 11] = [
        "malformed",
        "version",
        "origin",
        "subprotocol",
        "gateway_rate",
        "listener_rate",
        "pool_rate",
        "client_tunnels",
        "listener_client_tunnels",
        "listener_tunnels",
        "target_tunnels",
    ];

    /// Its place among [`LABELS`](Self::LABELS).
    pub fn index(self) -> usize {
        match self {
            Self::Malformed(
                HandshakeError::MissingKey
                | HandshakeError::RepeatedKey
                | HandshakeError::BadKey
                | HandshakeError::Body,
            ) => 0,
            Self::Malformed(HandshakeError::Version) => 1,
            Self::Origin => 2,
            Self::Subprotocol => 3,
            Self::GatewayRate => 4,
            Self::ListenerRate => 5,
            Self::PoolRate => 6,
            Self::ClientTunnels => 7,
            Self::ListenerClientTunnels => 8,
            Self::ListenerTunnels => 9,
            Self::TargetTunnels => 10,
        }
    }

    /// As a metric's label.
    pub fn label(self) -> &'static str {
        Self::LABELS[self.index()]
    }

    /// The status that the client sees.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed(error) => error.status(),
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Subprotocol => StatusCode::BAD_REQUEST,
            Self::GatewayRate
            | Self::ListenerRate
            | Self::PoolRate
            | Self::ClientTunnels
            | Self::ListenerClientTunnels
            | Self::ListenerTunnels
            | Self::TargetTunnels => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whose fault it is: the client's, where it would be refused again.
    pub fn side(self) -> Side {
        if self.retry_after().is_some() {
            Side::Gateway
        } else {
            Side::Client
        }
    }

    /// When to come again, in seconds. One of them at random is told, so that those who were
    /// refused together do not come back together.
    pub(crate) fn retry_after(self) -> Option<RangeInclusive<u32>> {
        match self {
            Self::Malformed(_) | Self::Origin | Self::Subprotocol => None,
            Self::GatewayRate | Self::ListenerRate | Self::PoolRate => Some(1..=10),
            // Somebody has to leave first.
            Self::ClientTunnels
            | Self::ListenerClientTunnels
            | Self::ListenerTunnels
            | Self::TargetTunnels => Some(5..=30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [HandshakeRefusal; 14] = [
        HandshakeRefusal::Malformed(HandshakeError::MissingKey),
        HandshakeRefusal::Malformed(HandshakeError::RepeatedKey),
        HandshakeRefusal::Malformed(HandshakeError::BadKey),
        HandshakeRefusal::Malformed(HandshakeError::Body),
        HandshakeRefusal::Malformed(HandshakeError::Version),
        HandshakeRefusal::Origin,
        HandshakeRefusal::Subprotocol,
        HandshakeRefusal::GatewayRate,
        HandshakeRefusal::ListenerRate,
        HandshakeRefusal::PoolRate,
        HandshakeRefusal::ClientTunnels,
        HandshakeRefusal::ListenerClientTunnels,
        HandshakeRefusal::ListenerTunnels,
        HandshakeRefusal::TargetTunnels,
    ];

    const ERRORS: &str = include_str!("../../docs/errors.md");

    #[test]
    fn each_is_documented_with_its_label_and_status() {
        let mut seen = [false; HandshakeRefusal::LABELS.len()];
        for refusal in ALL {
            seen[refusal.index()] = true;
            let row = format!("| `{}` | {} |", refusal.label(), refusal.status().as_str());
            assert!(ERRORS.contains(&row), "docs/errors.md lacks {row}");
        }
        assert_eq!(seen, [true; HandshakeRefusal::LABELS.len()]);
    }

    #[test]
    fn who_may_come_again_is_told_when() {
        for refusal in ALL {
            let passes_by = refusal.status() == StatusCode::SERVICE_UNAVAILABLE;
            assert_eq!(refusal.retry_after().is_some(), passes_by, "{refusal:?}");
        }
    }
}
