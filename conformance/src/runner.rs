//! Runs scenarios: wire cases one after another in lanes that share a gateway, stories side by side.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::expectations::Expected;
use crate::report::{Line, Verdict};
use crate::scenario::{Plot, Scenario, Stage, Story, Told, WireCase};
use crate::wire_case::Lane;

/// No scenario may take longer, whatever it waits for.
const LIMIT: Duration = Duration::from_secs(60);
/// Lanes for the cases that take no time, and for those that wait for a time-out.
const QUICK_LANES: usize = 2;
const SLOW_LANES: usize = 3;

type Done = (usize, Duration, Result<Told>);

/// Runs them all, inside a `LocalSet`; the lines come in the order of the scenarios. `stories` run
/// at once.
pub(crate) async fn run(
    scenarios: &[Scenario],
    stage: &Stage,
    expected: &[Expected],
    stories: usize,
) -> Vec<Line> {
    let mut tasks = JoinSet::new();
    let (mut quick, mut slow) = (VecDeque::new(), VecDeque::new());
    let turns = Rc::new(Semaphore::new(stories.max(1)));
    for (index, scenario) in scenarios.iter().enumerate() {
        match &scenario.plot {
            Plot::Wire(case) if case.slow => slow.push_back((index, case.clone())),
            Plot::Wire(case) => quick.push_back((index, case.clone())),
            Plot::Story(story) => {
                let (story, stage, turns) = (Rc::clone(story), stage.clone(), Rc::clone(&turns));
                tasks.spawn_local(async move {
                    let _turn = turns.acquire().await;
                    vec![tell(index, &story, stage).await]
                });
            }
        }
    }
    for (cases, lanes) in [(quick, QUICK_LANES), (slow, SLOW_LANES)] {
        let lanes = lanes.min(cases.len());
        let cases = Rc::new(RefCell::new(cases));
        for _ in 0..lanes {
            tasks.spawn_local(run_lane(stage.clone(), Rc::clone(&cases)));
        }
    }
    let mut done = Vec::new();
    while let Some(some) = tasks.join_next().await {
        match some {
            Ok(some) => done.extend(some),
            Err(error) => eprintln!("a lane or a story broke: {error}"),
        }
    }
    lines(scenarios, done, expected)
}

async fn tell(index: usize, story: &Story, stage: Stage) -> Done {
    let started = Instant::now();
    let told = tokio::time::timeout(LIMIT, story(stage)).await;
    let told = told.unwrap_or_else(|_| Err(anyhow!("not done within {LIMIT:?}")));
    (index, started.elapsed(), told)
}

/// Takes cases from the queue until it is empty.
async fn run_lane(stage: Stage, cases: Rc<RefCell<VecDeque<(usize, WireCase)>>>) -> Vec<Done> {
    let next = || cases.borrow_mut().pop_front();
    let mut done = Vec::new();
    let mut lane = Lane::open(&stage).await;
    while let Some((index, case)) = next() {
        let started = Instant::now();
        let outcome = match &lane {
            Err(error) => Err(anyhow!("no gateway: {error:#}")),
            Ok(open) => match tokio::time::timeout(LIMIT, open.run(&case)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(anyhow!("not done within {LIMIT:?}")),
            },
        };
        // A gateway that a case has broken must not spoil the cases after it.
        let failed = outcome.is_err();
        let outcome = outcome.map_err(|error| match &lane {
            Ok(open) => error.context(format!("gateway log\n{}", open.gateway.log().tail(15))),
            Err(_) => error,
        });
        done.push((index, started.elapsed(), outcome.map(|()| Told::Whole)));
        if failed && lane.is_ok() {
            lane = Lane::open(&stage).await;
        }
    }
    done
}

fn lines(scenarios: &[Scenario], mut done: Vec<Done>, expected: &[Expected]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let at = done.iter().position(|(other, _, _)| *other == index);
        let (took, outcome) = match at.map(|at| done.swap_remove(at)) {
            Some((_, took, outcome)) => (took, outcome),
            None => (Duration::ZERO, Err(anyhow!("it panicked; see above"))),
        };
        let excuse = expected
            .iter()
            .find(|entry| entry.scenario == scenario.id());
        lines.push(Line {
            group: scenario.group,
            name: scenario.name.clone(),
            clause: scenario.clause,
            took,
            verdict: verdict(outcome, excuse),
        });
    }
    lines
}

fn verdict(outcome: Result<Told>, excuse: Option<&Expected>) -> Verdict {
    match (outcome, excuse) {
        (Ok(Told::Whole), None) => Verdict::Passed,
        (Ok(Told::Whole), Some(excuse)) => Verdict::UnexpectedPass(format!(
            "it is in expected_failures.toml: {}",
            excuse.reason
        )),
        (Ok(Told::NotHere(reason)), _) => Verdict::Skipped(reason),
        (Err(_), Some(excuse)) => Verdict::ExpectedFailure(excuse.reason.clone()),
        (Err(error), None) => Verdict::Failed(causes_first(&error)),
    }
}

/// The innermost cause is what people look for; bytes and logs, added outside of it, come after.
fn causes_first(error: &anyhow::Error) -> String {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    chain.into_iter().rev().collect::<Vec<_>>().join("\n")
}
