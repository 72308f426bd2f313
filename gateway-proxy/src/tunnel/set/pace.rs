//! When each tunnel of a drain is told what. Pure.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::TunnelKey;

/// The longest that Close frames are spread over unless somebody says: enough for clients not to
/// come back all at once.
const LONGEST_SPREAD: Duration = Duration::from_secs(5);
/// The share of each tunnel, so that a few are not kept waiting for a window made for many.
const SPREAD_PER_TUNNEL: Duration = Duration::from_millis(10);
/// What the last that are told have at least for their closing handshake, or half of the time.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// How fast tunnels are told to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Over the `closeOver` of each tunnel's HTTP settings; by number and time where there is none.
    Settings,
    /// Spread over so long.
    Over(Duration),
    /// So many a second, all workers together, the oldest of each worker first.
    PerSecond(NonZeroU32),
    /// All now.
    AtOnce,
}

/// Whose turn it is when so many a second are told, all workers together.
#[derive(Debug)]
pub(crate) struct Tickets {
    per_second: NonZeroU32,
    drawn: AtomicU64,
}

impl Tickets {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        let drawn = AtomicU64::new(0);
        Self { per_second, drawn }
    }

    /// The next turn, from the start of the drain; `place` (at least 0, below 1) says where in it.
    fn draw(&self, place: f64) -> Duration {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        Duration::from_secs_f64((number as f64 + place) / f64::from(self.per_second.get()))
    }
}

/// What a tunnel is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// To say Close.
    Close,
    /// To end, whatever its peers say.
    Cut,
}

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// When, from the start of the drain.
    pub(super) after: Duration,
    /// To whom.
    pub(super) key: TunnelKey,
    /// What.
    pub(super) action: Action,
}

/// A tunnel that is to be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) key: TunnelKey,
    /// What it has until it is cut.
    pub(super) time: Duration,
    /// `closeOver` of its settings.
    pub(super) close_over: Option<Duration>,
}

/// What one worker does in a drain, in order of time.
pub(super) struct Schedule {
    closes: VecDeque<Planned>,
    cuts: BinaryHeap<Reverse<(Duration, TunnelKey)>>,
    tickets: Option<(Arc<Tickets>, Option<Duration>)>,
    random: fn() -> f64,
}

struct Planned {
    key: TunnelKey,
    /// When; turns are drawn as they come.
    at: Option<Duration>,
    /// From then to the cut.
    rest: Duration,
}

impl Schedule {
    /// Plans for `candidates`. Each has a slot of its own in its window, and `random` (at least 0,
    /// below 1) says where in the slot.
    pub(super) fn new(
        candidates: &[Candidate],
        pace: Pace,
        tickets: Option<Arc<Tickets>>,
        random: fn() -> f64,
    ) -> Self {
        let count = candidates.len();
        let planned = candidates.iter().enumerate().map(|(index, candidate)| {
            let place = (index as f64 + random()) / count as f64;
            let time = candidate.time;
            let at = window(candidate, pace, count).map(|window| window.mul_f64(place));
            Planned {
                key: candidate.key,
                at,
                rest: at.map_or(time, |at| time.saturating_sub(at)),
            }
        });
        let mut closes: Vec<_> = planned.collect();
        closes.sort_by_key(|planned| (planned.at, planned.key.serial));
        Self {
            closes: closes.into(),
            cuts: BinaryHeap::new(),
            tickets: tickets.map(|tickets| (tickets, None)),
            random,
        }
    }

    /// Cuts one more, which somebody else has told to close.
    pub(super) fn cut_too(&mut self, key: TunnelKey, after: Duration) {
        self.cuts.push(Reverse((after, key)));
    }

    /// The next thing to do. Tunnels that are not to be told any more (`waits` says no) are passed
    /// over, and take nobody's turn.
    pub(super) fn next(&mut self, waits: impl Fn(TunnelKey) -> bool) -> Option<Step> {
        while self.closes.front().is_some_and(|next| !waits(next.key)) {
            self.closes.pop_front();
        }
        let cut_at = self.cuts.peek().map(|Reverse((at, _))| *at);
        if let Some(after) = self.close_at()
            && cut_at.is_none_or(|cut_at| after <= cut_at)
            && let Some(Planned { key, rest, .. }) = self.closes.pop_front()
        {
            self.tickets = self.tickets.take().map(|(tickets, _)| (tickets, None));
            self.cut_too(key, after + rest);
            let action = Action::Close;
            return Some(Step { after, key, action });
        }
        let Reverse((after, key)) = self.cuts.pop()?;
        let action = Action::Cut;
        Some(Step { after, key, action })
    }

    fn close_at(&mut self) -> Option<Duration> {
        let next = self.closes.front()?;
        match (&mut self.tickets, next.at) {
            (Some((tickets, drawn)), None) => {
                Some(*drawn.get_or_insert_with(|| tickets.draw((self.random)())))
            }
            (_, at) => Some(at.unwrap_or_default()),
        }
    }
}

