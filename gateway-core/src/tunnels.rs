//! What is told of open tunnels, and of drains that end them: plain data, for whoever filters, shows
//! or ends them. The tunnels themselves live in the proxy.

mod drain;
mod page;
mod query;
mod report;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

pub use drain::{DrainKind, DrainReport, DrainState};
pub use page::{Page, Place, Sort, SortBy};
pub use query::{AddressPattern, ListQuery, QueryProblem, TunnelFilter, parse_close_filter};
pub use report::{Carried, TunnelReport, TunnelStatus};

use crate::config::OnUnhealthy;
use crate::snapshot::{ListenerId, TargetId};

/// Names a tunnel for as long as the process lives. Later tunnels of a worker have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelId {
    /// The worker that it runs on.
    pub worker: usize,
    /// Counts that worker's tunnels.
    pub serial: u64,
}

impl fmt::Display for TunnelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.worker, self.serial)
    }
}

/// A text that names no tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a connection, which is two numbers like 0-17")]
pub struct NoTunnelId;

impl FromStr for TunnelId {
    type Err = NoTunnelId;

    fn from_str(text: &str) -> Result<Self, NoTunnelId> {
        let (worker, serial) = text.split_once('-').ok_or(NoTunnelId)?;
        let id = Self {
            worker: worker.parse().map_err(|_| NoTunnelId)?,
            serial: serial.parse().map_err(|_| NoTunnelId)?,
        };
        // One name each: no sign, no leading zero.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(NoTunnelId)
        }
    }
}

/// One open tunnel, as far as it is judged by. Borrowed, since there may be 100,000 to look at.
#[derive(Debug, Clone, Copy)]
pub struct TunnelFacts<'t> {
    /// Its name.
    pub id: TunnelId,
    /// The listener that it came through.
    pub listener_id: ListenerId,
    /// The target that it goes to.
    pub target_id: TargetId,
    /// The listener's name.
    pub listener: &'t str,
    /// The rule's name.
    pub rule: &'t str,
    /// The pool's name.
    pub pool: &'t str,
    /// The name of the HTTP settings.
    pub settings: &'t str,
    /// What those settings, as they were when it was opened, say of a target that turns unhealthy.
    pub on_unhealthy: OnUnhealthy,
    /// The target's address and port.
    pub target: SocketAddr,
    /// The client's address and port.
    pub client: SocketAddr,
    /// The handshake's `Host`, without its port.
    pub host: &'t str,
    /// What the peers agreed on.
    pub subprotocol: Option<&'t str>,
    /// When it was opened.
    pub opened_at: SystemTime,
    /// When bytes last came from either peer.
    pub last_traffic_at: SystemTime,
    /// How long it has been open.
    pub age: Duration,
    /// How long no byte has come from either peer.
    pub idle: Duration,
    /// Messages, both ways together.
    pub messages: u64,
    /// Bytes, both ways together.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written_and_in_no_other_way() {
        let id = TunnelId {
            worker: 3,
            serial: 17,
        };
        assert_eq!(id.to_string(), "3-17");
        assert_eq!("3-17".parse(), Ok(id));
        for text in [
            "",
            "-",
            "3",
            "3-",
            "-17",
            "3-+17",
            "03-17",
            "3-17 ",
            "3-017",
            "3--17",
            "3-99999999999999999999",
        ] {
            assert_eq!(text.parse::<TunnelId>(), Err(NoTunnelId), "{text:?}");
        }
    }
}
