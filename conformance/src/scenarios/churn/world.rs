//! What the gateway should be, after each change: which listeners and targets live, who answers
//! where, and which changes must be refused. `docs/reconfiguration.md`, as code of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::Duration;

use super::resources::{Kind, Listener, Name, Resource, Resources, Rule};

/// What a tunnel hangs on. Identity is by name, and by pool, address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Listener(Name),
    Target(Name, SocketAddrV4),
}

/// A thing in one of its lives: what is removed and put back is new.
pub(super) type Identity = (Thing, u32);

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Put(Name, Resource),
    Delete(Kind, Name),
    /// The whole document.
    Replace(Resources),
}

/// What must become of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes live as the next revision.
    Live { created: bool },
    /// It is accepted, and changes nothing.
    Nothing,
    /// It is refused with this status, this code, and this code among the details.
    Refused(u16, &'static str, Option<&'static str>),
}

/// The gateway under one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct World {
    pub(super) resources: Resources,
    /// What lives, in which life.
    living: BTreeMap<Thing, u32>,
    /// How many lives each thing has had.
    lives: BTreeMap<Thing, u32>,
}

/// What meets a connection at a port that asks for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Landing {
    Closed,
    Open {
        /// The URI of the certificate; `None` for plain HTTP.
        certificate: Option<Rc<str>>,
        /// Where requests go; `None`: 404.
        route: Option<Route>,
    },
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) listener: Identity,
    pub(super) rule: Name,
    pub(super) settings: Name,
    /// None: 502.
    pub(super) targets: BTreeMap<SocketAddrV4, Identity>,
    pub(super) drain: Duration,
}

impl World {
    pub(super) fn new(resources: Resources) -> Self {
        let nothing = Self {
            resources: Resources::new(),
            living: BTreeMap::new(),
            lives: BTreeMap::new(),
        };
        nothing.after(&Change::Replace(resources))
    }

    /// The world that `change` makes.
    pub(super) fn after(&self, change: &Change) -> Self {
        let mut next = self.clone();
        next.resources = changed(&self.resources, change);
        let things = things(&next.resources);
        next.living.retain(|thing, _| things.contains(thing));
        for thing in things {
            if !next.living.contains_key(&thing) {
                let lives = next.lives.entry(thing).or_default();
                *lives += 1;
                next.living.insert(thing, *lives);
            }
        }
        next
    }

    /// What must become of `change`.
    pub(super) fn verdict(&self, change: &Change) -> Verdict {
        if let Change::Delete(kind, name) = change {
            if !self.resources.contains_key(&(*kind, *name)) {
                return Verdict::Refused(404, "ResourceNotFound", None);
            }
            if self.is_referred_to(*kind, name) {
                return Verdict::Refused(409, "ResourceInUse", Some("ResourceInUse"));
            }
        }
        let after = changed(&self.resources, change);
        if after == self.resources {
            return Verdict::Nothing;
        }
        if let Some(problem) = problem(&after) {
            return Verdict::Refused(400, "InvalidDocument", Some(problem));
        }
        let created = match change {
            Change::Put(name, resource) => !self.resources.contains_key(&(resource.kind(), *name)),
            Change::Delete(..) | Change::Replace(_) => false,
        };
        Verdict::Live { created }
    }

    pub(super) fn is_referred_to(&self, kind: Kind, name: Name) -> bool {
        let mut all = self.resources.values();
        all.any(|resource| resource.references().contains(&(kind, name)))
    }

    pub(super) fn lives(&self, (thing, life): Identity) -> bool {
        self.living.get(&thing) == Some(&life)
    }

    fn identity(&self, thing: Thing) -> Identity {
        (thing, self.living.get(&thing).copied().unwrap_or_default())
    }

    pub(super) fn names(&self, kind: Kind) -> Vec<Name> {
        let keys = self.resources.keys();
        keys.filter(|(other, _)| *other == kind)
            .map(|(_, name)| *name)
            .collect()
    }

    pub(super) fn get(&self, kind: Kind, name: Name) -> Option<&Resource> {
        self.resources.get(&(kind, name))
    }

    fn listeners(&self) -> impl Iterator<Item = (Name, &Listener)> {
        let all = self.resources.iter();
        all.filter_map(|((_, name), resource)| Some((*name, resource.as_listener()?)))
    }

