//! Routing rules. What a rule asks for beyond a pool is not served yet: a path map's default pool
//! is, a redirect is not, and its listener answers 404 rather than send anything elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backends::seconds;
use super::{CONFLICTING_PROPERTIES, Checker, Place, each};
use crate::config::{Balancing, RoutingRule};
use crate::name::RuleName;
use crate::resource::{
    Collection, LoadDistributionAlgorithm, Reference, RequestRoutingRuleProperties, RuleType,
};

const PARTIAL_PRIORITY: &str = "ApplicationGatewayRequestRoutingRulePartialPriorityDefined";

/// Where a rule's requests go, as its document says it.
struct Destination<'d> {
    pool: &'d Reference,
    settings: &'d Reference,
    policy: Option<&'d Reference>,
}

impl<'g> Checker<'g, '_> {
    pub(super) fn rules(&mut self) -> BTreeMap<RuleName, RoutingRule> {
        let gateway = self.gateway;
        let all = gateway.properties.request_routing_rules.as_ref();
        let mut rules = BTreeMap::new();
        let mut position = 0;
        let mut rule_of = BTreeMap::new();
        for (place, written) in each(Collection::RequestRoutingRules, all) {
            let listener = self.required_target(
                &place,
                "httpListener",
                written.http_listener.as_ref(),
                Collection::HttpListeners,
            );
            let priority = self.priority(&place, written);
            let destination = self.destination(&place, written);
            self.one_rule_per_listener(&place, listener, &mut rule_of);
            if let (Some(listener), Some(destination)) = (listener, destination)
                && let Some(rule) = self.rule(listener, &destination)
            {
                let position = if priority.is_none() { position } else { 0 };
                rules.insert(
                    place.name.into(),
                    RoutingRule {
                        priority,
                        position,
                        ..rule
                    },
                );
            }
            position += u32::from(written.priority.is_none());
        }
        self.priorities();
        self.listeners_without_rule(&rule_of);
        rules
    }

    fn rule(&mut self, listener: &str, destination: &Destination<'_>) -> Option<RoutingRule> {
        let settings = Collection::BackendHttpSettingsCollection;
        let balancing = self.balancing(destination.policy);
        Some(RoutingRule {
            priority: None,
            position: 0,
            listener: listener.into(),
            pool: self
                .target(Some(destination.pool), Collection::BackendAddressPools)?
                .into(),
            http_settings: self.target(Some(destination.settings), settings)?.into(),
            balancing,
            slow_start: self.slow_start(destination.policy),
        })
    }

    fn priority(
        &mut self,
        place: &Place<'_>,
        written: &RequestRoutingRuleProperties,
    ) -> Option<u16> {
        let pointer = place.property("priority");
        let priority = self.bounded(pointer, place, written.priority, 1..=20_000)?;
        u16::try_from(priority).ok()
    }

    /// No two rules have the same priority, and it is odd when only some have one.
    fn priorities(&mut self) {
        let gateway = self.gateway;
        let all = gateway.properties.request_routing_rules.as_ref();
        let rules: Vec<_> = each(Collection::RequestRoutingRules, all).collect();
        let mut first_with = BTreeMap::new();
        let some_have = rules.iter().any(|(_, rule)| rule.priority.is_some());
        for (place, rule) in rules {
            let pointer = place.property("priority");
            let Some(priority) = rule.priority else {
                if some_have && !self.problems.has_failed(pointer) {
                    self.problems.warning(
                        pointer,
                        PARTIAL_PRIORITY,
                        format!("{place} has no priority, others have: it comes after them"),
                        "give every rule a priority, or none",
                    );
                }
                continue;
            };
            if let Some(first) = first_with.insert(priority, place) {
                self.problems.error(
                    pointer,
                    "DuplicatePriority",
                    format!("{first} and {place} both have the priority {priority}"),
                    "give each rule a priority of its own",
                );
            }
        }
    }

    fn one_rule_per_listener(
        &mut self,
        place: &Place<'g>,
        listener: Option<&'g str>,
        rule_of: &mut BTreeMap<&'g str, Place<'g>>,
    ) {
        let Some(listener) = listener else { return };
        if let Some(first) = rule_of.insert(listener, *place) {
            self.problems.error(
                place.property("httpListener"),
                "ListenerHasSeveralRules",
                format!("{first} and {place} both take the requests of httpListeners/{listener}"),
                "keep one rule for each listener",
            );
        }
    }

    fn listeners_without_rule(&mut self, rule_of: &BTreeMap<&'g str, Place<'g>>) {
        let gateway = self.gateway;
        let rules = gateway.properties.request_routing_rules.iter().flatten();
        let mut of = rules.map(|rule| rule.properties.http_listener.as_ref());
        if of.any(|listener| self.target(listener, Collection::HttpListeners).is_none()) {
            // Which listener was meant there is not known.
            return;
        }
        let all = gateway.properties.http_listeners.as_ref();
        for (place, _) in each(Collection::HttpListeners, all) {
            if !place.name.is_empty() && !rule_of.contains_key(place.name) {
                self.problems.warning(
                    place.pointer(),
                    "ListenerWithoutRule",
                    format!("no rule takes the requests of {place}: it answers 404"),
                    "add it to requestRoutingRules, or remove it",
                );
            }
        }
    }

    fn destination<'d>(
        &mut self,
        place: &Place<'_>,
        written: &'d RequestRoutingRuleProperties,
    ) -> Option<Destination<'d>>
    where
        'g: 'd,
    {
        let by_path = match written.rule_type {
            Some(RuleType::PathBasedRouting) => true,
            Some(RuleType::Basic) => false,
            Some(RuleType::AdvancedRouting) => {
                self.not_served(
                    place.property("ruleType"),
                    format!("{place} routes by conditions: its listener answers 404"),
                    "write a Basic rule",
                );
                return None;
            }
            None if self.problems.has_failed(place.property("ruleType")) => return None,
            None => written.url_path_map.is_some(),
        };
        if by_path {
            self.by_path(place, written)
        } else {
            self.basic(place, written)
        }
    }

    fn basic<'d>(
        &mut self,
        place: &Place<'_>,
        written: &'d RequestRoutingRuleProperties,
    ) -> Option<Destination<'d>> {
        let pool = written.backend_address_pool.as_ref();
        let settings = written.backend_http_settings.as_ref();
        let redirect_at = place.property("redirectConfiguration");
        let redirects = written.redirect_configuration.is_some()
            || self.problems.has_failed_inside(redirect_at);
        match (pool, settings, redirects) {
            (Some(pool), Some(settings), false) => Some(Destination {
                pool,
                settings,
                policy: written.load_distribution_policy.as_ref(),
            }),
            (None, None, true) => {
                self.not_served(
                    redirect_at,
                    format!("{place} redirects, which is not served: its listener answers 404"),
                    "name a `backendAddressPool` and `backendHttpSettings` instead",
                );
                None
            }
            (_, _, true) => {
                self.problems.error(
                    redirect_at,
                    CONFLICTING_PROPERTIES,
                    format!("{place} has both a backend and a redirect"),
                    "keep one of them",
                );
                None
            }
            (pool, settings, false) => {
                if pool.is_none() {
                    self.missing(
                        place,
                        "backendAddressPool",
                        "name the pool to send requests to",
                    );
                }
                if settings.is_none() {
                    self.missing(
                        place,
                        "backendHttpSettings",
                        "name how the pool is spoken to",
                    );
                }
                None
            }
        }
    }

    fn by_path<'d>(
        &mut self,
        place: &Place<'_>,
        written: &'d RequestRoutingRuleProperties,
    ) -> Option<Destination<'d>>
    where
        'g: 'd,
    {
        let pointer = place.property("urlPathMap");
        let maps = Collection::UrlPathMaps;
        let name =
            self.required_target(place, "urlPathMap", written.url_path_map.as_ref(), maps)?;
        let gateway = self.gateway;
        let map = gateway.properties.url_path_maps.iter().flatten();
        let map = map
            .map(|map| (map.name.as_deref(), &map.properties))
            .find(|(candidate, _)| *candidate == Some(name));
        let (_, map) = map?;
        let (Some(pool), Some(settings)) = (
            &map.default_backend_address_pool,
            &map.default_backend_http_settings,
        ) else {
            self.not_served(
                pointer,
                format!("{place} routes by path without a default pool: its listener answers 404"),
                "give the path map a default pool, or write a Basic rule",
            );
            return None;
        };
        self.not_served(
            pointer,
            format!(
                "{place} routes by path: all its requests go to the default of urlPathMaps/{name}"
            ),
            "use one listener and one Basic rule for each pool",
        );
        Some(Destination {
            pool,
            settings,
            policy: map.default_load_distribution_policy.as_ref(),
        })
    }

    /// What is wrong with a policy's own properties is said once, however many rules name it.
    pub(super) fn policies(&mut self) {
        let gateway = self.gateway;
        let all = gateway.properties.load_distribution_policies.as_ref();
        for (place, policy) in each(Collection::LoadDistributionPolicies, all) {
            let pointer = place.property("slowStartInSec");
            self.bounded(pointer, &place, policy.slow_start_in_sec, 1..=3600);
        }
    }

    /// Its bounds are [`Checker::policies`]' affair.
    fn slow_start(&self, policy: Option<&Reference>) -> Option<Duration> {
        let policies = Collection::LoadDistributionPolicies;
        let name = self.target(policy, policies)?;
        let all = self.gateway.properties.load_distribution_policies.as_ref();
        let (_, policy) = each(policies, all).find(|(policy, _)| policy.name == name)?;
        policy.slow_start_in_sec.map(seconds)
    }

    fn balancing(&mut self, policy: Option<&Reference>) -> Balancing {
        let policies = Collection::LoadDistributionPolicies;
        let Some(name) = self.target(policy, policies) else {
            return Balancing::RoundRobin;
        };
        let gateway = self.gateway;
        let all = gateway.properties.load_distribution_policies.as_ref();
        let policy = each(policies, all).find(|(policy, _)| policy.name == name);
        match policy.and_then(|(_, policy)| policy.load_distribution_algorithm) {
            None | Some(LoadDistributionAlgorithm::RoundRobin) => Balancing::RoundRobin,
            Some(LoadDistributionAlgorithm::LeastConnections) => Balancing::LeastConnections,
            Some(LoadDistributionAlgorithm::IpHash) => Balancing::IpHash,
        }
    }
}
