//! Routing rules: which listener's requests go to which pool.

use std::time::Duration;

use crate::name::{HttpSettingsName, ListenerName, PoolName};

/// A Basic rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutingRule {
    /// 1 to 20000, 1 first. Without one, the rule comes after those that have one.
    pub priority: Option<u16>,
    /// The rule's place among rules without a priority: list order decides there.
    pub position: u32,
    /// Whose requests.
    pub listener: ListenerName,
    /// Where to.
    pub pool: PoolName,
    /// How.
    pub http_settings: HttpSettingsName,
    /// How one of the pool's targets is chosen (`loadDistributionPolicy`).
    pub balancing: Balancing,
    /// A target that came back grows into its share over so long (`slowStartInSec`, extension).
    pub slow_start: Option<Duration>,
}

/// How a target is chosen among the healthy ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balancing {
    /// Each in turn, by weight.
    #[default]
    RoundRobin,
    /// The one with the least requests in flight and open tunnels, by weight.
    LeastConnections,
    /// The one that the client's address belongs to, by weight.
    IpHash,
}
