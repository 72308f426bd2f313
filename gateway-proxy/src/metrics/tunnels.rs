//! Tunnels, and the handshakes that did not become one, of each listener and pool.
//!
//! A tunnel may outlive the rule that led to it, and even its listener and pool while it drains. So
//! these counts live as long as a snapshot or a tunnel has them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use gateway_core::name::{ListenerName, PoolName};
use gateway_core::snapshot::PerWorker;
use gateway_core::websocket::ConfirmError;

use super::{Count, TUNNEL_ENDS, tunnel_end};
use crate::error::ProxyError;
use crate::refusal::HandshakeRefusal;
use crate::tunnel::{EndCause, Side, TunnelEnd};

/// Upper bounds of the ages' buckets, in seconds; one more has none. Tunnels live for seconds or for
/// days.
pub(crate) const AGES: [f64; 9] = [
    1.0, 10.0, 60.0, 300.0, 1800.0, 3600.0, 14_400.0, 86_400.0, 604_800.0,
];

/// Who began a tunnel's end, as a label.
pub(crate) const ENDED_BY: [&str; 3] = ["client", "backend", "gateway"];

/// Codes of the first Close frame, as a label: those of the registry (RFC 6455 section 11.7) by themselves,
/// all others by their class, since peers choose them. 1005 stands for a Close frame without a code, 1006
/// for none at all (section 7.1.5).
pub(crate) const CLOSE_CODES: [&str; 18] = [
    "1000", "1001", "1002", "1003", "1005", "1006", "1007", "1008", "1009", "1010", "1011", "1012",
    "1013", "1014", "1xxx", "3xxx", "4xxx", "other",
];

/// Why a handshake did not become a tunnel, as a label: what refuses it, and what fails later.
pub(crate) const HANDSHAKE_FAILURES: [&str; REFUSALS.len() + LATER_FAILURES.len()] = {
    let mut all = [""; REFUSALS.len() + LATER_FAILURES.len()];
    let (refusals, later) = all.split_at_mut(REFUSALS.len());
    refusals.copy_from_slice(&REFUSALS);
    later.copy_from_slice(&LATER_FAILURES);
    all
};

const REFUSALS: [&str; HandshakeRefusal::LABELS.len()] = HandshakeRefusal::LABELS;

const LATER_FAILURES: [&str; 13] = [
    "client_gone",
    "no_target",
    "unreachable",
    "timeout",
    "backend_closed",
    "backend_malformed",
    "backend_status",
    "backend_upgrade",
    "backend_accept",
    "backend_protocol",
    "backend_extension",
    "taken_out",
    "other",
];

/// One worker's tunnels of one listener and pool.
#[derive(Debug, Default)]
pub(crate) struct TunnelCounts {
    pub(crate) opened: Count,
    /// By [`ENDED_BY`] and [`TUNNEL_ENDS`].
    pub(crate) ended: [[Count; TUNNEL_ENDS.len()]; ENDED_BY.len()],
    /// By [`ENDED_BY`] and [`CLOSE_CODES`].
    pub(crate) closed: [[Count; CLOSE_CODES.len()]; ENDED_BY.len()],
    /// By [`AGES`].
    pub(crate) ages: [Count; AGES.len() + 1],
    pub(crate) age_millis: Count,
    /// By [`HANDSHAKE_FAILURES`].
    pub(crate) handshakes: [Count; HANDSHAKE_FAILURES.len()],
    /// Handshakes from origins that are not allowed, which `ReportOnly` let pass.
    pub(crate) foreign_origins: Count,
}

impl TunnelCounts {
    /// Counts a tunnel's end.
    pub(crate) fn ended(&self, end: &TunnelEnd) {
        let by = match end.by {
            Some(Side::Client) => 0,
            Some(Side::Backend) => 1,
            None => 2,
        };
        self.ended[by][tunnel_end(&end.cause)].add(1);
        self.closed[by][place(&CLOSE_CODES, close_code(end))].add(1);
        let age = end.age.as_secs_f64();
        self.ages[AGES.partition_point(|bound| *bound < age)].add(1);
        let millis = u64::try_from(end.age.as_millis()).unwrap_or(u64::MAX);
        self.age_millis.add(millis);
    }

    /// Counts an attempt that failed; `None` for one that the backend answered with another status.
    pub(crate) fn handshake_failed(&self, error: Option<&ProxyError>) {
        self.handshakes[place(&HANDSHAKE_FAILURES, handshake_failure(error))].add(1);
    }
}

/// Where a label is among its kind; the last stands for all that are not there.
fn place(labels: &[&str], label: &str) -> usize {
    let known = labels.iter().position(|known| *known == label);
    known.unwrap_or(labels.len() - 1)
}

