//! What is told of targets' health: reports to whoever asks, events to whoever listens.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use gateway_core::config::TargetHost;
use gateway_core::health::{Health, ProbeOutcome};
use gateway_core::name::{HttpSettingsName, PoolName};

/// What is known of one target under one set of HTTP settings.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetReport {
    /// What requests go by.
    pub health: Health,
    /// Since when.
    pub since: SystemTime,
    /// Consecutive failures up to now.
    pub failures: u8,
    /// The last probe; `None` before the first has ended.
    pub last_probe: Option<LastProbe>,
    /// When the next one is due; not later than now while one is under way.
    pub next_probe_at: SystemTime,
}

/// One probe that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct LastProbe {
    /// When it was started.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What it found.
    pub outcome: ProbeOutcome,
}

/// A target's health has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthEvent {
    /// The health cell: (pool, settings, target).
    pub health_cell: u64,
    /// The pool.
    pub pool: PoolName,
    /// The HTTP settings.
    pub settings: HttpSettingsName,
    /// The member as written.
    pub host: TargetHost,
    /// The target's address.
    pub address: SocketAddr,
    /// What it was.
    pub from: Health,
    /// What it is.
    pub to: Health,
    /// When it changed.
    pub at: SystemTime,
    /// The last probe's outcome, or what requests found, in words.
    pub reason: String,
}
