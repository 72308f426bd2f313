//! The process as the admin API sees it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{Stream, stream};
use gateway_admin::{
    Applied, ApplyError, CannotRebalance, CloseTunnels, Control, HealthReport, MemberHealth,
    NoSuchTarget, Published, Since, Told, WhichTunnels, Write,
};
use gateway_core::health::Health;
use gateway_core::name::PoolName;
use gateway_core::routing::forced;
use gateway_core::snapshot::{Backend, DrainCell, Snapshot, Target, TargetId};
use gateway_core::tunnels::{DrainKind, DrainReport, ListQuery, Page, TunnelId, TunnelReport};
use gateway_probe::{Prober, TargetReport};
use gateway_proxy::{DrainOrder, Pace, Proxy};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot, watch};

use crate::events::EventBus;
use crate::live::Live;
use crate::rebalance::Rebalancer;
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
    /// What moves the bytes.
    pub(crate) proxy: Arc<Proxy>,
    /// What evens out pools.
    pub(crate) rebalancer: Arc<Rebalancer>,
    /// Everything that is counted.
    pub(crate) registry: Registry,
    /// What happens.
    pub(crate) events: EventBus,
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

    async fn tunnels(&self, query: ListQuery) -> Page<TunnelReport> {
        self.proxy.tunnels(query).await
    }

    async fn tunnel(&self, id: TunnelId) -> Option<TunnelReport> {
        self.proxy.tunnel(id).await
    }

    async fn close_tunnels(&self, which: WhichTunnels, close: CloseTunnels) -> Option<DrainReport> {
        let order = |what| DrainOrder {
            kind: DrainKind::Closed,
            what,
            code: close.code,
            reason: close
                .reason
                .unwrap_or_else(|| "closed by an operator".into()),
            pace: close.per_second.map_or(Pace::AtOnce, Pace::PerSecond),
            time: None,
        };
        match which {
            WhichTunnels::One(id) => self.proxy.end_tunnel(id, order(id.to_string())).await,
            WhichTunnels::All(filter) => {
                let order = order(filter.to_string());
                let ending = self
                    .proxy
                    .end_tunnels(order, move |tunnel| filter.matches(tunnel));
                Some(ending.await)
            }
        }
    }

    async fn drain_targets(&self, pool: &str, member: &str) -> Result<DrainReport, NoSuchTarget> {
        let targets = self.targets_named(pool, member)?;
        let addresses: Vec<_> = targets
            .iter()
            .map(|(address, ..)| format!("{pool}/{address}"))
            .collect();
        let order = DrainOrder {
            kind: DrainKind::TargetDrained,
            what: addresses.join(", "),
            code: None,
            reason: "going away".into(),
            pace: Pace::Settings,
            time: None,
        };
        Ok(self.proxy.drain_targets(order, &cells(targets)).await)
    }

    async fn resume_targets(&self, pool: &str, member: &str) -> Result<(), NoSuchTarget> {
        let targets = self.targets_named(pool, member)?;
        self.begin_slow_start(&targets);
        self.proxy.resume_targets(&cells(targets)).await;
        Ok(())
    }

    async fn rebalance(
        &self,
        pool: &str,
        per_second: Option<NonZeroU32>,
    ) -> Result<Vec<DrainReport>, CannotRebalance> {
        self.rebalancer.once(pool, per_second).await
    }

    fn drains(&self) -> Vec<DrainReport> {
        self.proxy.drains()
    }

    async fn cancel_drain(&self, id: u64) -> Option<DrainReport> {
        self.proxy.cancel_drain(id).await
    }

    async fn resume_drain(&self, id: u64) -> Option<DrainReport> {
        self.proxy.resume_drain(id).await
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

    fn events(&self, since: Since) -> impl Stream<Item = Told> + Send + 'static {
        stream::unfold(self.events.read(since), async |mut reader| {
            Some((reader.next().await?, reader))
        })
    }
}

type NamedTarget = (SocketAddr, TargetId, Arc<DrainCell>);

impl ProcessControl {
    /// Targets that were drained come back, as those do that were down.
    fn begin_slow_start(&self, targets: &[NamedTarget]) {
        let Some(live) = self.live.borrow().snapshot.clone() else {
            return;
        };
        let now = Instant::now();
        let all = live.backends.iter().flat_map(|backend| &backend.targets);
        let named = |target: &&Arc<Target>| targets.iter().any(|(_, id, _)| *id == target.id);
        for target in all.filter(named).filter(|one| one.drain.is_draining()) {
            target.health.came_back(now);
        }
    }

    /// The targets of `pool` that `member` names.
    fn targets_named(&self, pool: &str, member: &str) -> Result<Vec<NamedTarget>, NoSuchTarget> {
        let live = self.live.borrow().snapshot.clone();
        let no_pool = || NoSuchTarget::Pool {
            pool: pool.to_owned(),
        };
        let live = live.ok_or_else(no_pool)?;
        let name = PoolName::from(pool);
        let found = live.targets_named(&name, member).ok_or_else(no_pool)?;
        if found.is_empty() {
            return Err(NoSuchTarget::Target {
                pool: pool.to_owned(),
                member: member.to_owned(),
                known: known_targets(&live, &name),
            });
        }
        Ok(found)
    }
}

fn cells(targets: Vec<NamedTarget>) -> Vec<(TargetId, Arc<DrainCell>)> {
    let targets = targets.into_iter();
    targets.map(|(_, id, cell)| (id, cell)).collect()
}

/// The addresses of a pool's targets.
fn known_targets(live: &Snapshot, pool: &PoolName) -> Vec<String> {
    live.targets_of(pool)
        .map(|address| address.to_string())
        .collect()
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
        draining: false,
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
        draining: target.drain.is_draining(),
        reason: last_probe.map_or_else(
            || "not probed yet".to_owned(),
            |probe| probe.outcome.to_string(),
        ),
        since: report.map(|report| report.since),
        last_probe: last_probe.map(|probe| (probe.at, probe.took)),
        next_probe_at: report.map(|report| report.next_probe_at),
        load: target.load(),
    }
}