/// A tunnel's end among [`CLOSE_CODES`].
fn close_code(end: &TunnelEnd) -> &'static str {
    match (end.close_code, &end.cause) {
        (None, EndCause::Close) => "1005",
        (None, _) => "1006",
        (Some(code @ 1000..=1003), _) => CLOSE_CODES[usize::from(code - 1000)],
        (Some(code @ 1007..=1014), _) => CLOSE_CODES[usize::from(code - 1007) + 6],
        (Some(1000..=1999), _) => "1xxx",
        (Some(3000..=3999), _) => "3xxx",
        (Some(4000..=4999), _) => "4xxx",
        (Some(_), _) => "other",
    }
}

/// A failure among [`HANDSHAKE_FAILURES`].
fn handshake_failure(error: Option<&ProxyError>) -> &'static str {
    let Some(error) = error else {
        return "backend_status";
    };
    match error {
        ProxyError::Handshake(refusal) => refusal.label(),
        ProxyError::ClientGone | ProxyError::ClientStalled => "client_gone",
        ProxyError::NoTarget { .. } => "no_target",
        ProxyError::Connect { .. } => "unreachable",
        ProxyError::ConnectTimeout { .. } | ProxyError::RequestTimeout { .. } => "timeout",
        ProxyError::BackendClosed => "backend_closed",
        ProxyError::BackendMalformed => "backend_malformed",
        ProxyError::Confirm(error) => match error {
            ConfirmError::Upgrade | ConfirmError::Connection => "backend_upgrade",
            ConfirmError::Accept => "backend_accept",
            ConfirmError::Protocol => "backend_protocol",
            ConfirmError::Extension => "backend_extension",
        },
        ProxyError::TakenOut => "taken_out",
        // What no handshake fails by, or only by the configuration's fault.
        ProxyError::BadRequest(_)
        | ProxyError::Method(_)
        | ProxyError::Expectation
        | ProxyError::BodyTimeout
        | ProxyError::BodyBroken
        | ProxyError::NoListener
        | ProxyError::NoRule
        | ProxyError::ServerName
        | ProxyError::UnexpectedUpgrade => "other",
    }
}

/// The counts of one listener and pool.
#[derive(Debug)]
pub(crate) struct TunnelCells {
    pub(crate) listener: ListenerName,
    pub(crate) pool: PoolName,
    workers: PerWorker<TunnelCounts>,
}

impl TunnelCells {
    /// Those of one worker.
    pub(crate) fn of(&self, worker: usize) -> &TunnelCounts {
        self.workers.of(worker)
    }

    /// One count, all workers together.
    pub(crate) fn sum(&self, count: impl Fn(&TunnelCounts) -> &Count) -> u64 {
        self.workers.iter().map(|counts| count(counts).get()).sum()
    }

    /// Tunnels that are open.
    pub(crate) fn open(&self) -> u64 {
        // Ends are read first: what opens and ends in between must not make the difference negative.
        let ends = || ENDED_BY.iter().enumerate();
        let ended: u64 = ends()
            .flat_map(|(by, _)| (0..TUNNEL_ENDS.len()).map(move |cause| (by, cause)))
            .map(|(by, cause)| self.sum(|counts| &counts.ended[by][cause]))
            .sum();
        self.sum(|counts| &counts.opened).saturating_sub(ended)
    }
}

/// Handshakes that did not become tunnels, of one listener and pool, by one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeFailures {
    /// The listener.
    pub listener: ListenerName,
    /// The pool that its rule leads to.
    pub pool: PoolName,
    /// Why: a value of the label `reason` of the metric `gateway_handshake_failures`.
    pub reason: &'static str,
    /// How many since the start; never 0.
    pub count: u64,
}

/// All counts that a snapshot or a tunnel still has.
#[derive(Debug, Default)]
pub(crate) struct TunnelBook(Mutex<BTreeMap<(ListenerName, PoolName), Weak<TunnelCells>>>);

