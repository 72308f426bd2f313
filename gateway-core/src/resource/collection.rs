//! The collections of named resources, by their names on the wire.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::changes::{Change, differing};
use super::pointer::Pointer;
use super::read::Read;
use super::tree::Node;
use super::{ApplicationGateway, Resource};
use crate::config::Collector;

macro_rules! collections {
    ($($(#[$doc:meta])* $variant:ident($field:ident) = $wire:literal;)*) => {
        /// A collection of named resources (reference section 1.1).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Collection {
            $($(#[$doc])* $variant,)*
        }

        impl Collection {
            /// All of them, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name on the wire.
            pub const fn wire_name(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)*
                }
            }
        }

        impl ApplicationGateway {
            /// The names in `collection`, in the order of the document; unnamed ones are empty.
            pub fn names(&self, collection: Collection) -> Vec<&str> {
                match collection {
                    $(Collection::$variant => names(self.properties.$field.as_deref()),)*
                }
            }

            /// The resources of `collection` as they are written, without secrets.
            pub fn collection(&self, collection: Collection) -> Vec<Value> {
                match collection {
                    $(Collection::$variant => values(self.properties.$field.as_deref()),)*
                }
            }

            /// Puts the resource that `node` holds at `index` of `collection`, or at its end. What of
            /// it cannot be read is noted; `at` is its place.
            pub(crate) fn put(
                &mut self,
                (collection, index): (Collection, usize),
                node: &Node,
                at: &Pointer<'_>,
                problems: &mut Collector<'_>,
            ) {
                match collection {
                    $(Collection::$variant => {
                        let read = Read::read(node, at, problems);
                        put(&mut self.properties.$field, index, read.unwrap_or_default());
                    })*
                }
            }

            /// The resources of `collection` that are others in `after`.
            pub(super) fn differing_in(
                &self,
                collection: Collection,
                after: &Self,
            ) -> Vec<Change> {
                match collection {
                    $(Collection::$variant => differing(
                        collection,
                        self.properties.$field.as_deref(),
                        after.properties.$field.as_deref(),
                    ),)*
                }
            }

            /// Takes away the resource at `index` of `collection`.
            pub(crate) fn remove(&mut self, collection: Collection, index: usize) {
                match collection {
                    $(Collection::$variant => remove(&mut self.properties.$field, index),)*
                }
            }

            /// One resource as it is written, without secrets; its name in any case.
            pub fn resource(&self, collection: Collection, name: &str) -> Option<Value> {
                let index = self.index_of(collection, name)?;
                match collection {
                    $(Collection::$variant => value(self.properties.$field.as_deref(), index),)*
                }
            }
        }
    };
}

collections! {
    /// Azure's subnets.
    GatewayIpConfigurations(gateway_ip_configurations) = "gatewayIPConfigurations";
    /// Addresses to listen on.
    FrontendIpConfigurations(frontend_ip_configurations) = "frontendIPConfigurations";
    /// Ports to listen on.
    FrontendPorts(frontend_ports) = "frontendPorts";
    /// Listeners' certificates.
    SslCertificates(ssl_certificates) = "sslCertificates";
    /// Exact backend certificates of version 1.
    AuthenticationCertificates(authentication_certificates) = "authenticationCertificates";
    /// Backends' roots.
    TrustedRootCertificates(trusted_root_certificates) = "trustedRootCertificates";
    /// Clients' roots.
    TrustedClientCertificates(trusted_client_certificates) = "trustedClientCertificates";
    /// Client authentication and TLS policies.
    SslProfiles(ssl_profiles) = "sslProfiles";
    /// How members are asked for their health.
    Probes(probes) = "probes";
    /// Members that share the load.
    BackendAddressPools(backend_address_pools) = "backendAddressPools";
    /// How pools are spoken to.
    BackendHttpSettingsCollection(backend_http_settings_collection) = "backendHttpSettingsCollection";
    /// Where requests come in.
    HttpListeners(http_listeners) = "httpListeners";
    /// Pools by path.
    UrlPathMaps(url_path_maps) = "urlPathMaps";
    /// Which listener's requests go to which pool.
    RequestRoutingRules(request_routing_rules) = "requestRoutingRules";
    /// Changes to headers and URLs.
    RewriteRuleSets(rewrite_rule_sets) = "rewriteRuleSets";
    /// Answers that send clients elsewhere.
    RedirectConfigurations(redirect_configurations) = "redirectConfigurations";
    /// Private links.
    PrivateLinkConfigurations(private_link_configurations) = "privateLinkConfigurations";
    /// How a member is chosen.
    LoadDistributionPolicies(load_distribution_policies) = "loadDistributionPolicies";
    /// Layer 4 settings.
    BackendSettingsCollection(backend_settings_collection) = "backendSettingsCollection";
    /// Layer 4 listeners.
    Listeners(listeners) = "listeners";
    /// Layer 4 rules.
    RoutingRules(routing_rules) = "routingRules";
    /// Token validation.
    EntraJwtValidationConfigs(entra_jwt_validation_configs) = "entraJWTValidationConfigs";
    /// Rules by conditions.
    AdvancedRoutingMaps(advanced_routing_maps) = "advancedRoutingMaps";
}

impl ApplicationGateway {
    /// Where the resource of that name, in any case, stands in its collection.
    pub(crate) fn index_of(&self, collection: Collection, name: &str) -> Option<usize> {
        self.names(collection)
            .iter()
            .position(|candidate| candidate.eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Collection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.wire_name())
    }
}

/// No collection has that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no collection of that name")]
pub struct UnknownCollection;

impl FromStr for Collection {
    type Err = UnknownCollection;

    /// Reads a name on the wire, in any case.
    fn from_str(name: &str) -> Result<Self, UnknownCollection> {
        Self::ALL
            .iter()
            .find(|collection| collection.wire_name().eq_ignore_ascii_case(name))
            .copied()
            .ok_or(UnknownCollection)
    }
}

fn names<R: Resource>(resources: Option<&[R]>) -> Vec<&str> {
    let resources = resources.unwrap_or_default().iter();
    resources
        .map(|resource| resource.name().unwrap_or_default())
        .collect()
}

fn put<R>(resources: &mut Option<Vec<R>>, index: usize, resource: R) {
    let resources = resources.get_or_insert_default();
    match resources.get_mut(index) {
        Some(place) => *place = resource,
        None => resources.push(resource),
    }
}

fn remove<R>(resources: &mut Option<Vec<R>>, index: usize) {
    if let Some(resources) = resources {
        resources.remove(index);
    }
}

fn values<R: serde::Serialize>(resources: Option<&[R]>) -> Vec<Value> {
    resources.unwrap_or_default().iter().map(to_value).collect()
}

fn value<R: serde::Serialize>(resources: Option<&[R]>, index: usize) -> Option<Value> {
    resources?.get(index).map(to_value)
}

fn to_value(resource: &impl serde::Serialize) -> Value {
    serde_json::to_value(resource).expect("documents have string keys and finite numbers only")
}
