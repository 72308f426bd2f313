//! One target under one set of HTTP settings: its tracker, and the task that asks it.

use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use gateway_core::config::TargetHost;
use gateway_core::health::{Health, HealthCell, HealthTracker, Transition};
use gateway_core::name::{HttpSettingsName, PoolName};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::probe::{Probed, Question, probe};
use crate::report::{HealthEvent, LastProbe, TargetReport};

/// When this machine had no descriptor for a probe, the next try is so much later.
const EXHAUSTED_PAUSE: Duration = Duration::from_secs(1);

/// Who is asked, and what.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) pool: PoolName,
    pub(crate) settings: HttpSettingsName,
    pub(crate) host: TargetHost,
    pub(crate) address: SocketAddr,
    pub(crate) cell: Arc<HealthCell>,
    pub(crate) question: Arc<Question>,
}

/// Where changes and measurements go.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    pub(crate) events: broadcast::Sender<HealthEvent>,
    pub(crate) metrics: Metrics,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct TargetProbe {
    state: Mutex<State>,
    /// The schedule or the question has changed.
    changed: Notify,
    /// The target is gone, or probing ends.
    stopping: CancellationToken,
}

#[derive(Debug)]
struct State {
    subject: Subject,
    tracker: HealthTracker,
    last_probe: Option<LastProbe>,
}

impl TargetProbe {
    /// Goes on from the health that the subject's cell has.
    pub(crate) fn new(
        subject: Subject,
        first_probe_at: Instant,
        stopping: CancellationToken,
    ) -> Self {
        let (threshold, interval) = subject.question.rhythm();
        let health = subject.cell.health();
        let since = SystemTime::now();
        Self {
            state: Mutex::new(State {
                subject,
                tracker: HealthTracker::new(health, since, threshold, interval, first_probe_at),
                last_probe: None,
            }),
            changed: Notify::new(),
            stopping,
        }
    }

    /// Goes on under `subject`, which has the same health cell. A probe under way that asks
    /// something else than is asked now is abandoned and sent anew.
    pub(crate) fn update(&self, mut subject: Subject) {
        let mut state = self.lock();
        let old = Arc::clone(&state.subject.question);
        if *old == *subject.question {
            subject.question = old;
        } else {
            let (threshold, interval) = subject.question.rhythm();
            if old.rhythm() != (threshold, interval) {
                state.tracker.retune(threshold, interval);
            }
            self.changed.notify_one();
        }
        subject.cell.set(state.tracker.health());
        state.subject = subject;
    }

    /// A request found the target refusing or resetting.
    pub(crate) fn suspect(&self, outlet: &Outlet) {
        let mut state = self.lock();
        let transition = state.tracker.suspect(Instant::now(), SystemTime::now());
        if let Some(transition) = transition {
            state.tell(&transition, "requests were refused or reset".into(), outlet);
        }
        self.changed.notify_one();
    }

    /// What is known now.
    pub(crate) fn report(&self) -> (Subject, TargetReport) {
        let state = self.lock();
        let until_next = state
            .tracker
            .next_probe_at()
            .saturating_duration_since(Instant::now());
        let report = TargetReport {
            health: state.tracker.health(),
            since: state.tracker.since(),
            failures: state.tracker.failures(),
            last_probe: state.last_probe.clone(),
            next_probe_at: SystemTime::now() + until_next,
        };
        (state.subject.clone(), report)
    }

    /// Ends the task; a probe under way is abandoned.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Asks whenever it is due, until stopped.
    pub(crate) async fn run(self: Arc<Self>, outlet: Outlet) {
        self.stopping
            .run_until_cancelled(self.ask_for_ever(&outlet))
            .await;
    }

    async fn ask_for_ever(&self, outlet: &Outlet) {
        loop {
            self.until_due().await;
            let question = Arc::clone(&self.lock().subject.question);
            let (started, wall) = (Instant::now(), SystemTime::now());
            let probed = tokio::select! {
                probed = probe(&question) => probed,
                () = self.question_changed(&question) => continue,
            };
            match probed {
                Probed::Asked(outcome) => {
                    let last_probe = LastProbe {
                        at: wall,
                        took: started.elapsed(),
                        outcome,
                    };
                    self.note(&question, started, last_probe, outlet);
                }
                Probed::NotAsked(error) => {
                    tracing::warn!(
                        address = %question.request.address,
                        %error,
                        "a probe could not be sent; the target's health stays as it is"
                    );
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
    }

    async fn until_due(&self) {
        loop {
            let due = self.lock().tracker.next_probe_at();
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => return,
                () = self.changed.notified() => {}
            }
        }
    }

    async fn question_changed(&self, asked: &Arc<Question>) {
        while Arc::ptr_eq(&self.lock().subject.question, asked) {
            self.changed.notified().await;
        }
    }

    fn note(
        &self,
        asked: &Arc<Question>,
        started: Instant,
        last_probe: LastProbe,
        outlet: &Outlet,
    ) {
        let mut state = self.lock();
        if self.stopping.is_cancelled() || !Arc::ptr_eq(&state.subject.question, asked) {
            return;
        }
        let (_, interval) = asked.rhythm();
        let transition = state.tracker.observe(
            &last_probe.outcome,
            started,
            Instant::now(),
            SystemTime::now(),
            jitter(interval),
        );
        outlet
            .metrics
            .observe(&state.subject.pool, &state.subject.settings, &last_probe);
        if let Some(transition) = transition {
            state.tell(&transition, last_probe.outcome.to_string(), outlet);
        }
        state.last_probe = Some(last_probe);
    }

    /// A panic while the lock was held leaves at worst one outcome half noted.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&self, transition: &Transition, reason: String, outlet: &Outlet) {
        let subject = &self.subject;
        let now = Instant::now();
        if transition.from == Health::Down {
            subject.cell.came_back(now);
        } else if transition.to == Health::Up {
            // A new one begins, though nobody may have anything for it yet.
            subject.cell.serving_for(now);
        }
        subject.cell.set(transition.to);
        tracing::info!(
            pool = %subject.pool,
            settings = %subject.settings,
            host = %subject.host,
            address = %subject.address,
            from = ?transition.from,
            to = ?transition.to,
            reason,
            "health changed"
        );
        // Nobody need be listening.
        let _ = outlet.events.send(HealthEvent {
            health_cell: subject.cell.id,
            pool: subject.pool.clone(),
            settings: subject.settings.clone(),
            host: subject.host.clone(),
            address: subject.address,
            from: transition.from,
            to: transition.to,
            at: self.tracker.since(),
            reason,
        });
    }
}

impl Question {
    /// Threshold and interval.
    pub(crate) fn rhythm(&self) -> (NonZeroU8, Duration) {
        (self.plan.unhealthy_threshold, self.plan.interval)
    }
}

/// How far probes of one interval are spread: a tenth of it, a second at most.
pub(crate) fn spread(interval: Duration) -> Duration {
    (interval / 10).min(Duration::from_secs(1))
}

fn jitter(interval: Duration) -> Duration {
    spread(interval).mul_f64(fastrand::f64())
}
