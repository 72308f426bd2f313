//! What a client may take (`properties.limits`, an extension).

use std::num::NonZeroU32;
use std::time::Duration;

/// Bounds that hold on every listener. `None` means no bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// From the first byte, or the connection's start, to the end of a request's head; a TLS
    /// handshake has the same (`requestHeadTimeoutInSec`). Exceeded: 408.
    pub request_head_timeout: Duration,
    /// The longest silence inside a request's body (`requestBodyTimeoutInSec`). Exceeded: 408.
    pub request_body_timeout: Duration,
    /// How long a connection may wait for its next request (`keepAliveTimeoutInSec`).
    pub keep_alive_timeout: Duration,
    /// The longest request head (`maxRequestHeadBytes`). Exceeded: 431.
    pub max_request_head_bytes: usize,
    /// The most header fields of a request (`maxRequestHeaders`). Exceeded: 431.
    pub max_request_headers: usize,
    /// The most client connections at once, tunnels included (`maxConnections`).
    pub max_connections: Option<u32>,
    /// The most WebSocket handshakes a second, all listeners together (`maxHandshakesPerSecond`).
    /// Exceeded: 503 with `Retry-After`.
    pub max_handshakes_per_second: Option<NonZeroU32>,
    /// The most open tunnels of one client address (`maxTunnelsPerClient`). Exceeded: 503.
    pub max_tunnels_per_client: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_head_timeout: Duration::from_secs(60),
            request_body_timeout: Duration::from_secs(60),
            keep_alive_timeout: Duration::from_secs(75),
            max_request_head_bytes: 32_768,
            // hyper parses up to this many on its stack; more takes two allocations for each head.
            max_request_headers: 100,
            max_connections: None,
            max_handshakes_per_second: None,
            max_tunnels_per_client: None,
        }
    }
}
