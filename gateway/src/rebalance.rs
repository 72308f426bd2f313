//! Evens out pools that have grown: once a second where `webSocket.rebalance` is set, and whenever
//! somebody asks.
//!
//! When and how many is core's [`Rebalancing`]; here are the counts, the clock and the drains. One
//! drain ends the surplus of one pool under one set of HTTP settings; it is listed, and can be
//! cancelled, like any other.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_admin::CannotRebalance;
use gateway_core::config::Balancing;
use gateway_core::health::Health;
use gateway_core::name::{HttpSettingsName, PoolName};
use gateway_core::routing::{Holding, Rebalancing, Share, Step};
use gateway_core::snapshot::{Backend, LoadCell, Snapshot, Target};
use gateway_core::tunnels::{
    DrainKind, DrainReport, DrainState, ListQuery, TunnelId, TunnelStatus,
};
use gateway_proxy::{DrainOrder, Pace, Proxy};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::{Mutex, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::live::Live;

/// How often pools are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// How fast a pool is evened out on request, where its settings do not say.
const TUNNELS_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("is above 0");
/// Clients that know the code come back at once, or after a moment (RFC 6455 section 7.4's registry).
const SERVICE_RESTART: u16 = 1012;
/// So many tunnels are listed at a time.
const PAGE: usize = 10_000;

/// Evens out pools.
pub(crate) struct Rebalancer {
    live: watch::Receiver<Arc<Live>>,
    proxy: Arc<Proxy>,
    pools: Mutex<BTreeMap<Key, Pool>>,
    told: Counter,
}

type Key = (PoolName, HttpSettingsName);

/// What is done about one pool under one set of HTTP settings.
#[derive(Default)]
struct Pool {
    rebalancing: Rebalancing,
    drain: Option<Running>,
}

/// The drain that ends its surplus.
struct Running {
    id: u64,
    /// How many of its tunnels are counted as told.
    told: usize,
}

impl Rebalancer {
    pub(crate) fn new(
        live: watch::Receiver<Arc<Live>>,
        proxy: Arc<Proxy>,
        registry: &mut Registry,
    ) -> Self {
        let told = Counter::default();
        registry.register(
            "gateway_tunnels_rebalanced",
            "Tunnels that were told to close so that their clients go to a target that has fewer",
            told.clone(),
        );
        Self {
            live,
            proxy,
            pools: Mutex::default(),
            told,
        }
    }

    /// Looks at all pools once a second until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.look().await;
        }
    }

    /// Evens `pool` out now, whatever its settings say. Answers with the drains that do it, one for
    /// each set of HTTP settings under which it is uneven.
    ///
    /// # Errors
    /// When there is no such pool, or its clients would come back to where they were.
    pub(crate) async fn once(
        &self,
        pool: &str,
        per_second: Option<NonZeroU32>,
    ) -> Result<Vec<DrainReport>, CannotRebalance> {
        let snapshot = self.live.borrow().snapshot.clone();
        let name = PoolName::from(pool);
        let backends = snapshot.iter().flat_map(|snapshot| &snapshot.backends);
        let of_pool: Vec<&Arc<Backend>> = backends.filter(|one| one.pool == name).collect();
        let Some(snapshot) = snapshot.as_deref().filter(|_| !of_pool.is_empty()) else {
            return Err(CannotRebalance::NoPool { pool: pool.into() });
        };
        let mut pools = self.pools.lock().await;
        let (mut drains, mut hashed) = (Vec::new(), 0);
        for backend in &of_pool {
            if is_hashed(snapshot, backend) {
                hashed += 1;
                continue;
            }
            let state = pools.entry(key(backend)).or_default();
            if !state.rebalancing.is_closing() {
                let members = Members::of(snapshot, backend);
                if let Step::Close(counts) = state.rebalancing.begin(&members.holdings) {
                    let surplus = members.targets.into_iter().zip(counts);
                    self.close(backend, state, surplus, per_second).await;
                }
            }
            drains.extend(self.progress(state));
        }
        if hashed == of_pool.len() {
            return Err(CannotRebalance::Hashed { pool: pool.into() });
        }
        Ok(drains)
    }

    async fn look(&self) {
        let Some(snapshot) = self.live.borrow().snapshot.clone() else {
            return;
        };
        let mut pools = self.pools.lock().await;
        let mut known = std::mem::take(&mut *pools);
        for backend in &snapshot.backends {
            let state = known.remove(&key(backend));
            let setting = backend.settings.web_socket.rebalance;
            if (setting.is_none() && state.is_none()) || is_hashed(&snapshot, backend) {
                continue;
            }
            let mut state = state.unwrap_or_default();
            let threshold = setting.map(|setting| setting.threshold_percent);
            self.step(&snapshot, backend, &mut state, threshold).await;
            if setting.is_some() || state.rebalancing.is_closing() {
                pools.insert(key(backend), state);
            }
        }
    }

    async fn step(
        &self,
        snapshot: &Snapshot,
        backend: &Backend,
        state: &mut Pool,
        threshold: Option<u32>,
    ) {
        let progress = self.progress(state);
        if let (Some(running), Some(progress)) = (&mut state.drain, &progress) {
            self.told.inc_by((progress.told - running.told) as u64);
            running.told = progress.told;
        }
        let is_cancelled = |progress: &DrainReport| progress.state == DrainState::Cancelled;
        if state.rebalancing.is_closing() && progress.as_ref().is_some_and(is_cancelled) {
            state.rebalancing.pause(Instant::now());
        }
        let running = progress.filter(|progress| progress.state == DrainState::Running);
        let left = running.map(|running| {
            let done = running.told.max(running.closed + running.cut);
            running.total.saturating_sub(done) as u64
        });
        let members = Members::of(snapshot, backend);
        let (now, holdings) = (Instant::now(), &members.holdings);
        match state.rebalancing.step(now, holdings, left, threshold) {
            Step::Nothing => {}
            Step::Close(counts) => {
                let surplus = members.targets.into_iter().zip(counts);
                self.close(backend, state, surplus, None).await;
            }
            Step::Stop => {
                if let Some(running) = &state.drain {
                    self.proxy.cancel_drain(running.id).await;
                }
            }
        }
    }

    /// How far the last drain has come; `None` where it is forgotten, or there was none.
    fn progress(&self, state: &Pool) -> Option<DrainReport> {
        let id = state.drain.as_ref()?.id;
        let mut drains = self.proxy.drains().into_iter();
        drains.find(|drain| drain.id == id)
    }

    /// Closes so many of each target's tunnels under the backend's settings, the oldest.
    async fn close(
        &self,
        backend: &Backend,
        state: &mut Pool,
        surplus: impl Iterator<Item = (&Arc<Target>, u32)>,
        per_second: Option<NonZeroU32>,
    ) {
        let mut chosen = HashSet::new();
        for (target, count) in surplus {
            chosen.extend(self.oldest(backend, target, count as usize).await);
        }
        state.drain = None;
        if chosen.is_empty() {
            return;
        }
        let setting = backend.settings.web_socket.rebalance;
        let rate = per_second.or(setting.map(|setting| setting.tunnels_per_second));
        let order = DrainOrder {
            kind: DrainKind::Rebalance,
            what: format!("{} by {}", backend.pool, backend.settings_name),
            code: Some(SERVICE_RESTART),
            reason: "rebalancing".to_owned(),
            pace: Pace::PerSecond(rate.unwrap_or(TUNNELS_PER_SECOND)),
            time: None,
        };
        let drain = self
            .proxy
            .end_tunnels(order, move |tunnel| chosen.contains(&tunnel.id));
        let drain = drain.await;
        state.drain = Some(Running {
            id: drain.id,
            told: 0,
        });
    }

    async fn oldest(&self, backend: &Backend, target: &Target, count: usize) -> Vec<TunnelId> {
        let mut chosen = Vec::new();
        let address = target.address.to_string();
        let query = ListQuery::parse([
            ("pool", backend.pool.as_str()),
            ("target", &address),
            ("sort", "openedAt"),
        ]);
        let Ok(mut query) = query else {
            return chosen;
        };
        query.limit = PAGE;
        while chosen.len() < count {
            let (tunnels, next) = self.proxy.tunnels(query.clone()).await.finish();
            let own = tunnels.into_iter().filter(|tunnel| {
                tunnel.status == TunnelStatus::Open
                    && HttpSettingsName::from(&*tunnel.settings) == backend.settings_name
            });
            chosen.extend(own.take(count - chosen.len()).map(|tunnel| tunnel.id));
            query.after = next;
            if next.is_none() {
                break;
            }
        }
        chosen
    }
}

