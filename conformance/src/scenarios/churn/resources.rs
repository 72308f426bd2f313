//! The resources of a document as the model has them, and their JSON.
//!
//! Only what a change may touch is here; names come from a fixed set, so that what was removed can
//! come back.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;

use serde_json::{Map, Value, json};

/// A resource's name.
pub(super) type Name = &'static str;

/// A collection. A kind refers to kinds before it only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Certificate,
    Port,
    Probe,
    Pool,
    Settings,
    Listener,
    Rule,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Certificate,
        Self::Port,
        Self::Probe,
        Self::Pool,
        Self::Settings,
        Self::Listener,
        Self::Rule,
    ];

    /// Its name on the wire.
    pub(super) fn collection(self) -> &'static str {
        match self {
            Self::Certificate => "sslCertificates",
            Self::Port => "frontendPorts",
            Self::Probe => "probes",
            Self::Pool => "backendAddressPools",
            Self::Settings => "backendHttpSettingsCollection",
            Self::Listener => "httpListeners",
            Self::Rule => "requestRoutingRules",
        }
    }
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    /// The URI of its file.
    Certificate(Rc<str>),
    Port(u16),
    Probe(Probe),
    Pool(Vec<Member>),
    Settings(Settings),
    Listener(Listener),
    Rule(Rule),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) path: &'static str,
    pub(super) interval: u8,
    pub(super) threshold: u8,
}

/// A member of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) address: Ipv4Addr,
    /// Its own port; without one it is the settings'.
    pub(super) port: Option<u16>,
    pub(super) weight: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) port: u16,
    pub(super) drain_seconds: u8,
    pub(super) request_timeout: u8,
    pub(super) affinity: bool,
    pub(super) probe: Name,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) port: Name,
    /// Speaks HTTPS.
    pub(super) certificate: Option<Name>,
    /// Takes this host only.
    pub(super) host: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) priority: u16,
    pub(super) listener: Name,
    pub(super) pool: Name,
    pub(super) settings: Name,
}

impl Resource {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Certificate(_) => Kind::Certificate,
            Self::Port(_) => Kind::Port,
            Self::Probe(_) => Kind::Probe,
            Self::Pool(_) => Kind::Pool,
            Self::Settings(_) => Kind::Settings,
            Self::Listener(_) => Kind::Listener,
            Self::Rule(_) => Kind::Rule,
        }
    }

    /// What it refers to.
    pub(super) fn references(&self) -> Vec<(Kind, Name)> {
        match self {
            Self::Certificate(_) | Self::Port(_) | Self::Probe(_) | Self::Pool(_) => Vec::new(),
            Self::Settings(settings) => vec![(Kind::Probe, settings.probe)],
            Self::Listener(listener) => {
                let certificate = listener.certificate.map(|name| (Kind::Certificate, name));
                let port = (Kind::Port, listener.port);
                certificate.into_iter().chain([port]).collect()
            }
            Self::Rule(rule) => vec![
                (Kind::Listener, rule.listener),
                (Kind::Pool, rule.pool),
                (Kind::Settings, rule.settings),
            ],
        }
    }

    /// As it is PUT, and as the gateway shows it.
    pub(super) fn json(&self, name: Name) -> Value {
        json!({ "name": name, "properties": self.properties() })
    }

    fn properties(&self) -> Value {
        match self {
            Self::Certificate(uri) => json!({ "keyVaultSecretId": &**uri }),
            Self::Port(port) => json!({ "port": port }),
            Self::Probe(probe) => json!({
                "protocol": "Http",
                "host": "backend.test",
                "path": probe.path,
                "interval": probe.interval,
                "timeout": 20,
                "unhealthyThreshold": probe.threshold,
            }),
            Self::Pool(members) => {
                json!({ "backendAddresses": members.iter().map(Member::json).collect::<Vec<_>>() })
            }
            Self::Settings(settings) => settings.json(),
            Self::Listener(listener) => listener.json(),
            Self::Rule(rule) => json!({
                "ruleType": "Basic",
                "priority": rule.priority,
                "httpListener": id(Kind::Listener, rule.listener),
                "backendAddressPool": id(Kind::Pool, rule.pool),
                "backendHttpSettings": id(Kind::Settings, rule.settings),
            }),
        }
    }
}

