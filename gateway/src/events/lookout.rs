//! Makes events of what is only counted: once a second, the difference to what was told before. So a
//! storm of refusals is one event, and a drain of ten thousand tunnels one a second. Pure.

use std::collections::BTreeMap;

use gateway_admin::{DrainChange, Happening, Refusal, RefusedHandshakes};
use gateway_core::tunnels::{DrainReport, DrainState};
use gateway_proxy::HandshakeFailures;

/// So many refusals are told in one event: those with most.
const REFUSALS: usize = 100;
/// So many events of drains are told at a time; the others come with the next look.
const DRAINS: usize = 100;

/// What was told before.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    handshakes: BTreeMap<(String, String, &'static str), u64>,
    drains: BTreeMap<u64, DrainReport>,
}

impl Lookout {
    /// `totals` are all failures since the start.
    pub(super) fn handshakes(&mut self, totals: Vec<HandshakeFailures>) -> Option<Happening> {
        let mut now = BTreeMap::new();
        let mut refusals = Vec::new();
        for total in totals {
            let (listener, pool) = (total.listener.to_string(), total.pool.to_string());
            let key = (listener, pool, total.reason);
            // A listener that left and came back counts anew.
            let before = self.handshakes.get(&key).copied().unwrap_or(0);
            let count = total.count.checked_sub(before).unwrap_or(total.count);
            if count > 0 {
                refusals.push(Refusal {
                    listener: key.0.clone(),
                    pool: key.1.clone(),
                    reason: key.2,
                    count,
                });
            }
            now.insert(key, total.count);
        }
        self.handshakes = now;
        if refusals.is_empty() {
            return None;
        }
        let count = refusals.iter().map(|refusal| refusal.count).sum();
        refusals.sort_by_key(|refusal| std::cmp::Reverse(refusal.count));
        refusals.truncate(REFUSALS);
        Some(Happening::RefusedHandshakes(RefusedHandshakes {
            count,
            refusals,
        }))
    }

    /// `reports` are all drains that are known, the oldest first.
    pub(super) fn drains(&mut self, reports: Vec<DrainReport>) -> Vec<Happening> {
        let known = |id: &u64| reports.iter().any(|report| report.id == *id);
        self.drains.retain(|id, _| known(id));
        let mut told = Vec::new();
        for report in reports {
            if told.len() >= DRAINS {
                break;
            }
            let before = self.drains.get(&report.id);
            if before == Some(&report) {
                continue;
            }
            let phases = phases(before.map(|before| before.state), report.state);
            told.extend(phases.iter().map(|phase| change(&report, phase)));
            self.drains.insert(report.id, report);
        }
        told
    }
}

/// What a drain has come to since it was told of.
fn phases(before: Option<DrainState>, now: DrainState) -> &'static [&'static str] {
    use DrainState::{Cancelled, Finished, Running};
    match (before, now) {
        (None, Running) => &["Started"],
        (None, Cancelled) => &["Started", "Cancelled"],
        (None, Finished) => &["Started", "Finished"],
        (Some(Running), Running) => &["Progress"],
        (Some(Cancelled | Finished), Running) => &["Resumed"],
        (Some(Running | Finished), Cancelled) => &["Cancelled"],
        (Some(Running | Cancelled), Finished) => &["Finished"],
        // Tunnels that were told to close before it was cancelled still end.
        (Some(Cancelled), Cancelled) | (Some(Finished), Finished) => &["Progress"],
    }
}