fn key(backend: &Backend) -> Key {
    (backend.pool.clone(), backend.settings_name.clone())
}

/// Whether clients would come back to where they were: their addresses decide.
fn is_hashed(snapshot: &Snapshot, backend: &Backend) -> bool {
    let mut routes = snapshot.routes.iter();
    routes.any(|route| {
        route.backend.index == backend.index && route.policy.balancing == Balancing::IpHash
    })
}

/// The targets that share a pool's tunnels: those that are up and do not drain.
struct Members<'s> {
    targets: Vec<&'s Arc<Target>>,
    /// What each has.
    holdings: Vec<Holding>,
}

impl<'s> Members<'s> {
    /// A target in slow start has a part of its weight, as it has for those who come back.
    fn of(snapshot: &Snapshot, backend: &'s Backend) -> Self {
        let routes = snapshot.routes.iter();
        let slow_start = routes
            .filter(|route| route.backend.index == backend.index)
            .filter_map(|route| route.policy.slow_start)
            .max();
        let now = Instant::now();
        let targets = backend.targets.iter();
        let targets: Vec<_> = targets
            .filter(|target| target.health.health() == Health::Up && !target.drain.is_draining())
            .collect();
        let share = |target: &Target| {
            slow_start.map_or(Share::WHOLE, |length| {
                Share::reached(&target.health, length, now)
            })
        };
        let all_begin = targets.iter().all(|target| share(target) < Share::WHOLE);
        let holdings = targets.iter().map(|target| {
            // Each cell is written while it is read.
            let open = |cell: &LoadCell| cell.tunnels().saturating_sub(cell.closing());
            Holding {
                tunnels: target.load.iter().map(open).sum(),
                closing: target.load.iter().map(LoadCell::closing).sum(),
                weight: match all_begin {
                    true => Share::WHOLE.of(target.weight.get()),
                    false => share(target).of(target.weight.get()),
                },
            }
        });
        let holdings = holdings.collect();
        Self { targets, holdings }
    }
}
