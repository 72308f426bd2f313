//! Probes and health as metrics. Labels come from the configuration and from DNS, never from an
//! answer.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use gateway_core::health::{Health, ProbeFailure, ProbeOutcome};
use gateway_core::name::{HttpSettingsName, PoolName};
use gateway_core::snapshot::Backend;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::report::{LastProbe, TargetReport};
use crate::target::Subject;

/// From a healthy answer on the same rack to the longest timeout that is usual.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// What a failed probe counts as.
const REASONS: [&str; 10] = [
    "timeout",
    "refused",
    "connect",
    "tls",
    "closed",
    "malformed",
    "status",
    "body",
    "handshake",
    "pong",
];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct BackendLabels {
    pool: String,
    settings: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    pool: String,
    settings: String,
    reason: String,
}

#[derive(Debug, EncodeLabelSet)]
struct TargetLabels {
    pool: String,
    settings: String,
    host: String,
    address: String,
}

/// What probes count while they run.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    durations: Family<BackendLabels, Histogram, fn() -> Histogram>,
    failures: Family<FailureLabels, Counter>,
    /// What has been counted, to be forgotten when it leaves the configuration.
    counted: Arc<Mutex<BTreeSet<BackendLabels>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            failures: Family::default(),
            counted: Arc::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "gateway_probe_duration",
            "How long probes took, failed ones included",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "gateway_probe_failures",
            "Probes that failed, by reason",
            self.failures.clone(),
        );
    }

    pub(crate) fn observe(&self, pool: &PoolName, settings: &HttpSettingsName, probe: &LastProbe) {
        let labels = BackendLabels::new(pool, settings);
        if let ProbeOutcome::Failed(failure) = &probe.outcome {
            let failed = labels.failed(kind(failure));
            self.failures.get_or_create(&failed).inc();
        }
        self.durations
            .get_or_create(&labels)
            .observe(probe.took.as_secs_f64());
        self.counted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(labels);
    }

    /// Forgets all but `backends`, so that churn in the configuration does not fill the memory.
    pub(crate) fn keep(&self, backends: &[Arc<Backend>]) {
        let kept: BTreeSet<BackendLabels> = backends
            .iter()
            .map(|backend| BackendLabels::new(&backend.pool, &backend.settings_name))
            .collect();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.retain(|labels| {
            if kept.contains(labels) {
                return true;
            }
            self.durations.remove(labels);
            for reason in REASONS {
                self.failures.remove(&labels.failed(reason));
            }
            false
        });
    }
}

impl BackendLabels {
    fn new(pool: &PoolName, settings: &HttpSettingsName) -> Self {
        Self {
            pool: pool.to_string(),
            settings: settings.to_string(),
        }
    }

    fn failed(&self, reason: &str) -> FailureLabels {
        FailureLabels {
            pool: self.pool.clone(),
            settings: self.settings.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Writes `gateway_backend_health`: 1 up, 0 down, -1 unknown.
pub(crate) fn encode_health(
    reports: impl Iterator<Item = (Subject, TargetReport)>,
    mut encoder: DescriptorEncoder<'_>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(
        "gateway_backend_health",
        "Health of a target under its HTTP settings: 1 up, 0 down, -1 not known yet",
        None,
        MetricType::Gauge,
    )?;
    for (subject, report) in reports {
        let labels = TargetLabels {
            pool: subject.pool.to_string(),
            settings: subject.settings.to_string(),
            host: subject.host.to_string(),
            address: subject.address.to_string(),
        };
        let value: i64 = match report.health {
            Health::Up => 1,
            Health::Down => 0,
            Health::Unknown => -1,
        };
        metric.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

fn kind(failure: &ProbeFailure) -> &'static str {
    match failure {
        ProbeFailure::Timeout { .. } => "timeout",
        ProbeFailure::Refused { .. } => "refused",
        ProbeFailure::Connect { .. } => "connect",
        ProbeFailure::Tls { .. } => "tls",
        ProbeFailure::Closed { .. } => "closed",
        ProbeFailure::Malformed { .. } => "malformed",
        ProbeFailure::Status { .. } => "status",
        ProbeFailure::Body { .. } => "body",
        ProbeFailure::Handshake(_) | ProbeFailure::Subprotocol { .. } => "handshake",
        ProbeFailure::Pong(_) => "pong",
    }
}
