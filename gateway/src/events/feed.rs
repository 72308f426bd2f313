//! What becomes an event: health from the prober, publications from the supervisor, the phases of the
//! process, and what the proxy counts.

use std::sync::Arc;
use std::time::Duration;

use gateway_admin::{Happening, HealthChange, ProcessChange, Publication};
use gateway_core::health::Health;
use gateway_core::resource::changes_between;
use gateway_probe::{HealthEvent, Prober};
use gateway_proxy::Proxy;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::EventBus;
use super::lookout::Lookout;
use crate::live::Live;
use crate::shutdown::Phase;

/// Publications that may wait to be told. Telling one takes a fraction of what making one takes.
const WAITING_PUBLICATIONS: usize = 64;

/// How often it is looked at what is only counted.
const LOOK: Duration = Duration::from_secs(1);

/// So many changes are told of one publication; a document may have thousands.
const CHANGES: usize = 100;

/// One thing was published in another's place.
#[derive(Debug)]
pub(crate) struct Published {
    /// What was live.
    pub(crate) before: Arc<Live>,
    /// What is.
    pub(crate) after: Arc<Live>,
    /// Why.
    pub(crate) cause: &'static str,
}

/// Where the supervisor says what it published.
#[derive(Debug, Clone)]
pub(crate) struct Publications(mpsc::Sender<Published>);

impl Publications {
    /// Something was published.
    pub(crate) async fn tell(&self, published: Published) {
        // Nobody hears it any more when the process ends.
        let _ = self.0.send(published).await;
    }
}

/// Everything that events are made of.
pub(crate) struct Feed {
    health: broadcast::Receiver<HealthEvent>,
    phase: watch::Receiver<Phase>,
    publications: mpsc::Receiver<Published>,
    proxy: Arc<Proxy>,
    lookout: Lookout,
    looks: Interval,
}

impl Feed {
    /// Listens to `prober` and `phase` from now on, looks at what `proxy` counts, and takes what the
    /// other half of the pair is told.
    pub(crate) fn new(
        prober: &Prober,
        proxy: &Arc<Proxy>,
        phase: watch::Receiver<Phase>,
    ) -> (Self, Publications) {
        let (sender, publications) = mpsc::channel(WAITING_PUBLICATIONS);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let feed = Self {
            health: prober.events(),
            phase,
            publications,
            proxy: Arc::clone(proxy),
            lookout: Lookout::default(),
            looks,
        };
        (feed, Publications(sender))
    }

    /// Makes events for `bus` until `stop`, and closes it then.
    pub(crate) async fn run(mut self, bus: EventBus, stop: CancellationToken) {
        while let Some(happenings) = stop.run_until_cancelled(self.next()).await {
            happenings.into_iter().for_each(|what| bus.tell(what));
        }
        // How the last drain ended.
        self.look().into_iter().for_each(|what| bus.tell(what));
        bus.tell(process_change("Ended"));
        bus.close();
    }

    /// What is only counted.
    fn look(&mut self) -> Vec<Happening> {
        let mut happenings = self.lookout.drains(self.proxy.drains());
        happenings.extend(self.lookout.handshakes(self.proxy.handshake_failures()));
        happenings
    }

    async fn next(&mut self) -> Vec<Happening> {
        loop {
            tokio::select! {
                Some(published) = self.publications.recv() => {
                    return vec![Happening::Revision(publication(&published))];
                }
                Ok(()) = self.phase.changed() => match *self.phase.borrow_and_update() {
                    Phase::Starting => {}
                    Phase::Serving => return vec![process_change("Serving")],
                    Phase::Draining => return vec![process_change("Draining")],
                },
                _ = self.looks.tick() => return self.look(),
                health = self.health.recv() => match health {
                    Ok(event) => return vec![Happening::Health(health_change(event))],
                    Err(RecvError::Lagged(lost)) => {
                        tracing::warn!(lost, "changes of health came faster than they were told");
                    }
                    // The prober lives as long as the process.
                    Err(RecvError::Closed) => return std::future::pending().await,
                },
            }
        }
    }
}

fn process_change(phase: &'static str) -> Happening {
    Happening::Process(ProcessChange { phase })
}

fn health_change(event: HealthEvent) -> HealthChange {
    HealthChange {
        pool: event.pool.to_string(),
        settings: event.settings.to_string(),
        address: event.host.to_string(),
        target: event.address.to_string(),
        from: health_name(event.from),
        to: health_name(event.to),
        reason: event.reason,
    }
}

fn health_name(health: Health) -> &'static str {
    match health {
        Health::Unknown => "Unknown",
        Health::Up => "Up",
        Health::Down => "Down",
    }
}

fn publication(published: &Published) -> Publication {
    let (before, after) = (&published.before, &published.after);
    let changes = match &after.document {
        // The same document with other answers of DNS, or other certificates, differs in nothing.
        Some(document) if before.revision != after.revision => {
            changes_between(before.document.as_deref(), document)
        }
        _ => Vec::new(),
    };
    let count = changes.len();
    Publication {
        revision: after.revision.0,
        generation: after.generation.0,
        cause: published.cause,
        changes: changes.into_iter().take(CHANGES).collect(),
        more_changes: count.saturating_sub(CHANGES),
    }
}
