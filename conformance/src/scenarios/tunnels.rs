//! What an operator can do with open WebSockets: see them, drain them without a 1006, decide what becomes
//! of them, balance them, keep them alive, limit them, protect them, and know what goes on.

mod balance;
mod dead_peers;
mod drain;
mod house;
mod keep_alive;
mod know;
mod limits;
mod protect;
mod see;
mod storm;
mod unhealthy;

use anyhow::Result;

use crate::harness::site::explain;
use crate::scenario::{Scenario, Stage, Told};

use house::{House, Legs, Plan};

const GROUP: &str = "tunnels";

pub(crate) fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(see::scenarios());
    all.extend(drain::scenarios());
    all.extend(unhealthy::scenarios());
    all.extend(balance::scenarios());
    all.extend(keep_alive::scenarios());
    all.extend(dead_peers::scenarios());
    all.extend(limits::scenarios());
    all.extend(storm::scenarios());
    all.extend(protect::scenarios());
    all.extend(know::scenarios());
    all
}

/// A story twice: with both legs in the clear, and both under TLS.
fn over_both<F>(
    name: &str,
    plan: impl Fn() -> Plan + Clone + 'static,
    tell: impl Fn(House) -> F + Copy + 'static,
) -> Vec<Scenario>
where
    F: Future<Output = Result<Told>> + 'static,
{
    let in_the_clear = story(name, plan.clone(), tell);
    let under_tls = move || plan().over(Legs::Tls);
    vec![
        in_the_clear,
        story(&format!("tls: {name}"), under_tls, tell),
    ]
}

/// A story of a [`House`] as `plan` wants it.
fn story<F>(
    name: &str,
    plan: impl Fn() -> Plan + 'static,
    tell: impl Fn(House) -> F + Copy + 'static,
) -> Scenario
where
    F: Future<Output = Result<Told>> + 'static,
{
    Scenario::story(GROUP, name, "issue 4", move |stage: Stage| {
        let plan = plan();
        async move {
            let house = House::open(&stage, plan).await?;
            let log = house.gateway.log().clone();
            tell(house).await.map_err(|error| explain(&log, error))
        }
    })
}
