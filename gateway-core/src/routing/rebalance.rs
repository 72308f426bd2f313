//! When a pool's fullest targets give tunnels away, how many, and when that is looked at again.
//!
//! Pure: numbers of tunnels, weights and time come in; how many to close at whom comes out. A tunnel is
//! closed so that its client comes back and goes to somebody else; so until the clients are back, the
//! mean is that of before, and nothing more is closed.

use std::time::{Duration, Instant};

/// How long clients may take to come back.
const RETURN_TIME: Duration = Duration::from_secs(60);
/// The longest rest where they do not: each time that fewer than half of them came doubles it.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// How long nothing is done after somebody has stopped it.
const PAUSE: Duration = Duration::from_secs(600);

/// What one target has that is up and does not drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Its open tunnels, without those that are being closed.
    pub tunnels: u32,
    /// Those.
    pub closing: u32,
    /// Its weight; only compared with the others'.
    pub weight: u64,
}

impl Holding {
    fn with_closing(&self) -> Self {
        Self {
            tunnels: self.tunnels.saturating_add(self.closing),
            ..*self
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Nothing,
    /// Close so many of each target's tunnels, the oldest; in the order of the holdings.
    Close(Vec<u32>),
    /// Close no more of those that were to be closed: things have changed since.
    Stop,
}

/// How evenly one pool is filled, and what is done about it.
#[derive(Debug, Default)]
pub struct Rebalancing {
    state: State,
    /// How often in a row clients did not come back.
    fruitless: u32,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Watching,
    /// Tunnels are being closed. All together there were `expected`.
    Closing { expected: u64 },
    /// Their clients come back, or not.
    Resting {
        since: Instant,
        expected: u64,
        left: u64,
    },
    /// Somebody has stopped it.
    Paused { since: Instant },
}

impl Rebalancing {
    /// Judges by what is open now. `left_to_tell` is how many tunnels that the last
    /// [`Step::Close`] named are still to be told; `None` when all have been, and have ended.
    /// Without a `threshold_percent` nothing begins, and what has begun goes on.
    pub fn step(
        &mut self,
        now: Instant,
        holdings: &[Holding],
        left_to_tell: Option<u64>,
        threshold_percent: Option<u32>,
    ) -> Step {
        let total = total(holdings);
        match (self.state, left_to_tell) {
            (State::Closing { expected }, Some(left)) => {
                // Who was told counts until it has ended: it is left until then, too.
                let held: Vec<Holding> = holdings.iter().map(Holding::with_closing).collect();
                let surplus = surplus(&held, expected.max(total));
                if left <= surplus.iter().map(|&count| u64::from(count)).sum() {
                    return Step::Nothing;
                }
                self.rest(now, expected, total);
                return Step::Stop;
            }
            (State::Closing { expected }, None) => self.rest(now, expected, total),
            (State::Watching | State::Resting { .. } | State::Paused { .. }, _) => {}
        }
        match threshold_percent {
            Some(threshold_percent) if self.is_rested(now, total) => {
                self.state = State::Watching;
                let is_exceeded = exceeds(holdings, total, threshold_percent);
                if is_exceeded {
                    self.begin(holdings)
                } else {
                    Step::Nothing
                }
            }
            _ => Step::Nothing,
        }
    }

    /// Begins now, whatever the threshold and however short the rest: somebody asks for it.
    pub fn begin(&mut self, holdings: &[Holding]) -> Step {
        let expected = total(holdings);
        let surplus = surplus(holdings, expected);
        if surplus.iter().all(|&count| count == 0) {
            return Step::Nothing;
        }
        self.state = State::Closing { expected };
        Step::Close(surplus)
    }

    /// Somebody has stopped it: does nothing for a while, unless asked.
    pub fn pause(&mut self, now: Instant) {
        self.state = State::Paused { since: now };
    }

    /// Whether tunnels are being closed.
    pub fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing { .. })
    }

    /// Lets the clients come back: there were `expected` tunnels, and `left` are left.
    fn rest(&mut self, since: Instant, expected: u64, left: u64) {
        self.state = State::Resting {
            since,
            expected,
            left,
        };
    }

    /// Whether the clients of the last time are back, or have had their time.
    fn is_rested(&mut self, now: Instant, total: u64) -> bool {
        let (since, expected, left) = match self.state {
            State::Watching | State::Closing { .. } => return true,
            State::Paused { since } => return now.saturating_duration_since(since) >= PAUSE,
            State::Resting {
                since,
                expected,
                left,
            } => (since, expected, left),
        };
        if total >= expected {
            self.fruitless = 0;
            return true;
        }
        let doubled = RETURN_TIME.saturating_mul(1 << self.fruitless.min(6));
        if now.saturating_duration_since(since) < doubled.min(LONGEST_REST) {
            return false;
        }
        let (closed, back) = (expected.saturating_sub(left), total.saturating_sub(left));
        self.fruitless = if back * 2 < closed {
            self.fruitless + 1
        } else {
            0
        };
        true
    }
}

fn total(holdings: &[Holding]) -> u64 {
    let tunnels = holdings.iter().map(|holding| u64::from(holding.tunnels));
    tunnels.sum()
}

/// What each target of `total` tunnels would have by weight, over the sum of weights.
struct Mean {
    total: u128,
    weights: u128,
}

impl Mean {
    fn new(holdings: &[Holding], total: u64) -> Self {
        let weights = holdings.iter().map(|holding| u128::from(holding.weight));
        Self {
            total: u128::from(total),
            weights: weights.sum::<u128>().max(1),
        }
    }

    /// What is above the mean, in whole tunnels: closing them leaves it at the mean or above.
    fn surplus(&self, holding: &Holding) -> u32 {
        let share = self.total * u128::from(holding.weight);
        let mean = u32::try_from(share.div_ceil(self.weights)).unwrap_or(u32::MAX);
        holding.tunnels.saturating_sub(mean)
    }

    /// Whether there are more than `percent` above the mean, and a tunnel at least.
    fn is_exceeded(&self, holding: &Holding, percent: u32) -> bool {
        let share = self.total * u128::from(holding.weight);
        let has = u128::from(holding.tunnels) * self.weights * 100;
        self.surplus(holding) > 0 && has > share * (100 + u128::from(percent))
    }
}

/// How many each has above its mean of `total`.
fn surplus(holdings: &[Holding], total: u64) -> Vec<u32> {
    let mean = Mean::new(holdings, total);
    let surplus = holdings.iter().map(|holding| mean.surplus(holding));
    surplus.collect()
}

fn exceeds(holdings: &[Holding], total: u64, percent: u32) -> bool {
    let mean = Mean::new(holdings, total);
    let mut holdings = holdings.iter();
    holdings.any(|holding| mean.is_exceeded(holding, percent))
}

#[cfg(test)]
mod tests;
