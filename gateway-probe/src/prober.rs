//! Which targets are probed: those of the snapshot that was last given.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gateway_core::snapshot::{Backend, Snapshot, Target};
use gateway_net::material::Material;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::metrics::{self, Metrics};
use crate::probe::Question;
use crate::report::{HealthEvent, TargetReport};
use crate::target::{Outlet, Subject, TargetProbe, spread};

/// So many events are kept for a listener that is slow; it is told how many it missed.
const EVENTS_KEPT: usize = 1024;

/// Probes every target of the snapshot that it was last given. Clones share everything; probing
/// ends with the last of them.
#[derive(Debug, Clone)]
pub struct Prober {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    runtime: Handle,
    tasks: TaskTracker,
    stopping: CancellationToken,
    /// By health cell.
    targets: Mutex<BTreeMap<u64, Arc<TargetProbe>>>,
    outlet: Outlet,
    _stop_on_drop: DropGuard,
}

impl Prober {
    /// Starts on the current runtime, with nothing to probe.
    ///
    /// # Panics
    /// When there is no current runtime.
    pub fn start() -> Self {
        let stopping = CancellationToken::new();
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let shared = Shared {
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            _stop_on_drop: stopping.clone().drop_guard(),
            stopping,
            targets: Mutex::new(BTreeMap::new()),
            outlet: Outlet {
                events,
                metrics: Metrics::default(),
            },
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Probes the targets of `snapshot` from now on. Those that it already had keep their state and
    /// their schedule; a new one is probed at once, many new ones spread over a tenth of their
    /// interval (a second at most).
    pub fn update(&self, snapshot: Arc<Snapshot>, material: Arc<Material>) {
        let mut wanted: BTreeMap<u64, Subject> = snapshot
            .backends
            .iter()
            .flat_map(|backend| {
                let targets = backend.targets.iter();
                targets.map(|target| subject(backend, target, &material))
            })
            .map(|subject| (subject.cell.id, subject))
            .collect();
        let mut targets = self.shared.targets();
        targets.retain(|id, target| match wanted.remove(id) {
            Some(subject) => {
                target.update(subject);
                true
            }
            None => {
                target.stop();
                false
            }
        });
        self.shared.start_new(&mut targets, wanted);
        drop(targets);
        self.shared.outlet.metrics.keep(&snapshot.backends);
    }

    /// A request found the target of this health cell refusing or resetting: probe it at once, a
    /// second after its last probe at the earliest. Cheap; may be called from any thread.
    pub fn suspect(&self, health_cell: u64) {
        let target = self.shared.targets().get(&health_cell).cloned();
        if let Some(target) = target {
            target.suspect(&self.shared.outlet);
        }
    }

    /// What is known of each target, by health cell.
    pub fn report(&self) -> BTreeMap<u64, TargetReport> {
        let targets = self.shared.targets().clone();
        targets
            .into_iter()
            .map(|(id, target)| (id, target.report().1))
            .collect()
    }

    /// Sees every change of health from now on.
    pub fn events(&self) -> broadcast::Receiver<HealthEvent> {
        self.shared.outlet.events.subscribe()
    }

    /// Makes `registry` show `gateway_backend_health`, `gateway_probe_duration_seconds` and
    /// `gateway_probe_failures_total`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.shared.outlet.metrics.register(registry);
        registry.register_collector(Box::new(HealthGauges(Arc::clone(&self.shared))));
    }

    /// Stops probing; returns when no probe is under way. Later updates start nothing.
    pub async fn stop(&self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Shared {
    fn start_new(
        &self,
        targets: &mut BTreeMap<u64, Arc<TargetProbe>>,
        new: BTreeMap<u64, Subject>,
    ) {
        let now = Instant::now();
        let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
        for (index, (id, subject)) in (0..count).zip(new) {
            let (_, interval) = subject.question.rhythm();
            // Evenly, from at once up to the whole spread: a single one does not wait.
            let first_probe_at = now + spread(interval) * index / count;
            let stopping = self.stopping.child_token();
            let target = Arc::new(TargetProbe::new(subject, first_probe_at, stopping));
            targets.insert(id, Arc::clone(&target));
            self.tasks
                .spawn_on(target.run(self.outlet.clone()), &self.runtime);
        }
    }

    /// A panic while the lock was held leaves a map that the next update puts right.
    fn targets(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<TargetProbe>>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn subject(backend: &Backend, target: &Target, material: &Material) -> Subject {
    let request = backend.probe.request(&backend.settings, target);
    let tls = material.probe_tls(backend, target, request.server_name.as_deref());
    Subject {
        pool: backend.pool.clone(),
        settings: backend.settings_name.clone(),
        host: target.host.clone(),
        address: target.address,
        cell: Arc::clone(&target.health),
        question: Arc::new(Question {
            plan: Arc::clone(&backend.probe),
            request,
            tls,
        }),
    }
}

/// Health as metrics, computed when somebody looks.
struct HealthGauges(Arc<Shared>);

impl fmt::Debug for HealthGauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthGauges")
    }
}

impl Collector for HealthGauges {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let targets = self.0.targets().clone();
        let reports = targets.values().map(|target| target.report());
        metrics::encode_health(reports, encoder)
    }
}
