//! References between resources, found by the names of the properties that hold them: one table
//! for the served and the unserved, for dangling references and for the referrers of a resource.

use std::fmt::Display;

use super::{Checker, Place};
use crate::config::Severity;
use crate::resource::{
    ApplicationGateway, Collection, JsonTree, Node, NodeValue, Pointer, Reference, nearest, shown,
};

const INVALID_REFERENCE: &str = "InvalidResourceReference";

/// Which collection a property refers to.
const REFERENCES: &[(&str, Collection)] = &[
    (
        "frontendIPConfiguration",
        Collection::FrontendIpConfigurations,
    ),
    ("frontendPort", Collection::FrontendPorts),
    ("sslCertificate", Collection::SslCertificates),
    ("sslProfile", Collection::SslProfiles),
    (
        "privateLinkConfiguration",
        Collection::PrivateLinkConfigurations,
    ),
    ("probe", Collection::Probes),
    (
        "authenticationCertificates",
        Collection::AuthenticationCertificates,
    ),
    (
        "trustedRootCertificates",
        Collection::TrustedRootCertificates,
    ),
    (
        "trustedClientCertificates",
        Collection::TrustedClientCertificates,
    ),
    ("httpListener", Collection::HttpListeners),
    ("targetListener", Collection::HttpListeners),
    ("backendAddressPool", Collection::BackendAddressPools),
    ("defaultBackendAddressPool", Collection::BackendAddressPools),
    (
        "backendHttpSettings",
        Collection::BackendHttpSettingsCollection,
    ),
    (
        "defaultBackendHttpSettings",
        Collection::BackendHttpSettingsCollection,
    ),
    ("redirectConfiguration", Collection::RedirectConfigurations),
    (
        "defaultRedirectConfiguration",
        Collection::RedirectConfigurations,
    ),
    ("urlPathMap", Collection::UrlPathMaps),
    ("rewriteRuleSet", Collection::RewriteRuleSets),
    ("defaultRewriteRuleSet", Collection::RewriteRuleSets),
    (
        "loadDistributionPolicy",
        Collection::LoadDistributionPolicies,
    ),
    (
        "defaultLoadDistributionPolicy",
        Collection::LoadDistributionPolicies,
    ),
    ("advancedRoutingMap", Collection::AdvancedRoutingMaps),
    (
        "entraJWTValidationConfig",
        Collection::EntraJwtValidationConfigs,
    ),
    ("listener", Collection::Listeners),
    ("backendSettings", Collection::BackendSettingsCollection),
];

/// The properties above that hold a list of references. A list under another name is one of Azure's
/// back-references.
const LISTS: &[&str] = &[
    "authenticationCertificates",
    "trustedRootCertificates",
    "trustedClientCertificates",
];

/// One reference and where it stands.
pub(crate) struct ReferenceAt<'a> {
    /// Whose: `collection/name`.
    pub(crate) owner: &'a dyn Display,
    /// The property that holds its `id`.
    at: &'a Pointer<'a>,
    /// What it refers to.
    pub(crate) reference: Reference,
    /// Where that should be.
    pub(crate) collection: Collection,
}

/// Shows every reference of the document to `visit`.
pub(crate) fn references(
    gateway: &ApplicationGateway,
    tree: &JsonTree,
    visit: &mut dyn FnMut(&ReferenceAt<'_>),
) {
    let Some(properties) = tree.root.get("properties") else {
        return;
    };
    let root = Pointer::ROOT;
    let at = root.name("properties");
    for &collection in Collection::ALL {
        let Some(node) = properties.get(collection.wire_name()) else {
            continue;
        };
        let NodeValue::Array(elements) = &node.value else {
            continue;
        };
        let at = at.name(collection.wire_name());
        let names = gateway.names(collection);
        for (index, element) in elements.iter().enumerate() {
            let place = Place {
                collection,
                index,
                name: names.get(index).copied().unwrap_or_default(),
            };
            walk(element, &at.index(index), &place, visit);
        }
    }
}

fn walk(
    node: &Node,
    at: &Pointer<'_>,
    owner: &dyn Display,
    visit: &mut dyn FnMut(&ReferenceAt<'_>),
) {
    match &node.value {
        NodeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                walk(element, &at.index(index), owner, visit);
            }
        }
        NodeValue::Object(properties) => {
            for property in properties {
                let at = at.name(&property.name);
                match meant_by(&property.name) {
                    Some(known) => collect(&property.value, &at, owner, known, visit),
                    None => walk(&property.value, &at, owner, visit),
                }
            }
        }
        NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) | NodeValue::String(_) => {}
    }
}

