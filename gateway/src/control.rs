//! The process as the admin API sees it.

use std::sync::Arc;

use gateway_admin::{Applied, ApplyError, Control, HealthReport, MemberHealth, Published, Write};
use gateway_core::health::{Health, ProbeOutcome};
use gateway_core::routing::forced;
use gateway_core::snapshot::{Backend, Target};
use gateway_probe::{Prober, TargetReport};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot, watch};

use crate::live::Live;
use crate::shutdown::Phase;
use crate::supervisor::Command;

/// Answers the API's questions from what is live, and hands its writes to the supervisor.
pub(crate) struct ProcessControl {
    /// What is live.
    pub(crate) live: watch::Receiver<Arc<Live>>,
    /// The supervisor's ear.
    pub(crate) commands: mpsc::Sender<Command>,
    /// Where the process is in its life.
    pub(crate) phase: watch::Receiver<Phase>,
    /// What is known of targets.
    pub(crate) prober: Prober,
    /// Everything that is counted.
    pub(crate) registry: Registry,
}

impl Control for ProcessControl {
    fn published(&self) -> Published {
        self.live.borrow().published()
    }

    async fn apply(&self, write: Write) -> Result<Applied, ApplyError> {
        let (answer, answered) = oneshot::channel();
        self.commands
            .send(Command::Write(Box::new(write), answer))
            .await
            .map_err(|_| ApplyError::ShuttingDown)?;
        answered.await.unwrap_or(Err(ApplyError::ShuttingDown))
    }

    fn backend_health(&self) -> Vec<HealthReport> {
        let Some(snapshot) = self.live.borrow().snapshot.clone() else {
            return Vec::new();
        };
        let reports = self.prober.report();
        let report = |target: &Target| reports.get(&target.health.id);
        let backends = snapshot.backends.iter();
        backends.map(|backend| health_of(backend, report)).collect()
    }

    fn ready(&self) -> Result<(), String> {
        match *self.phase.borrow() {
            Phase::Starting => Err("starting".to_owned()),
            Phase::Draining => Err("draining: the process is ending".to_owned()),
            Phase::Serving => self.live.borrow().ready(),
        }
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String does not fail");
        text
    }
}

fn health_of<'r>(
    backend: &Backend,
    report: impl Fn(&Target) -> Option<&'r TargetReport>,
) -> HealthReport {
    let forced: Vec<_> = forced(backend).map(|target| target.health.id).collect();
    let targets = backend.targets.iter().map(|target| {
        let is_forced = forced.contains(&target.health.id);
        member(target, report(target), is_forced)
    });
    let unresolved = backend.unresolved.iter().map(|member| MemberHealth {
        host: member.fqdn.to_string(),
        address: None,
        health: Health::Down,
        forced: false,
        reason: format!("DNS: {}", member.reason),
        since: None,
        last_probe: None,
        next_probe_at: None,
        load: 0,
    });
    HealthReport {
        pool: backend.pool.to_string(),
        settings: backend.settings_name.to_string(),
        members: targets.chain(unresolved).collect(),
    }
}

fn member(target: &Target, report: Option<&TargetReport>, forced: bool) -> MemberHealth {
    let last_probe = report.and_then(|report| report.last_probe.as_ref());
    MemberHealth {
        host: target.host.to_string(),
        address: Some(target.address),
        health: target.health.health(),
        forced,
        reason: last_probe.map_or_else(
            || "not probed yet".to_owned(),
            |probe| reason(&probe.outcome),
        ),
        since: report.map(|report| report.since),
        last_probe: last_probe.map(|probe| (probe.at, probe.took)),
        next_probe_at: report.map(|report| report.next_probe_at),
        load: target.load(),
    }
}

fn reason(outcome: &ProbeOutcome) -> String {
    match outcome {
        ProbeOutcome::Healthy { status } => format!("status {status}"),
        ProbeOutcome::Failed(failure) => failure.to_string(),
    }
}
