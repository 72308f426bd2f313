//! What changes between two configurations, by resource.
//!
//! The rule that it must keep is `apply(&diff(a, b), a) == b`; what is equal is not mentioned.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::IpNet;

use super::{
    BackendPool, Certificate, Config, HttpSettings, Limits, Listener, Probe, RoutingRule,
    TrustedRoot,
};
use crate::name::{
    CertificateName, HttpSettingsName, ListenerName, PoolName, ProbeName, RuleName, TrustedRootName,
};
use crate::resource::Collection;

/// One resource's change. `None` means that it is removed; otherwise it is put in place.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The gateway's own name.
    Name(String),
    /// A listener.
    Listener(ListenerName, Option<Listener>),
    /// A listener's certificate.
    Certificate(CertificateName, Option<Certificate>),
    /// A backend's root.
    TrustedRoot(TrustedRootName, Option<TrustedRoot>),
    /// A backend pool.
    Pool(PoolName, Option<BackendPool>),
    /// HTTP settings.
    HttpSettings(HttpSettingsName, Option<HttpSettings>),
    /// A probe.
    Probe(ProbeName, Option<Probe>),
    /// A routing rule.
    Rule(RuleName, Option<RoutingRule>),
    /// What a client may take.
    Limits(Limits),
    /// Peers whose `X-Forwarded-For` is kept.
    TrustedProxies(Vec<IpNet>),
}

/// `httpListeners/site put`, `limits put`: for a log.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let put = match self {
            Self::Name(_) | Self::Limits(_) | Self::TrustedProxies(_) => true,
            Self::Listener(_, new) => new.is_some(),
            Self::Certificate(_, new) => new.is_some(),
            Self::TrustedRoot(_, new) => new.is_some(),
            Self::Pool(_, new) => new.is_some(),
            Self::HttpSettings(_, new) => new.is_some(),
            Self::Probe(_, new) => new.is_some(),
            Self::Rule(_, new) => new.is_some(),
        };
        let verb = if put { "put" } else { "removed" };
        write!(f, "{} {verb}", self.resource())
    }
}

impl Change {
    /// What is changed, as `collection/name`; for what belongs to the whole gateway, the property.
    pub fn resource(&self) -> String {
        let (collection, name) = match self {
            Self::Name(_) => return "name".to_owned(),
            Self::Limits(_) => return "limits".to_owned(),
            Self::TrustedProxies(_) => return "trustedProxies".to_owned(),
            Self::Listener(name, _) => (Collection::HttpListeners, name.as_str()),
            Self::Certificate(name, _) => (Collection::SslCertificates, name.as_str()),
            Self::TrustedRoot(name, _) => (Collection::TrustedRootCertificates, name.as_str()),
            Self::Pool(name, _) => (Collection::BackendAddressPools, name.as_str()),
            Self::HttpSettings(name, _) => {
                (Collection::BackendHttpSettingsCollection, name.as_str())
            }
            Self::Probe(name, _) => (Collection::Probes, name.as_str()),
            Self::Rule(name, _) => (Collection::RequestRoutingRules, name.as_str()),
        };
        format!("{collection}/{name}")
    }
}

/// What must be done to `old` to make it `new`: nothing for what is equal.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.name != new.name {
        changes.push(Change::Name(new.name.clone()));
    }
    let out = &mut changes;
    diff_map(&old.listeners, &new.listeners, Change::Listener, out);
    diff_map(
        &old.certificates,
        &new.certificates,
        Change::Certificate,
        out,
    );
    diff_map(
        &old.trusted_roots,
        &new.trusted_roots,
        Change::TrustedRoot,
        out,
    );
    diff_map(&old.pools, &new.pools, Change::Pool, out);
    diff_map(
        &old.http_settings,
        &new.http_settings,
        Change::HttpSettings,
        out,
    );
    diff_map(&old.probes, &new.probes, Change::Probe, out);
    diff_map(&old.rules, &new.rules, Change::Rule, out);
    if old.limits != new.limits {
        changes.push(Change::Limits(new.limits.clone()));
    }
    if old.trusted_proxies != new.trusted_proxies {
        changes.push(Change::TrustedProxies(new.trusted_proxies.clone()));
    }
    changes
}

fn diff_map<N: Ord + Clone, R: PartialEq + Clone>(
    old: &BTreeMap<N, R>,
    new: &BTreeMap<N, R>,
    change: fn(N, Option<R>) -> Change,
    changes: &mut Vec<Change>,
) {
    let removed = old.keys().filter(|name| !new.contains_key(*name));
    changes.extend(removed.map(|name| change(name.clone(), None)));
    let put = new
        .iter()
        .filter(|(name, resource)| old.get(*name) != Some(*resource));
    changes.extend(put.map(|(name, resource)| change(name.clone(), Some(resource.clone()))));
}

/// Does what `changes` say to `config`.
pub fn apply(changes: &[Change], config: &mut Config) {
    for change in changes {
        match change.clone() {
            Change::Name(name) => config.name = name,
            Change::Limits(limits) => config.limits = limits,
            Change::TrustedProxies(networks) => config.trusted_proxies = networks,
            Change::Listener(name, new) => put(&mut config.listeners, name, new),
            Change::Certificate(name, new) => put(&mut config.certificates, name, new),
            Change::TrustedRoot(name, new) => put(&mut config.trusted_roots, name, new),
            Change::Pool(name, new) => put(&mut config.pools, name, new),
            Change::HttpSettings(name, new) => put(&mut config.http_settings, name, new),
            Change::Probe(name, new) => put(&mut config.probes, name, new),
            Change::Rule(name, new) => put(&mut config.rules, name, new),
        }
    }
}

/// A name that changed its spelling only stays as it was spelled: the two are equal.
fn put<N: Ord, R>(resources: &mut BTreeMap<N, R>, name: N, new: Option<R>) {
    match new {
        Some(resource) => resources.insert(name, resource),
        None => resources.remove(&name),
    };
}