macro_rules! accessors {
    ($($name:ident: $variant:ident => $type:ty, $from:expr;)*) => {
        impl Resource {
            $(pub(super) fn $name(&self) -> Option<$type> {
                if let Self::$variant(it) = self { Some($from(it)) } else { None }
            })*
        }
    };
}

accessors! {
    as_certificate: Certificate => Rc<str>, Rc::clone;
    as_port: Port => u16, u16::clone;
    as_pool: Pool => &[Member], Vec::as_slice;
    as_settings: Settings => &Settings, std::convert::identity;
    as_listener: Listener => &Listener, std::convert::identity;
    as_rule: Rule => &Rule, std::convert::identity;
}

impl Member {
    /// Where it is, under settings of that port.
    pub(super) fn at(&self, settings_port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.address, self.port.unwrap_or(settings_port))
    }

    fn json(&self) -> Value {
        let mut member = json!({ "ipAddress": self.address, "weight": self.weight });
        if let Some(port) = self.port {
            member["port"] = port.into();
        }
        member
    }
}

impl Settings {
    fn json(&self) -> Value {
        let affinity = if self.affinity { "Enabled" } else { "Disabled" };
        json!({
            "port": self.port,
            "protocol": "Http",
            "cookieBasedAffinity": affinity,
            "requestTimeout": self.request_timeout,
            "probe": id(Kind::Probe, self.probe),
            "connectionDraining": { "enabled": true, "drainTimeoutInSec": self.drain_seconds },
        })
    }
}

impl Listener {
    fn json(&self) -> Value {
        let mut listener = json!({
            "protocol": if self.certificate.is_some() { "Https" } else { "Http" },
            "frontendIPConfiguration": { "id": "frontendIPConfigurations/loopback" },
            "frontendPort": id(Kind::Port, self.port),
        });
        if let Some(certificate) = self.certificate {
            listener["sslCertificate"] = id(Kind::Certificate, certificate);
        }
        if let Some(host) = self.host {
            listener["hostName"] = host.into();
        }
        listener
    }
}

fn id(kind: Kind, name: Name) -> Value {
    json!({ "id": format!("{}/{name}", kind.collection()) })
}

/// All resources of a document.
pub(super) type Resources = BTreeMap<(Kind, Name), Resource>;

/// The whole document.
pub(super) fn document(resources: &Resources) -> Value {
    let mut properties = Map::new();
    properties.insert(
        "frontendIPConfigurations".to_owned(),
        json!([{ "name": "loopback", "properties": { "privateIPAddress": "127.0.0.1" } }]),
    );
    for kind in Kind::ALL {
        let of_kind = resources.iter().filter(|((other, _), _)| *other == kind);
        let list: Vec<Value> = of_kind.map(|((_, name), it)| it.json(name)).collect();
        properties.insert(kind.collection().to_owned(), list.into());
    }
    json!({ "name": "churn", "properties": properties })
}

/// A document with its collections by name, and without those that are empty: a change of one
/// resource keeps no order that would matter here.
pub(super) fn by_name(mut document: Value) -> Value {
    let Some(properties) = document["properties"].as_object_mut() else {
        return document;
    };
    for collection in properties.values_mut() {
        if let Value::Array(members) = collection {
            let named = members.iter().map(|member| {
                let name = member["name"].as_str().unwrap_or_default();
                (name.to_owned(), member.clone())
            });
            *collection = Value::Object(named.collect());
        }
    }
    properties.retain(|_, collection| collection.as_object().is_none_or(|them| !them.is_empty()));
    document
}
