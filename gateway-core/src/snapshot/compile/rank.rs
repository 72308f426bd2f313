//! The order of listeners: who answers where several could (reference section 3, version 2).
//!
//! 1. Listeners by their rule's `priority`, ascending.
//! 2. Then those whose rule has none, by the rules' order in the document.
//! 3. Then those without a rule, by name: they answer 404 for a host that nobody else takes.
//!
//! Two rules of the same rank stand in the order of their names. Of two rules for one listener the
//! better ranked counts. How specific a host name is has no say.

use std::collections::BTreeSet;

use crate::config::{Config, Listener, RoutingRule};
use crate::name::{ListenerName, RuleName};

/// A listener in its place.
pub(super) struct Ranked<'c> {
    pub(super) name: &'c ListenerName,
    pub(super) listener: &'c Listener,
    pub(super) rule: Option<(&'c RuleName, &'c RoutingRule)>,
}

/// All listeners, the winner first.
pub(super) fn listeners(config: &Config) -> Vec<Ranked<'_>> {
    let mut rules: Vec<(&RuleName, &RoutingRule)> = config.rules.iter().collect();
    // Stable: the map gives them by name.
    rules.sort_by_key(|(_, rule)| (rule.priority.is_none(), rule.priority, rule.position));

    let mut ranked = Vec::with_capacity(config.listeners.len());
    let mut placed = BTreeSet::new();
    for (rule_name, rule) in rules {
        let Some((name, listener)) = config.listeners.get_key_value(&rule.listener) else {
            continue;
        };
        if placed.insert(name) {
            ranked.push(Ranked {
                name,
                listener,
                rule: Some((rule_name, rule)),
            });
        }
    }
    let without_rule = config
        .listeners
        .iter()
        .filter(|(name, _)| !placed.contains(name));
    ranked.extend(without_rule.map(|(name, listener)| Ranked {
        name,
        listener,
        rule: None,
    }));
    ranked
}
