//! When each tunnel of a drain is told what. Pure.

use std::time::Duration;

use super::TunnelKey;

/// The longest that Close frames are spread over: enough for clients not to come back all at once.
const LONGEST_SPREAD: Duration = Duration::from_secs(5);
/// The share of each tunnel, so that a few are not kept waiting for a window made for many.
const SPREAD_PER_TUNNEL: Duration = Duration::from_millis(10);

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
    let count = u32::try_from(tunnels.len()).unwrap_or(u32::MAX);
    let enough = LONGEST_SPREAD.min(SPREAD_PER_TUNNEL.saturating_mul(count));
    let mut steps = Vec::with_capacity(tunnels.len() * 2);
    for (index, &(key, time)) in tunnels.iter().enumerate() {
        let spread = enough.min(time / 2);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(count: usize, time: Duration, random: f64) -> Vec<(Action, Duration)> {
        let key = |slot| TunnelKey { slot, serial: 0 };
        let tunnels: Vec<_> = (0..count).map(|slot| (key(slot), time)).collect();
        let steps = plan(&tunnels, || random);
        steps.iter().map(|step| (step.action, step.after)).collect()
    }

    #[test]
    fn closes_are_spread_evenly_over_a_window_that_grows_with_their_number() {
        let rows = [
            // tunnels, time for the drain in ms, first and last Close in ms
            (1, 30_000, 5, 5),
            (4, 30_000, 5, 35),
            (1_000, 30_000, 2, 4_997),
            (1_000, 2_000, 0, 999),
            (3, 0, 0, 0),
        ];
        for (count, time, first, last) in rows {
            let time = Duration::from_millis(time);
            let closes: Vec<_> = planned(count, time, 0.5)
                .into_iter()
                .filter_map(|(action, after)| (action == Action::Close).then_some(after))
                .collect();
            assert_eq!(closes.len(), count);
            assert_eq!(closes[0].as_millis(), first, "{count} in {time:?}");
            assert_eq!(closes[count - 1].as_millis(), last, "{count} in {time:?}");
        }
    }

    #[test]
    fn every_tunnel_is_cut_when_its_time_is_up() {
        let time = Duration::from_secs(3);
        let steps = planned(5, time, 0.999);
        assert_eq!(steps[5..], [(Action::Cut, time); 5]);
    }
}
