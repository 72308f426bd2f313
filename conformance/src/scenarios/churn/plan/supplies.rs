//! What documents are made of here: ports, backends, certificates, and the services that begin.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;

use crate::scenarios::churn::resources::{
    Kind, Listener, Member, Name, Probe, Resource, Resources, Rule, Settings,
};

/// The host that listeners for every host are asked for, and the one that a listener takes for itself.
pub(in crate::scenarios::churn) const HOST: &str = "gateway.test";
pub(in crate::scenarios::churn) const SITE: &str = "site.test";

/// Pools whose first backend is never taken out.
pub(super) const ANCHORED: [Name; 2] = ["alpha", "beta"];
pub(super) const PROBES: [Name; 3] = ["calm", "keen", "idle"];
const PORTS: [Name; 6] = ["core", "secure", "west", "east", "drift", "extra"];
const SETTINGS: [Name; 4] = ["first", "second", "third", "fourth"];

/// A listener and its rule, and what they refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    /// Of the listener and of the rule.
    pub(super) name: Name,
    pub(super) port: Name,
    certificate: Option<Name>,
    host: Option<&'static str>,
    priority: u16,
    pub(super) pool: Name,
    settings: Name,
}

const fn service(name: Name, priority: u16, pool: Name, settings: Name) -> Service {
    Service {
        name,
        port: name,
        certificate: None,
        host: None,
        priority,
        pool,
        settings,
    }
}

/// All there are; the last one comes later.
pub(super) const SERVICES: [Service; 7] = [
    service("core", 20, "alpha", "first"),
    Service {
        certificate: Some("one"),
        ..service("secure", 30, "beta", "second")
    },
    Service {
        port: "core",
        host: Some(SITE),
        ..service("site", 10, "epsilon", "second")
    },
    service("west", 40, "gamma", "third"),
    service("east", 50, "delta", "first"),
    service("drift", 60, "drift", "fourth"),
    service("extra", 70, "gamma", "second"),
];

impl Service {
    pub(super) fn listener(&self) -> Listener {
        Listener {
            port: self.port,
            certificate: self.certificate,
            host: self.host,
        }
    }

    pub(super) fn rule(&self) -> Rule {
        Rule {
            priority: self.priority,
            listener: self.name,
            pool: self.pool,
            settings: self.settings,
        }
    }
}

/// Two names that a pool goes by in turn.
pub(super) fn other_name(pool: Name) -> Name {
    match pool {
        "gamma" => "gamma-2",
        "gamma-2" => "gamma",
        "delta" => "delta-2",
        "delta-2" => "delta",
        "epsilon" => "epsilon-2",
        "epsilon-2" => "epsilon",
        "drift" => "drift-2",
        _ => "drift",
    }
}

/// What this run has to work with.
#[derive(Debug, Clone)]
pub(in crate::scenarios::churn) struct Supplies {
    /// Free port numbers, more than there are ports.
    pub(in crate::scenarios::churn) numbers: Vec<u16>,
    /// The hosts of backends, and the ports that there is a backend at on each of them.
    pub(in crate::scenarios::churn) hosts: Vec<Ipv4Addr>,
    pub(in crate::scenarios::churn) ports: Vec<u16>,
    /// URIs of two certificates for one name.
    pub(in crate::scenarios::churn) certificates: [Rc<str>; 2],
    /// A port that somebody else listens on.
    pub(in crate::scenarios::churn) taken: u16,
}

impl Supplies {
    /// The document that it begins with.
    pub(in crate::scenarios::churn) fn beginning(&self) -> Resources {
        let mut all = Resources::new();
        let mut add = |name: Name, resource: Resource| {
            all.insert((resource.kind(), name), resource);
        };
        for name in ["one", "two"] {
            add(name, self.part(Kind::Certificate, name));
        }
        for name in PROBES {
            add(name, self.part(Kind::Probe, name));
        }
        for service in SERVICES.iter().filter(|service| service.name != "extra") {
            for (name, part) in self.parts(*service) {
                add(name, part);
            }
        }
        all
    }

    /// A service with all that it refers to, in the order in which it can come.
    pub(super) fn parts(&self, service: Service) -> Vec<(Name, Resource)> {
        vec![
            (service.port, self.part(Kind::Port, service.port)),
            (service.pool, self.part(Kind::Pool, service.pool)),
            (
                service.settings,
                self.part(Kind::Settings, service.settings),
            ),
            (service.name, Resource::Listener(service.listener())),
            (service.name, Resource::Rule(service.rule())),
        ]
    }

    fn part(&self, kind: Kind, name: Name) -> Resource {
        match kind {
            Kind::Certificate => {
                Resource::Certificate(Rc::clone(&self.certificates[usize::from(name == "two")]))
            }
            Kind::Port => Resource::Port(self.numbers[place(&PORTS, name)]),
            Kind::Probe => Resource::Probe(self.probe()),
            Kind::Pool => Resource::Pool(self.members(name)),
            Kind::Settings => Resource::Settings(self.settings(name)),
            Kind::Listener | Kind::Rule => unreachable!("services have these"),
        }
    }

    fn members(&self, pool: Name) -> Vec<Member> {
        let own = |(host, port): (&Ipv4Addr, &u16)| self.member(*host, Some(*port));
        let each = self.hosts.iter().zip(&self.ports).map(own);
        match pool {
            "drift" => vec![self.member(self.hosts[0], None)],
            "alpha" | "beta" => each.take(3).collect(),
            _ => each.rev().take(2).collect(),
        }
    }

    /// The one that anchored pools keep.
    pub(super) fn anchor(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.hosts[0], self.ports[0])
    }

    pub(super) fn member(&self, address: Ipv4Addr, port: Option<u16>) -> Member {
        Member {
            address,
            port,
            weight: 1,
        }
    }

    pub(super) fn settings(&self, name: Name) -> Settings {
        Settings {
            port: self.ports[place(&SETTINGS, name) % self.ports.len()],
            drain_seconds: 3,
            request_timeout: 20,
            affinity: false,
            probe: "calm",
        }
    }

    /// Patient: no backend falls ill here, and the machine may be busy.
    pub(super) fn probe(&self) -> Probe {
        Probe {
            path: "/health",
            interval: 5,
            threshold: 5,
        }
    }
}

fn place(names: &[Name], name: Name) -> usize {
    let found = names.iter().position(|other| *other == name);
    found.expect("the name is one of these")
}
