//! When each tunnel of a drain is told what. Pure.

use std::time::Duration;

use super::TunnelKey;

/// The longest that Close frames are spread over: enough for clients not to come back all at once.
const LONGEST_SPREAD: Duration = Duration::from_secs(5);

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

/// Plans a drain of tunnels with the time that each has, in order of time. Each gets a slot of
/// its own in the window, and `random` (at least 0, below 1) says where in the slot.
pub(super) fn plan(
    tunnels: &[(TunnelKey, Duration)],
    mut random: impl FnMut() -> f64,
) -> Vec<Step> {
    let mut steps = Vec::with_capacity(tunnels.len() * 2);
    for (index, &(key, time)) in tunnels.iter().enumerate() {
        let spread = LONGEST_SPREAD.min(time / 2);
        let place = (index as f64 + random()) / tunnels.len() as f64;
        steps.push(Step {
            after: spread.mul_f64(place),
            key,
            action: Action::Close,
        });
        steps.push(Step {
            after: time,
            key,
            action: Action::Cut,
        });
    }
    steps.sort_by_key(|step| step.after);
    steps
}