/// What the Close frames are spread over; `None` where turns are drawn. One that is told at the end
/// of it has time left to answer.
fn window(candidate: &Candidate, pace: Pace, count: usize) -> Option<Duration> {
    let time = candidate.time;
    let over = match pace {
        Pace::PerSecond(_) => return None,
        Pace::AtOnce => return Some(Duration::ZERO),
        Pace::Over(over) => Some(over),
        Pace::Settings => candidate.close_over,
    };
    if let Some(over) = over {
        return Some(over.min(time - LAST_ANSWERS.min(time / 2)));
    }
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let enough = LONGEST_SPREAD.min(SPREAD_PER_TUNNEL.saturating_mul(count));
    Some(enough.min(time / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key(slot: usize) -> TunnelKey {
        let serial = slot as u64;
        TunnelKey { slot, serial }
    }

    fn candidates(count: usize, time: Duration, close_over: Option<Duration>) -> Vec<Candidate> {
        let candidate = |slot| Candidate {
            key: key(slot),
            time,
            close_over,
        };
        (0..count).map(candidate).collect()
    }

    fn steps(mut schedule: Schedule) -> Vec<Step> {
        std::iter::from_fn(|| schedule.next(|_| true)).collect()
    }

    fn closes(steps: &[Step]) -> Vec<Duration> {
        let closes = steps.iter().filter(|step| step.action == Action::Close);
        closes.map(|step| step.after).collect()
    }

    #[test]
    fn closes_are_spread_evenly_over_their_window() {
        let (millis, settings) = (Duration::from_millis, Pace::Settings);
        let rows = [
            // tunnels, time for the drain in ms, closeOver in s, pace, first and last Close in ms
            (1, 30_000, None, settings, 5, 5),
            (4, 30_000, None, settings, 5, 35),
            (1_000, 30_000, None, settings, 2, 4_997),
            (1_000, 2_000, None, settings, 0, 999),
            (3, 0, None, settings, 0, 0),
            (1_000, 30_000, Some(10), settings, 5, 9_995),
            (1_000, 30_000, Some(60), settings, 12, 24_987),
            (4, 2_000, Some(60), settings, 125, 875),
            (1_000, 30_000, Some(60), Pace::Over(10 * SECOND), 5, 9_995),
            (9, 30_000, Some(60), Pace::AtOnce, 0, 0),
        ];
        for (count, time, over, pace, first, last) in rows {
            let over = over.map(Duration::from_secs);
            let candidates = candidates(count, millis(time), over);
            let closes = closes(&steps(Schedule::new(&candidates, pace, None, || 0.5)));
            assert_eq!(closes.len(), count);
            assert_eq!(
                closes[0].as_millis(),
                first,
                "{count} in {time} ms, {pace:?}"
            );
            let latest = closes[count - 1].as_millis();
            assert_eq!(latest, last, "{count} in {time} ms, {pace:?}");
        }
    }

    #[test]
    fn every_tunnel_is_cut_when_its_time_is_up() {
        let candidates = candidates(5, 3 * SECOND, None);
        let steps = steps(Schedule::new(&candidates, Pace::Settings, None, || 0.999));
        assert_eq!(closes(&steps[..5]).len(), 5);
        for step in &steps[5..] {
            assert_eq!((step.action, step.after), (Action::Cut, 3 * SECOND));
        }
    }

    #[test]
    fn so_many_a_second_are_told_by_all_workers_together_and_each_has_its_time() {
        let rate = NonZeroU32::new(10).unwrap();
        let tickets = Arc::new(Tickets::new(rate));
        let schedule = |count| {
            let candidates = candidates(count, SECOND, None);
            let tickets = Some(Arc::clone(&tickets));
            Schedule::new(&candidates, Pace::PerSecond(rate), tickets, || 0.0)
        };
        let (mut one, mut two) = (schedule(2), schedule(1));
        let next = |schedule: &mut Schedule| {
            let step = schedule.next(|_| true).unwrap();
            (step.action, step.after.as_millis())
        };
        assert_eq!(next(&mut one), (Action::Close, 0));
        assert_eq!(next(&mut two), (Action::Close, 100));
        assert_eq!(next(&mut one), (Action::Close, 200));
        assert_eq!(next(&mut one), (Action::Cut, 1_000));
        assert_eq!(next(&mut two), (Action::Cut, 1_100));
        assert_eq!(next(&mut one), (Action::Cut, 1_200));
    }

    #[test]
    fn who_has_gone_takes_nobodys_turn() {
        let rate = NonZeroU32::new(10).unwrap();
        let tickets = Some(Arc::new(Tickets::new(rate)));
        let candidates = candidates(4, SECOND, None);
        let mut schedule = Schedule::new(&candidates, Pace::PerSecond(rate), tickets, || 0.0);
        let step = schedule.next(|key| key.slot > 1).unwrap();
        assert_eq!((step.key, step.after), (key(2), Duration::ZERO));
        let step = schedule.next(|_| true).unwrap();
        assert_eq!((step.key, step.after), (key(3), SECOND / 10));
    }
}