fn meant_by(property: &str) -> Option<(&'static str, Collection)> {
    REFERENCES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(property))
        .copied()
}

fn collect(
    node: &Node,
    at: &Pointer<'_>,
    owner: &dyn Display,
    (property, collection): (&str, Collection),
    visit: &mut dyn FnMut(&ReferenceAt<'_>),
) {
    if let NodeValue::Array(elements) = &node.value {
        if LISTS.contains(&property) {
            for (index, element) in elements.iter().enumerate() {
                collect(element, &at.index(index), owner, ("", collection), visit);
            }
        }
        return;
    }
    if let Some(id) = node.get("id").and_then(Node::as_str) {
        visit(&ReferenceAt {
            owner,
            at,
            reference: Reference::from_text(id),
            collection,
        });
    }
}

impl Checker<'_, '_> {
    /// Reports every reference that is malformed, of the wrong collection, or to nothing.
    pub(super) fn references(&mut self, tree: &JsonTree) {
        references(self.gateway, tree, &mut |found| self.reference(found));
    }

    fn reference(&mut self, found: &ReferenceAt<'_>) {
        let ReferenceAt {
            owner,
            at,
            reference,
            collection,
        } = found;
        if reference.is_well_formed() && self.leads_somewhere(reference, *collection) {
            return;
        }
        let pointer = at.name("id");
        let name = shown(reference.name());
        if !reference.is_well_formed() {
            self.problems.error(
                pointer,
                INVALID_REFERENCE,
                format!(
                    "{owner} refers to `{}`, which is no id",
                    shown(&reference.id)
                ),
                format!("write a full id of a gateway's child, `{collection}/name` or `name`"),
            );
            return;
        }
        if let Some(named) = foreign_collection(reference, *collection) {
            self.problems.error(
                pointer,
                INVALID_REFERENCE,
                format!("{owner} refers to {}/{name} here", shown(named)),
                format!("refer to one of {collection}"),
            );
            return;
        }
        if self.has_unreadable(*collection) {
            return;
        }
        let near = if self.problems.has_room(Severity::Error) {
            nearest(reference.name(), self.gateway.names(*collection))
        } else {
            None
        };
        let remedy = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add it to {collection}, or refer to another"),
        };
        self.problems.error(
            pointer,
            INVALID_REFERENCE,
            format!(
                "no {} `{name}`: {owner} refers to {collection}/{name}",
                noun(*collection)
            ),
            remedy,
        );
    }

    /// Whether what is referred to is there, and of the right collection.
    fn leads_somewhere(&self, reference: &Reference, collection: Collection) -> bool {
        foreign_collection(reference, collection).is_none()
            && self.target(Some(reference), collection).is_some()
    }

    /// Whether a resource of that collection may be there under a name that could not be read.
    fn has_unreadable(&self, collection: Collection) -> bool {
        self.known.contains_key(&(collection, String::new()))
            || self
                .problems
                .has_failed(format_args!("/properties/{collection}"))
    }
}

/// The collection that an id names, where it should name another.
fn foreign_collection(reference: &Reference, collection: Collection) -> Option<&str> {
    let named = reference.collection();
    named.filter(|named| !named.eq_ignore_ascii_case(collection.wire_name()))
}

/// What one resource of a collection is called in messages.
fn noun(collection: Collection) -> &'static str {
    match collection {
        Collection::GatewayIpConfigurations => "gateway IP configuration",
        Collection::FrontendIpConfigurations => "frontend IP configuration",
        Collection::FrontendPorts => "frontend port",
        Collection::SslCertificates => "certificate",
        Collection::AuthenticationCertificates => "authentication certificate",
        Collection::TrustedRootCertificates => "trusted root certificate",
        Collection::TrustedClientCertificates => "trusted client certificate",
        Collection::SslProfiles => "TLS profile",
        Collection::Probes => "probe",
        Collection::BackendAddressPools => "backend pool",
        Collection::BackendHttpSettingsCollection => "HTTP settings",
        Collection::HttpListeners | Collection::Listeners => "listener",
        Collection::UrlPathMaps => "path map",
        Collection::RequestRoutingRules | Collection::RoutingRules => "routing rule",
        Collection::RewriteRuleSets => "rewrite rule set",
        Collection::RedirectConfigurations => "redirect",
        Collection::PrivateLinkConfigurations => "private link",
        Collection::LoadDistributionPolicies => "load distribution policy",
        Collection::BackendSettingsCollection => "backend settings",
        Collection::EntraJwtValidationConfigs => "token validation",
        Collection::AdvancedRoutingMaps => "routing map",
    }
}
