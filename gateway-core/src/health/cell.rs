//! A target's health as requests see it: read often, written seldom.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// In [`HealthCell::serves_since`]: nobody has looked yet.
const NEVER: i64 = i64::MIN;

/// What is known of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not probed yet: served, and probed at once.
    Unknown,
    /// Served.
    Up,
    /// Not served.
    Down,
}

impl Health {
    /// Whether requests may go there.
    pub fn is_serving(self) -> bool {
        self != Self::Down
    }
}

/// One target's health under one set of HTTP settings. Written by the prober, read by workers.
#[derive(Debug)]
pub struct HealthCell {
    /// Names the cell for as long as its (pool, settings, target) is configured.
    pub id: u64,
    state: AtomicU8,
    /// Since when slow start counts, as [`moment`] has it.
    serves_since: AtomicI64,
}

impl HealthCell {
    /// A cell that knows nothing yet.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            state: AtomicU8::new(Health::Unknown as u8),
            serves_since: AtomicI64::new(NEVER),
        }
    }

    /// What is known now.
    pub fn health(&self) -> Health {
        match self.state.load(Ordering::Relaxed) {
            state if state == Health::Up as u8 => Health::Up,
            state if state == Health::Down as u8 => Health::Down,
            _ => Health::Unknown,
        }
    }

    /// Makes `health` known to the workers.
    pub fn set(&self, health: Health) {
        self.state.store(health as u8, Ordering::Relaxed);
    }

    /// The target serves again from `now` on: its slow start begins anew. To be called before
    /// [`set`](Self::set), so that no worker takes it for one that never went.
    pub fn came_back(&self, now: Instant) {
        self.serves_since.store(moment(now), Ordering::Relaxed);
    }

    /// How long the target has served since it was new, or came back. A new one begins when this
    /// is first asked: by a worker that has something for it, or by the prober that found it well.
    pub fn serving_for(&self, now: Instant) -> Duration {
        let now = moment(now);
        let since = match self.serves_since.load(Ordering::Relaxed) {
            NEVER => self
                .serves_since
                .compare_exchange(NEVER, now, Ordering::Relaxed, Ordering::Relaxed)
                .map_or_else(|since| since, |_| now),
            since => since,
        };
        Duration::from_nanos(u64::try_from(now.saturating_sub(since)).unwrap_or(0))
    }
}

/// An `Instant` does not fit into an atomic; its distance in nanoseconds from another one does. Which
/// one that is does not matter, as only differences are looked at.
fn moment(at: Instant) -> i64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let origin = *ORIGIN.get_or_init(|| at);
    let nanos = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
    match at.checked_duration_since(origin) {
        Some(after) => nanos(after),
        None => -nanos(origin.duration_since(at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_serves_since_it_was_first_looked_at_or_came_back() {
        #[expect(clippy::disallowed_methods, reason = "a moment to count from")]
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let cell = HealthCell::new(1);
        let seconds = |now| cell.serving_for(at(now)).as_secs();
        assert_eq!([seconds(100), seconds(130), seconds(99)], [0, 30, 0]);
        cell.came_back(at(200));
        assert_eq!([seconds(190), seconds(200), seconds(207)], [0, 0, 7]);
        // The origin may be later than what is asked for.
        let early = HealthCell::new(2);
        early.came_back(at(0));
        assert_eq!(early.serving_for(at(50)).as_secs(), 50);
    }
}