fn change(report: &DrainReport, phase: &'static str) -> Happening {
    Happening::Drain(DrainChange {
        id: report.id,
        phase,
        kind: report.kind.as_str(),
        what: report.what.clone(),
        total: report.total,
        told: report.told,
        closed: report.closed,
        cut: report.cut,
        kept: report.kept,
        left: report.left(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use gateway_core::tunnels::DrainKind;

    use super::*;

    fn failures(listener: &str, reason: &'static str, count: u64) -> HandshakeFailures {
        HandshakeFailures {
            listener: listener.into(),
            pool: "web".into(),
            reason,
            count,
        }
    }

    /// What is told of handshakes, in short: how many in all, and by listener and reason.
    fn refused(told: Option<Happening>) -> Option<(u64, Vec<String>)> {
        let Happening::RefusedHandshakes(told) = told? else {
            panic!("something else");
        };
        let each = told.refusals.iter();
        let each = each.map(|one| format!("{} {} {}", one.listener, one.reason, one.count));
        Some((told.count, each.collect()))
    }

    #[test]
    fn a_second_of_refusals_is_one_event() {
        let mut lookout = Lookout::default();
        assert_eq!(refused(lookout.handshakes(vec![])), None);
        let totals = || vec![failures("a", "key", 3), failures("b", "rate", 70_000)];
        let told = refused(lookout.handshakes(totals()));
        let expected = vec!["b rate 70000".to_owned(), "a key 3".to_owned()];
        assert_eq!(told, Some((70_003, expected)));
        assert_eq!(refused(lookout.handshakes(totals())), None);
        let more = vec![failures("a", "key", 3), failures("b", "rate", 70_001)];
        let told = refused(lookout.handshakes(more));
        assert_eq!(told, Some((1, vec!["b rate 1".to_owned()])));
        // The listener left, and counts anew since it came back.
        let told = refused(lookout.handshakes(vec![failures("b", "rate", 2)]));
        assert_eq!(told, Some((2, vec!["b rate 2".to_owned()])));
    }

    #[test]
    fn many_kinds_are_told_by_those_with_most() {
        let names: Vec<String> = (0..REFUSALS + 50).map(|name| name.to_string()).collect();
        let totals = names.iter().zip(1..);
        let totals = totals.map(|(name, count)| failures(name, "rate", count));
        let (count, each) = refused(Lookout::default().handshakes(totals.collect())).unwrap();
        assert_eq!((count, each.len()), (150 * 151 / 2, REFUSALS));
        assert_eq!(each[0], "149 rate 150");
    }

    fn report(id: u64, state: DrainState, closed: usize) -> DrainReport {
        DrainReport {
            id,
            kind: DrainKind::TargetDrained,
            what: "10.0.0.4:80 in web".into(),
            state,
            started_at: SystemTime::UNIX_EPOCH,
            deadline: None,
            total: 10,
            told: closed,
            closed,
            cut: 0,
            kept: 0,
        }
    }

    fn drained(told: &[Happening]) -> Vec<String> {
        let short = |told: &Happening| {
            let Happening::Drain(drain) = told else {
                panic!("{told:?}");
            };
            format!("{} {} {}", drain.id, drain.phase, drain.left)
        };
        told.iter().map(short).collect()
    }

    #[test]
    fn a_drain_is_told_when_it_has_come_further() {
        use DrainState::{Cancelled, Finished, Running};
        let mut lookout = Lookout::default();
        let rows: [(DrainState, usize, &[&str]); 8] = [
            (Running, 0, &["1 Started 10"]),
            (Running, 0, &[]),
            (Running, 4, &["1 Progress 6"]),
            (Cancelled, 4, &["1 Cancelled 6"]),
            (Cancelled, 5, &["1 Progress 5"]),
            (Running, 5, &["1 Resumed 5"]),
            (Finished, 10, &["1 Finished 0"]),
            (Finished, 10, &[]),
        ];
        for (state, closed, expected) in rows {
            let told = lookout.drains(vec![report(1, state, closed)]);
            assert_eq!(drained(&told), expected, "{state:?} {closed}");
        }
        let told = lookout.drains(vec![report(2, Finished, 10)]);
        assert_eq!(drained(&told), ["2 Started 0", "2 Finished 0"]);
    }

    #[test]
    fn many_drains_wait_their_turn() {
        let mut lookout = Lookout::default();
        let all = || (0..150).map(|id| report(id, DrainState::Running, 0));
        assert_eq!(lookout.drains(all().collect()).len(), DRAINS);
        let told = lookout.drains(all().collect());
        assert_eq!(drained(&told)[0], "100 Started 10");
        assert_eq!(told.len(), 50);
        assert!(lookout.drains(all().collect()).is_empty());
    }
}
