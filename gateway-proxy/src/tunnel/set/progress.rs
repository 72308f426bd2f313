//! Telling of tunnels that stay open: one look at all of them now and then, and no timer for any.

use std::time::{Duration, Instant};

use super::super::timers::now;
use super::TunnelSet;

impl TunnelSet {
    /// Tells of each tunnel for which another `progressIntervalInSec` has passed since the look
    /// at `last`. Returns when this look was.
    pub(crate) async fn look_for_progress(&self, last: Instant) -> Instant {
        let now = now();
        if self.told_of.get() > 0 {
            self.walk(|_, entry| {
                let tunnel = &*entry.tunnel;
                let interval = tunnel.settings.web_socket.progress_interval;
                if interval.is_some_and(|interval| is_due(interval, tunnel.opened, last, now)) {
                    self.tell_of(tunnel, tunnel.progress());
                }
            })
            .await;
        }
        now
    }
}

/// Whether a multiple of `interval` since `opened` came behind `last`, and not behind `now`.
fn is_due(interval: Duration, opened: Instant, last: Instant, now: Instant) -> bool {
    let passed = |at: Instant| {
        let age = at.saturating_duration_since(opened).as_nanos();
        age / interval.as_nanos().max(1)
    };
    passed(now) > passed(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_told_of_once_an_interval() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let rows = [
            // Opened at; this look and the one before it; whether 3 s have passed once more.
            (500, 0, 1000, false),
            (500, 2500, 3499, false),
            (500, 2500, 3500, true),
            (500, 3500, 4500, false),
            (500, 6000, 7000, true),
            // A look that came late makes one record, not three.
            (500, 0, 60_000, true),
            // Opened behind the look that is made.
            (2500, 1000, 2000, false),
        ];
        for (opened, last, now, due) in rows {
            let interval = Duration::from_secs(3);
            let found = is_due(interval, at(opened), at(last), at(now));
            assert_eq!(found, due, "{opened} {last} {now}");
        }
    }
}
