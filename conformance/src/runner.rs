//! Runs scenarios: wire cases one after another in lanes that share a system under test, stories
//! side by side, each in a scene of its own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::expectations::Expected;
use crate::harness::NotHere;
use crate::harness::scene::{Evidence, Scene};
use crate::report::{Line, Verdict};
use crate::scenario::{Plot, Scenario, Stage, Story, Told, WireCase};
use crate::wire_case::Lane;

/// No scenario may take longer, whatever it waits for, unless it bounds itself. How long the container
/// daemon takes to do what it is told is not its fault.
const LIMIT: Duration = Duration::from_secs(60);
/// Lanes for the cases that take no time, and for those that wait for a time-out.
const QUICK_LANES: usize = 2;
const SLOW_LANES: usize = 3;

/// How to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'a> {
    pub(crate) expected: &'a [Expected],
    /// So many stories at once.
    pub(crate) stories: usize,
    /// What fails unexpectedly is left standing.
    pub(crate) keep: bool,
}

/// A scenario that has ended.
struct Done {
    index: usize,
    took: Duration,
    outcome: Result<Told>,
    evidence: Evidence,
}

/// Where lanes and stories leave what they have done, so that nothing of it is lost with them.
type Results = Rc<RefCell<Vec<Done>>>;

/// Runs them all, inside a `LocalSet`; the lines come in the order of the scenarios. When `stop` is
/// there before the end, what still runs is broken off, and has no line.
pub(crate) async fn run(
    scenarios: &[Scenario],
    stage: &Stage,
    manner: Manner<'_>,
    stop: impl Future<Output = ()>,
) -> Vec<Line> {
    let mut tasks = JoinSet::new();
    let results = Results::default();
    let (mut quick, mut slow) = (VecDeque::new(), VecDeque::new());
    let turns = Rc::new(Semaphore::new(manner.stories.max(1)));
    let (mut told_alone, mut told_last) = (Vec::new(), Vec::new());
    for (index, scenario) in scenarios.iter().enumerate() {
        let keep = manner.keep && excuse(scenario, manner.expected).is_none();
        match &scenario.plot {
            Plot::Wire(case) if case.slow => slow.push_back((index, case.clone(), keep)),
            Plot::Wire(case) => quick.push_back((index, case.clone(), keep)),
            Plot::Front(story) | Plot::Story(story) => {
                told_alone.push((Some(LIMIT), index, Rc::clone(story), keep));
            }
            Plot::LongStory(story) => told_alone.push((None, index, Rc::clone(story), keep)),
            Plot::Alone(story) => told_last.push((index, Rc::clone(story), keep)),
        }
    }
    // The turns are given in this order: the long ones must not be what everybody waits for at the end.
    told_alone.sort_by_key(|(limit, ..)| limit.is_some());
    for (limit, index, story, keep) in told_alone {
        let (stage, turns, results) = (stage.clone(), Rc::clone(&turns), Rc::clone(&results));
        tasks.spawn_local(async move {
            let _turn = turns.acquire().await;
            let done = tell(index, &story, stage, limit, keep).await;
            results.borrow_mut().push(done);
        });
    }
    for (cases, lanes) in [(quick, QUICK_LANES), (slow, SLOW_LANES)] {
        let lanes = lanes.min(cases.len());
        let cases = Rc::new(RefCell::new(cases));
        for _ in 0..lanes {
            let (stage, cases, results) = (stage.clone(), Rc::clone(&cases), Rc::clone(&results));
            tasks.spawn_local(run_lane(stage, cases, results));
        }
    }
    let all = async {
        finish(&mut tasks).await;
        for (index, story, keep) in told_last {
            let (stage, results) = (stage.clone(), Rc::clone(&results));
            tasks.spawn_local(async move {
                let done = tell(index, &story, stage, Some(LIMIT), keep).await;
                results.borrow_mut().push(done);
            });
            finish(&mut tasks).await;
        }
    };
    let stopped = tokio::select! {
        () = all => false,
        () = stop => true,
    };
    // Here and not by dropping: whoever ends something asynchronously still has the runtime.
    tasks.shutdown().await;
    lines(scenarios, results.take(), manner.expected, stopped)
}

async fn finish(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            eprintln!("a lane or a story broke: {error}");
        }
    }
}

async fn tell(
    index: usize,
    story: &Story,
    stage: Stage,
    limit: Option<Duration>,
    keep: bool,
) -> Done {
    let scene = Scene::new(keep);
    let started = Instant::now();
    let told = scene.play(async {
        match limit {
            None => story(stage).await,
            Some(limit) => tokio::select! {
                told = story(stage) => told,
                () = is_over(&scene, limit) => Err(anyhow!("not done within {limit:?}")),
            },
        }
    });
    let told = told.await;
    let outcome = told.or_else(|error| match error.downcast_ref::<NotHere>() {
        Some(reason) => Ok(Told::NotHere(reason.to_string())),
        None => Err(error),
    });
    Done {
        index,
        took: started.elapsed(),
        evidence: scene.end(outcome.is_err()).await,
        outcome,
    }
}

