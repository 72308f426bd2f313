//! Probes and eviction: a backend that dies costs its clients no more than its budget, is out within
//! the bound, gets nothing more, and is back after one success (reference section 5, design of the
//! health state machine).
//!
//! The matrix is data: [`deaths::DEATHS`], each over plain and TLS, under requests, handshakes and
//! open tunnels.

mod cell;
mod crowd;
mod deaths;
mod flapping;
mod load;
mod names;
mod pair;
mod pools;
mod tunnels;
mod verdict;
mod websocket_probe;

use std::time::Duration;

use anyhow::Result;

use deaths::DEATHS;

use crate::scenario::{Scenario, Stage, Told};

const GROUP: &str = "eviction";

/// interval + (threshold - 1) * max(interval, timeout) + timeout, of the quick probe.
const BOUND: Duration = Duration::from_secs(3);
/// What a busy machine adds: two cores, eight gateways, and everything else that runs.
const SLACK: Duration = Duration::from_millis(1300);
/// How long is waited for what is not measured.
const SOON: Duration = Duration::from_secs(15);

pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for death in DEATHS {
        for (&leg, &work) in product(death.over, death.work) {
            let name = format!("{}: {}, {}", death.name, work.name(), leg.name());
            all.push(story(&name, death.clause, move |stage| {
                cell::die_and_recover(stage, death, leg, work)
            }));
        }
    }
    all.extend(others());
    all.extend(websocket_probe::scenarios());
    all
}

fn product<'a, A, B>(some: &'a [A], others: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    some.iter()
        .flat_map(move |one| others.iter().map(move |other| (one, other)))
}

fn others() -> Vec<Scenario> {
    vec![
        story(
            "no flap below the threshold",
            "reference 5",
            flapping::below_the_threshold,
        ),
        story(
            "flapping: two transitions for each time it is really down",
            "reference 5",
            flapping::above_the_threshold,
        ),
        story(
            "flapping at random: no more transitions than probes can tell",
            "reference 5",
            flapping::at_random,
        ),
        story(
            "one success brings a target back",
            "reference 5",
            flapping::one_success,
        ),
        story(
            "all down: 502 at once, with the reason",
            "reference 5",
            pools::all_down,
        ),
        story(
            "an empty pool: 502 at once",
            "reference 5",
            pools::empty_pool,
        ),
        story(
            "minServers members stay in",
            "reference 5 (minServers)",
            pools::min_servers,
        ),
        story(
            "100 of 200 targets die together",
            "reference 5",
            crowd::half_dies,
        ),
        story(
            "DNS: a name that goes away",
            "reference 3",
            names::goes_away,
        ),
        story(
            "DNS: a name that loses one address and gains another",
            "reference 3",
            names::moves,
        ),
    ]
}

fn story<F>(name: &str, clause: &'static str, tell: impl Fn(Stage) -> F + 'static) -> Scenario
where
    F: Future<Output = Result<Told>> + 'static,
{
    Scenario::story(GROUP, name, clause, tell)
}
