//! Drains as they are told: what ends tunnels, why, and how far it has come.

use std::fmt;
use std::time::SystemTime;

/// Why tunnels are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DrainKind {
    /// Their target is no longer configured.
    TargetRemoved,
    /// Their listener is no longer configured.
    ListenerRemoved,
    /// An operator drains their target.
    TargetDrained,
    /// Their target turned unhealthy, and its HTTP settings end its tunnels then.
    TargetUnhealthy,
    /// An operator closes those that match a filter.
    Closed,
    /// Their target has more than its share.
    Rebalance,
    /// The process ends.
    Shutdown,
}

impl DrainKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::TargetRemoved,
        Self::ListenerRemoved,
        Self::TargetDrained,
        Self::TargetUnhealthy,
        Self::Closed,
        Self::Rebalance,
        Self::Shutdown,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TargetRemoved => "TargetRemoved",
            Self::ListenerRemoved => "ListenerRemoved",
            Self::TargetDrained => "TargetDrained",
            Self::TargetUnhealthy => "TargetUnhealthy",
            Self::Closed => "Closed",
            Self::Rebalance => "Rebalance",
            Self::Shutdown => "Shutdown",
        }
    }
}

impl fmt::Display for DrainKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainState {
    /// Tunnels are left.
    Running,
    /// It tells no more tunnels to close; those that were not told yet stay.
    Cancelled,
    /// None is left.
    Finished,
}

impl DrainState {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Cancelled => "Cancelled",
            Self::Finished => "Finished",
        }
    }
}

/// One drain at one moment, all workers together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainReport {
    /// Names it for as long as the process lives.
    pub id: u64,
    /// Why.
    pub kind: DrainKind,
    /// Whose tunnels: a target, a listener, a filter.
    pub what: String,
    /// How far it has come.
    pub state: DrainState,
    /// Since when.
    pub started_at: SystemTime,
    /// When the last of its tunnels that was told to close is cut at the latest; `None` where
    /// each has its own time from when it is told.
    pub deadline: Option<SystemTime>,
    /// How many tunnels it is about.
    pub total: usize,
    /// To how many of them it has said Close, or was about to when they ended.
    pub told: usize,
    /// How many ended by themselves or by a closing handshake.
    pub closed: usize,
    /// How many ended at the deadline.
    pub cut: usize,
    /// How many stay, since the drain was cancelled before it told them.
    pub kept: usize,
}

impl DrainReport {
    /// How many are still to end.
    pub fn left(&self) -> usize {
        self.total
            .saturating_sub(self.closed + self.cut + self.kept)
    }
}