/// Returns when the scenario has had its time.
async fn is_over(scene: &Scene, limit: Duration) {
    loop {
        let left = limit.saturating_sub(scene.own_time());
        if left.is_zero() {
            return;
        }
        // It waits for others meanwhile, perhaps, so that something is left even then.
        tokio::time::sleep(left).await;
    }
}

/// What a lane has still to do: the case, its place in the report, and whether it is to be kept.
type Queue = Rc<RefCell<VecDeque<(usize, WireCase, bool)>>>;

/// Takes cases from the queue until it is empty.
async fn run_lane(stage: Stage, cases: Queue, results: Results) {
    let next = || cases.borrow_mut().pop_front();
    let keeps = cases.borrow().iter().any(|(_, _, keep)| *keep);
    let mut place = Scene::new(keeps);
    let mut lane = place.play(Lane::open(&stage)).await;
    while let Some((index, case, keep)) = next() {
        let scene = Scene::new(false);
        let started = Instant::now();
        let outcome = match &lane {
            Err(error) => Err(anyhow!("{}: {error:#}", stage.system.name())),
            Ok(open) => {
                scene.watch(stage.system.name(), open.front.log());
                let run = scene.play(tokio::time::timeout(LIMIT, open.run(&case)));
                run.await
                    .unwrap_or_else(|_| Err(anyhow!("not done within {LIMIT:?}")))
            }
        };
        let failed = outcome.is_err();
        let mut done = Done {
            index,
            took: started.elapsed(),
            evidence: scene.end(failed).await,
            outcome: outcome.map(|()| Told::Whole),
        };
        // A system that a case has broken must not spoil the cases after it.
        if failed && lane.is_ok() {
            let new = Scene::new(keeps);
            drop(std::mem::replace(
                &mut lane,
                new.play(Lane::open(&stage)).await,
            ));
            let left = std::mem::replace(&mut place, new).end(keep).await;
            done.evidence.standing = left.standing;
        }
        results.borrow_mut().push(done);
    }
    drop(lane);
    place.end(false).await;
}

fn excuse<'e>(scenario: &Scenario, expected: &'e [Expected]) -> Option<&'e Expected> {
    expected
        .iter()
        .find(|entry| entry.scenario == scenario.id())
}

fn lines(
    scenarios: &[Scenario],
    mut done: Vec<Done>,
    expected: &[Expected],
    stopped: bool,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let at = done.iter().position(|done| done.index == index);
        let done = match at.map(|at| done.swap_remove(at)) {
            Some(done) => done,
            None if stopped => continue,
            None => Done {
                index,
                took: Duration::ZERO,
                outcome: Err(anyhow!("it panicked; see above")),
                evidence: Evidence::default(),
            },
        };
        lines.push(Line {
            group: scenario.group,
            name: scenario.name.clone(),
            clause: scenario.clause,
            ours: scenario.is_ours(),
            took: done.took,
            verdict: verdict(done.outcome, excuse(scenario, expected)),
            evidence: done.evidence,
        });
    }
    lines
}

fn verdict(outcome: Result<Told>, excuse: Option<&Expected>) -> Verdict {
    match (outcome, excuse) {
        (Ok(Told::Whole), None) => Verdict::Passed(None),
        (Ok(Told::Measured(figures)), None) => Verdict::Passed(Some(figures)),
        (Ok(Told::Whole | Told::Measured(_)), Some(excuse)) => Verdict::UnexpectedPass(format!(
            "it is in expected_failures.toml: {}",
            excuse.reason
        )),
        (Ok(Told::NotHere(reason)), _) => Verdict::Skipped(reason),
        (Err(_), Some(excuse)) => Verdict::ExpectedFailure(excuse.reason.clone()),
        (Err(error), None) => Verdict::Failed(causes_first(&error)),
    }
}

/// The innermost cause is what people look for; what led to it comes after.
fn causes_first(error: &anyhow::Error) -> String {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    chain.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected {
            scenario: "a/b".to_owned(),
            reason: "known".to_owned(),
        }
    }

    #[test]
    fn an_excuse_turns_the_verdict_around() {
        let excuse = expected();
        let rows = [
            (Ok(Told::Whole), None, "ok"),
            (Ok(Told::Whole), Some(&excuse), "UNEXPECTED PASS"),
            (Ok(Told::NotHere("why".to_owned())), None, "skipped"),
            (Err(anyhow!("no")), None, "FAILED"),
            (Err(anyhow!("no")), Some(&excuse), "expected failure"),
        ];
        for (outcome, excuse, word) in rows {
            assert_eq!(verdict(outcome, excuse).word(), word);
        }
        let error = anyhow!("status 200").context("step Answer");
        assert_eq!(causes_first(&error), "status 200\nstep Answer");
    }
}