impl TunnelBook {
    /// The counts of each of `pairs`: those that there are, or new ones.
    pub(crate) fn enter<'n>(
        &self,
        pairs: impl IntoIterator<Item = (&'n ListenerName, &'n PoolName)>,
        workers: usize,
    ) -> Vec<Arc<TunnelCells>> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.retain(|_, cells| cells.strong_count() > 0);
        let cells = pairs.into_iter().map(|(listener, pool)| {
            let entry = book.entry((listener.clone(), pool.clone())).or_default();
            entry.upgrade().unwrap_or_else(|| {
                let cells = Arc::new(TunnelCells {
                    listener: listener.clone(),
                    pool: pool.clone(),
                    workers: PerWorker::new(workers),
                });
                *entry = Arc::downgrade(&cells);
                cells
            })
        });
        cells.collect()
    }

    /// All of them, in the order of their names.
    pub(crate) fn all(&self) -> Vec<Arc<TunnelCells>> {
        // No code that can panic runs under the lock, so a poisoned one is as good as any.
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.values().filter_map(Weak::upgrade).collect()
    }

    /// What has been counted of handshakes that failed.
    pub(crate) fn handshake_failures(&self) -> Vec<HandshakeFailures> {
        let mut failures = Vec::new();
        for cells in self.all() {
            for (at, reason) in HANDSHAKE_FAILURES.into_iter().enumerate() {
                let count = cells.sum(|counts| &counts.handshakes[at]);
                if count > 0 {
                    failures.push(HandshakeFailures {
                        listener: cells.listener.clone(),
                        pool: cells.pool.clone(),
                        reason,
                        count,
                    });
                }
            }
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tunnel::Traffic;

    fn end(cause: EndCause, close_code: Option<u16>, age: u64) -> TunnelEnd {
        TunnelEnd {
            by: Some(Side::Client),
            cause,
            close_code,
            close_reason: None,
            to_backend: Traffic::default(),
            to_client: Traffic::default(),
            age: Duration::from_secs(age),
        }
    }

    #[test]
    fn codes_have_the_label_that_they_are() {
        let rows = [
            (None, "1005"),
            (Some(0), "other"),
            (Some(999), "other"),
            (Some(1000), "1000"),
            (Some(1001), "1001"),
            (Some(1003), "1003"),
            (Some(1004), "1xxx"),
            // Not for the wire.
            (Some(1005), "1xxx"),
            (Some(1006), "1xxx"),
            (Some(1007), "1007"),
            (Some(1012), "1012"),
            (Some(1014), "1014"),
            (Some(1015), "1xxx"),
            (Some(2000), "other"),
            (Some(3999), "3xxx"),
            (Some(4000), "4xxx"),
            (Some(u16::MAX), "other"),
        ];
        for (code, label) in rows {
            let closed = end(EndCause::Close, code, 0);
            assert_eq!(close_code(&closed), label, "{code:?}");
            assert!(CLOSE_CODES.contains(&label));
        }
        assert_eq!(close_code(&end(EndCause::Fin, None, 0)), "1006");
    }

    #[test]
    fn failures_have_the_label_that_they_are() {
        let rows = [
            (None, "backend_status"),
            (Some(HandshakeRefusal::Origin.into()), "origin"),
            (
                Some(HandshakeRefusal::TargetTunnels.into()),
                "target_tunnels",
            ),
            (Some(ProxyError::ClientGone), "client_gone"),
            (Some(ProxyError::BackendClosed), "backend_closed"),
            (Some(ConfirmError::Connection.into()), "backend_upgrade"),
            (Some(ConfirmError::Accept.into()), "backend_accept"),
            (Some(ConfirmError::Protocol.into()), "backend_protocol"),
            (Some(ConfirmError::Extension.into()), "backend_extension"),
            (Some(ProxyError::BackendMalformed), "backend_malformed"),
            (Some(ProxyError::TakenOut), "taken_out"),
            (Some(ProxyError::UnexpectedUpgrade), "other"),
        ];
        for (error, label) in rows {
            assert_eq!(handshake_failure(error.as_ref()), label, "{error:?}");
            assert!(HANDSHAKE_FAILURES.contains(&label));
        }
    }

    #[test]
    fn what_is_open_has_not_ended_on_any_worker() {
        let cells = TunnelBook::default().enter([(&"site".into(), &"web".into())], 2);
        let cells = &cells[0];
        for worker in [0, 1, 1] {
            cells.of(worker).opened.add(1);
        }
        assert_eq!(cells.open(), 3);
        cells.of(1).ended(&end(EndCause::Close, Some(1001), 59));
        assert_eq!(cells.open(), 2);
        assert_eq!(cells.sum(|counts| &counts.closed[0][1]), 1);
        assert_eq!(cells.sum(|counts| &counts.ages[2]), 1);
    }

    #[test]
    fn counts_are_kept_while_somebody_has_them() {
        let book = TunnelBook::default();
        let (listener, pool) = ("site".into(), "web".into());
        let of_a_tunnel = book.enter([(&listener, &pool)], 1);
        of_a_tunnel[0].of(0).opened.add(1);
        // The pair left the configuration, and came back.
        let again = book.enter([(&listener, &pool)], 1);
        assert_eq!(again[0].open(), 1);
        assert_eq!(book.all().len(), 1);
        drop((of_a_tunnel, again));
        assert_eq!(book.all().len(), 0);
    }
}
