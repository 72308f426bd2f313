//! All scenarios, in the order of the report.

mod bounds;
mod churn;
mod closing;
mod containers;
mod eviction;
mod frames;
mod handshake;
mod hostile;
mod http;
mod lifetime;
mod reconfiguration;
mod rows;
mod tunnels;
mod volume;

use anyhow::Result;
use serde_json::json;

use crate::harness::site::{Site, explain};
use crate::scenario::{Scenario, Told};

/// Every scenario there is.
pub(crate) fn all() -> Vec<Scenario> {
    let mut all = handshake::scenarios();
    all.extend(frames::scenarios());
    all.extend(closing::scenarios());
    all.extend(http::scenarios());
    all.extend(hostile::scenarios());
    all.extend(lifetime::scenarios());
    all.extend(volume::scenarios());
    all.extend(bounds::scenarios());
    all.extend(eviction::scenarios());
    all.extend(containers::scenarios());
    all.extend(tunnels::scenarios());
    all.extend(reconfiguration::scenarios());
    all.extend(churn::scenarios());
    all
}

/// A story of a [`Site`], whose gateway keeps a store when it is `stateful`, and reads a file otherwise.
fn at_site<F>(
    group: &'static str,
    name: &str,
    clause: &'static str,
    stateful: bool,
    tell: impl Fn(Site) -> F + Copy + 'static,
) -> Scenario
where
    F: Future<Output = Result<()>> + 'static,
{
    Scenario::story(group, name, clause, move |stage| async move {
        let site = Site::open(&stage, json!({}), stateful).await?;
        let log = site.gateway.log().clone();
        tell(site).await.map_err(|error| explain(&log, error))?;
        Ok(Told::Whole)
    })
}
