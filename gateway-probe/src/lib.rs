//! Asks backend targets how they are, and tells the health tracker.
//!
//! Writes health into the snapshot's cells; knows nothing of listeners or requests.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gateway_core::health::{Health, ProbeOutcome};
use gateway_core::snapshot::Snapshot;
use gateway_net::material::Material;

/// Probes every target of the snapshot that it was last given.
pub struct Prober;

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
    /// When the next one is due.
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

impl Prober {
    /// Starts on the current runtime, with nothing to probe.
    pub fn start() -> Self {
        unimplemented!()
    }

    /// Probes the targets of `snapshot` from now on. Those that it already had keep their state and
    /// their schedule; new ones are probed at once, spread with jitter.
    pub fn update(&self, snapshot: Arc<Snapshot>, material: Arc<Material>) {
        let _ = (snapshot, material);
        unimplemented!()
    }

    /// A request found the target of this health cell refusing or resetting: probe it at once.
    pub fn suspect(&self, health_cell: u64) {
        let _ = health_cell;
        unimplemented!()
    }

    /// What is known of each target, by health cell.
    pub fn report(&self) -> BTreeMap<u64, TargetReport> {
        unimplemented!()
    }

    /// Stops probing; returns when no probe is under way.
    pub async fn stop(&self) {
        unimplemented!()
    }
}
