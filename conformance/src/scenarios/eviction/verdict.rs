//! Whether a death cost no more than it may: operations and their times in, complaints out.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::deaths::{Budget, Fate};
use super::load::{Operation, Outcome};
use super::names::TTL;
use super::pair::{DRAIN_TIMEOUT, REQUEST_TIMEOUT};
use super::tunnels::Tunnel;

/// An answer, an echo or an end that should come at once comes within this on a busy machine.
pub(super) const AT_ONCE: Duration = Duration::from_secs(3);

/// What happened when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    /// The backend was well until here, and dead from here on.
    pub(super) struck: (Instant, Instant),
    /// The first operation that began when the gateway had said that the target is out.
    pub(super) out: usize,
}

/// How many operations failed, if those were allowed to.
pub(super) fn failures(
    operations: &[Operation],
    course: &Course,
    budget: &Budget,
) -> Result<usize> {
    let mut failed = 0;
    for (number, operation) in operations.iter().enumerate() {
        let Some((ended, Outcome::Failed(how))) = &operation.ended else {
            continue;
        };
        failed += 1;
        let after_blow = ended.saturating_duration_since(course.struck.0);
        let told = format!(
            "operation {number} of {}, begun {:?} before its end and ended {after_blow:?} after the \
             blow, failed: {how}",
            operations.len(),
            *ended - operation.began,
        );
        ensure!(*ended >= course.struck.0, "before the blow: {told}");
        ensure!(number < course.out, "after the eviction: {told}");
        let allowed: &[&str] = match budget {
            Budget::Nothing => &[],
            Budget::UnderWay(allowed) => {
                ensure!(operation.began <= course.struck.1, "after the blow: {told}");
                allowed
            }
            Budget::UntilOut(allowed) => allowed,
        };
        ensure!(
            allowed.contains(&how.as_str()),
            "{told}, and may fail by {allowed:?}"
        );
        let took = *ended - operation.began;
        ensure!(took <= REQUEST_TIMEOUT + AT_ONCE, "too late: {told}");
    }
    let share = share(operations, course);
    ensure!(
        failed <= share,
        "{failed} operations failed, and the backend's share of those before the eviction is {share}"
    );
    Ok(failed)
}

/// Fails where any operation did.
pub(super) fn no_failures(operations: &[Operation]) -> Result<()> {
    for (number, operation) in operations.iter().enumerate() {
        if let Some((_, Outcome::Failed(how))) = &operation.ended {
            anyhow::bail!("operation {number} of {} failed: {how}", operations.len());
        }
    }
    Ok(())
}

/// Half of the operations that could meet the dead backend. Each worker has a turn of its own, and
/// one that was passed on counts as a turn, so that the halves are not quite even.
fn share(operations: &[Operation], course: &Course) -> usize {
    const UNEVEN: usize = 6;
    let could_meet = operations[..course.out].iter().filter(|operation| {
        let ended = operation.ended.as_ref();
        ended.is_none_or(|(at, _)| *at >= course.struck.0)
    });
    could_meet.count() / 2 + UNEVEN
}

/// Fails where a tunnel is not as its fate wants it. `others` are the tunnels that the blow does not
/// concern: what holds them up, too, is the machine's doing.
pub(super) fn fated(
    tunnels: &[Tunnel],
    others: &[Tunnel],
    fate: Fate,
    struck: Instant,
) -> Result<()> {
    let slowest = others.iter().map(|other| other.waits().max(other.slowest));
    let held_up = slowest.max().unwrap_or_default();
    for tunnel in tunnels {
        let end = tunnel.ended.as_ref();
        let end = end.map(|(at, how)| (at.saturating_duration_since(struck), how.as_str()));
        let as_fated = match (fate, end) {
            (Fate::GoOn, None) => tunnel.waits().max(tunnel.slowest) <= held_up + AT_ONCE,
            // It was silent for most of the time since.
            (Fate::Wait, None) => tunnel.waits() >= struck.elapsed() / 2,
            (Fate::End, Some((after, _))) => after <= AT_ONCE,
            (Fate::Drain, Some((after, how))) => {
                how == "Close 1001" && after <= TTL + DRAIN_TIMEOUT + AT_ONCE
            }
            (Fate::GoOn | Fate::Wait, Some(_)) | (Fate::End | Fate::Drain, None) => false,
        };
        ensure!(
            as_fated,
            "{:?} after the blow a tunnel should {fate:?}, and is {tunnel:?}",
            struck.elapsed()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    /// Operations one tick apart; struck between the third and the fourth, out at the seventh.
    fn story(failing: &[(usize, &str)]) -> (Vec<Operation>, Course) {
        let start = Instant::now();
        let operations = (0..12).map(|number| {
            let began = start + TICK * number;
            let failing = failing.iter().find(|(at, _)| *at == number as usize);
            let outcome = match failing {
                Some((_, how)) => Outcome::Failed((*how).to_owned()),
                None => Outcome::ServedBy("b1".to_owned()),
            };
            let ended = Some((began + TICK / 2, outcome));
            Operation { began, ended }
        });
        let struck = start + TICK * 5 / 2 - TICK / 4;
        let course = Course {
            struck: (struck, struck + TICK / 10),
            out: 6,
        };
        (operations.collect(), course)
    }

    #[test]
    fn each_budget_allows_what_it_says() {
        let (nothing, under_way) = (Budget::Nothing, Budget::UnderWay(&["502"]));
        let until_out = Budget::UntilOut(&["504"]);
        type Row = (
            &'static str,
            &'static [(usize, &'static str)],
            Budget,
            Option<usize>,
        );
        let rows: [Row; 9] = [
            ("none failed", &[], nothing, Some(0)),
            ("one failed", &[(2, "502")], nothing, None),
            ("under way", &[(2, "502")], under_way, Some(1)),
            ("with another status", &[(2, "500")], under_way, None),
            ("begun after the blow", &[(3, "502")], under_way, None),
            ("until out", &[(3, "504"), (5, "504")], until_out, Some(2)),
            ("after out", &[(6, "504")], until_out, None),
            ("before the blow", &[(1, "504")], until_out, None),
            ("another failure", &[(4, "closed")], until_out, None),
        ];
        for (name, failing, budget, expected) in rows {
            let (operations, course) = story(failing);
            let failed = failures(&operations, &course, &budget);
            assert_eq!(
                failed.as_ref().ok().copied(),
                expected,
                "{name}: {failed:?}"
            );
        }
    }

    #[test]
    fn no_more_fail_than_the_share_of_one_of_two() {
        let (mut operations, mut course) = story(&[]);
        let began = course.struck.0 + TICK;
        let lost = |how: &str| Operation {
            began,
            ended: Some((began + TICK, Outcome::Failed(how.to_owned()))),
        };
        operations.extend((0..40).map(|_| lost("504")));
        course.out = operations.len();
        let failed = failures(&operations, &course, &Budget::UntilOut(&["504"]));
        assert!(failed.is_err(), "{failed:?}");
    }
}
