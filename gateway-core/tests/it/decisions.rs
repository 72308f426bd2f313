//! Who answers a request: every host gets a decision, and it is the one that the reference names.

use std::collections::BTreeMap;

use gateway_core::config::{BackendPool, Config, HostNames, HostPattern, Listener, RoutingRule};
use gateway_core::fixtures;
use gateway_core::routing::{Decision, decide};
use gateway_core::snapshot::{
    CompileOptions, Generation, Resolutions, Revision, Snapshot, compile,
};
use proptest::prelude::*;

const HOSTS: [&str; 5] = ["a.test", "b.test", "x.a.test", "other", ""];

/// One listener with its rule, if it has one.
#[derive(Debug, Clone)]
struct Site {
    hosts: HostNames,
    priority: Option<u16>,
    position: u32,
    has_rule: bool,
}

fn site() -> impl Strategy<Value = Site> {
    let pattern = prop::sample::select(&["a.test", "b.test", "*.test", "*.a.test", "?.test"][..]);
    let patterns = prop::collection::vec(pattern.prop_map(HostPattern::new), 0..3);
    let priority = prop::option::weighted(0.7, 1..5_u16);
    (patterns, priority, 0..100_u32, prop::bool::weighted(0.8)).prop_map(
        |(patterns, priority, position, has_rule)| Site {
            hosts: if patterns.is_empty() {
                HostNames::Any
            } else {
                HostNames::Patterns(patterns)
            },
            priority,
            position,
            has_rule,
        },
    )
}

fn config(sites: &BTreeMap<String, Site>) -> Config {
    let listener = |site: &Site| Listener {
        hosts: site.hosts.clone(),
        ..fixtures::listener(80)
    };
    let rule = |name: &str, site: &Site| RoutingRule {
        priority: site.priority,
        position: site.position,
        ..fixtures::rule(name, "pool", "settings")
    };

    Config {
        listeners: sites
            .iter()
            .map(|(name, site)| (name.as_str().into(), listener(site)))
            .collect(),
        rules: sites
            .iter()
            .filter(|(_, site)| site.has_rule)
            .map(|(name, site)| (name.as_str().into(), rule(name, site)))
            .collect(),
        pools: [("pool".into(), BackendPool::default())].into(),
        http_settings: [("settings".into(), fixtures::http_settings(80))].into(),
        ..Config::default()
    }
}

fn compiled(sites: &BTreeMap<String, Site>) -> Snapshot {
    compile(
        &config(sites),
        &Resolutions::new(),
        &CompileOptions::default(),
        None,
        Generation(1),
        Revision(1),
    )
}

fn answer(snapshot: &Snapshot, host: &str) -> String {
    match snapshot
        .endpoints
        .first()
        .map(|endpoint| decide(endpoint, host))
    {
        Some(Decision::Forward(route)) => route.listener.to_string(),
        Some(Decision::NoRule) => "no rule".into(),
        Some(Decision::NoListener) | None => "no listener".into(),
    }
}

/// The written order, one comparison at a time.
fn expected(sites: &BTreeMap<String, Site>, host: &str) -> String {
    let matching = sites.iter().filter(|(_, site)| site.hosts.matches(host));
    let winner = matching.min_by_key(|(name, site)| {
        let rank = match (site.has_rule, site.priority) {
            (true, Some(priority)) => (0, u32::from(priority)),
            (true, None) => (1, site.position),
            (false, _) => (2, 0),
        };
        // Position has a say among rules of one priority too: it is the document's order.
        let position = if site.has_rule { site.position } else { 0 };
        (rank, position, (*name).clone())
    });
    match winner {
        Some((name, site)) if site.has_rule => name.clone(),
        Some(_) => "no rule".into(),
        None => "no listener".into(),
    }
}

fn sites() -> impl Strategy<Value = BTreeMap<String, Site>> {
    prop::collection::btree_map("[a-d][0-9]", site(), 0..8)
}

proptest! {
    #[test]
    fn every_host_goes_where_the_written_order_says(sites in sites()) {
        let snapshot = compiled(&sites);
        for host in HOSTS {
            prop_assert_eq!(answer(&snapshot, host), expected(&sites, host), "{:?}", host);
        }
    }

    /// With a priority each, in whatever order the document lists them.
    #[test]
    fn the_order_of_rules_matters_only_in_ties(
        mut sites in sites(),
        positions in prop::collection::vec(any::<u32>(), 8),
    ) {
        for (priority, site) in (1..).zip(sites.values_mut()) {
            site.priority = Some(priority);
        }
        let written = compiled(&sites);
        for (site, position) in sites.values_mut().zip(positions) {
            site.position = position;
        }
        let reordered = compiled(&sites);
        for host in HOSTS {
            prop_assert_eq!(answer(&written, host), answer(&reordered, host), "{:?}", host);
        }
    }
}