    fn rule_of(&self, listener: Name) -> Option<(Name, &Rule)> {
        let mut all = self.resources.iter();
        all.find_map(|((_, name), resource)| {
            let rule = resource.as_rule()?;
            (rule.listener == listener).then_some((*name, rule))
        })
    }

    /// The number of the port that a listener is on.
    pub(super) fn number(&self, listener: &Listener) -> Option<u16> {
        number(&self.resources, listener)
    }

    /// Who answers at `port` for `host`: by the rules' priorities, listeners without a rule last.
    pub(super) fn landing(&self, port: u16, host: &str) -> Landing {
        let mut here: Vec<_> = self
            .listeners()
            .filter(|(_, listener)| self.number(listener) == Some(port))
            .map(|(name, listener)| (name, listener, self.rule_of(name)))
            .collect();
        here.sort_by_key(|(_, _, rule)| rule.map_or(u16::MAX, |(_, rule)| rule.priority));
        let Some((_, first, _)) = here.first() else {
            return Landing::Closed;
        };
        let certificate = first
            .certificate
            .and_then(|name| self.get(Kind::Certificate, name)?.as_certificate());
        let winner = here
            .iter()
            .find(|(_, listener, _)| listener.host.is_none_or(|taken| taken == host));
        let route = winner.and_then(|(name, _, rule)| self.route(name, (*rule)?));
        Landing::Open { certificate, route }
    }

    fn route(&self, listener: Name, (name, rule): (Name, &Rule)) -> Option<Route> {
        let members = self.get(Kind::Pool, rule.pool)?.as_pool()?;
        let settings = self.get(Kind::Settings, rule.settings)?.as_settings()?;
        let at = members.iter().map(|member| member.at(settings.port));
        let targets = at.map(|at| (at, self.identity(Thing::Target(rule.pool, at))));
        Some(Route {
            listener: self.identity(Thing::Listener(listener)),
            rule: name,
            settings: rule.settings,
            targets: targets.collect(),
            drain: Duration::from_secs(settings.drain_seconds.into()),
        })
    }
}

fn changed(resources: &Resources, change: &Change) -> Resources {
    let mut next = resources.clone();
    match change {
        Change::Put(name, resource) => {
            next.insert((resource.kind(), *name), resource.clone());
        }
        Change::Delete(kind, name) => {
            next.remove(&(*kind, *name));
        }
        Change::Replace(all) => next = all.clone(),
    }
    next
}

/// What a document has: its listeners, and for each pool its members at their own ports, or at the
/// ports of all settings, whether a rule joins them or not.
fn things(resources: &Resources) -> BTreeSet<Thing> {
    let mut things = BTreeSet::new();
    let settings_ports: BTreeSet<u16> = resources
        .values()
        .filter_map(|resource| Some(resource.as_settings()?.port))
        .collect();
    for ((_, name), resource) in resources {
        if resource.as_listener().is_some() {
            things.insert(Thing::Listener(name));
        }
        for member in resource.as_pool().into_iter().flatten() {
            let ports = settings_ports.iter();
            things.extend(ports.map(|port| Thing::Target(name, member.at(*port))));
        }
    }
    things
}

fn number(resources: &Resources, listener: &Listener) -> Option<u16> {
    resources.get(&(Kind::Port, listener.port))?.as_port()
}

/// Why a document must be refused: the code of a problem that must be among the details.
fn problem(resources: &Resources) -> Option<&'static str> {
    let mut references = resources.values().flat_map(Resource::references);
    if references.any(|reference| !resources.contains_key(&reference)) {
        return Some("InvalidResourceReference");
    }
    let (mut speaks, mut basic) = (BTreeMap::new(), BTreeSet::new());
    let (mut ruled, mut priorities) = (BTreeSet::new(), BTreeSet::new());
    for resource in resources.values() {
        if let Resource::Listener(listener) = resource {
            let port = number(resources, listener);
            let is_tls = listener.certificate.is_some();
            if *speaks.entry(port).or_insert(is_tls) != is_tls {
                return Some("MixedProtocolsOnPort");
            }
            if listener.host.is_none() && !basic.insert(port) {
                return Some("DuplicateBasicListener");
            }
        }
        if let Resource::Rule(rule) = resource {
            if !ruled.insert(rule.listener) {
                return Some("ListenerHasSeveralRules");
            }
            if !priorities.insert(rule.priority) {
                return Some("DuplicatePriority");
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
