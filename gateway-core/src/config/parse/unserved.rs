//! What a document may ask for and this gateway does not do: a warning each, which says what
//! happens instead.

use std::fmt::Display;

use super::{Checker, NOT_SERVED, each};
use crate::resource::{Collection, Switch};

impl Checker<'_, '_> {
    pub(super) fn unserved(&mut self) {
        self.unserved_of_gateway();
        self.unserved_collections();
        self.unserved_of_listeners();
        self.unserved_of_settings();
        self.unserved_of_rules();
        self.unserved_of_policies();
        self.path_map_defaults();
        if self
            .gateway
            .properties
            .http_listeners
            .iter()
            .flatten()
            .next()
            .is_none()
        {
            self.problems.warning(
                "/properties/httpListeners",
                "NothingToServe",
                "the document has no httpListeners: nothing is served",
                "add a listener and a rule",
            );
        }
    }

    fn unserved_of_gateway(&mut self) {
        let gateway = self.gateway;
        let properties = &gateway.properties;
        let buffers = properties.global_configuration.as_ref();
        let firewall = properties.web_application_firewall_configuration.as_ref();
        let buffering = buffers.is_some_and(|global| {
            global.enable_request_buffering == Some(true)
                || global.enable_response_buffering == Some(true)
        });
        let rows = [
            (
                holds(&gateway.zones),
                "/zones",
                "a process runs where it is started",
            ),
            (
                gateway.identity.is_some(),
                "/identity",
                "there is no managed identity here",
            ),
            (
                properties.autoscale_configuration.is_some(),
                "/properties/autoscaleConfiguration",
                "there is one process, with `--workers` threads",
            ),
            (
                properties.enable_http2 == Some(true),
                "/properties/enableHttp2",
                "clients are offered HTTP/1.1 only",
            ),
            (
                properties.enable_fips == Some(true),
                "/properties/enableFips",
                "cryptography is not restricted to FIPS modules",
            ),
            (
                properties.ssl_policy.is_some(),
                "/properties/sslPolicy",
                "TLS 1.2 and 1.3 are spoken, with the safe suites of the TLS library",
            ),
            (
                firewall.is_some_and(|firewall| firewall.enabled == Some(true)),
                "/properties/webApplicationFirewallConfiguration",
                "requests are not inspected",
            ),
            (
                properties.firewall_policy.is_some(),
                "/properties/firewallPolicy",
                "requests are not inspected",
            ),
            (
                holds(&properties.custom_error_configurations),
                "/properties/customErrorConfigurations",
                "the gateway's own error answers are plain",
            ),
            (
                buffering,
                "/properties/globalConfiguration",
                "bodies are streamed, never buffered",
            ),
        ];
        for (given, pointer, instead) in rows {
            if given {
                self.instead(pointer, instead);
            }
        }
    }

    /// One warning for a whole collection that nothing is done with.
    fn unserved_collections(&mut self) {
        let rows = [
            (
                Collection::GatewayIpConfigurations,
                "the host's own network is used",
            ),
            (
                Collection::AuthenticationCertificates,
                "backends are verified by trusted roots, or by the platform's",
            ),
            (
                Collection::TrustedClientCertificates,
                "clients are not asked for a certificate",
            ),
            (
                Collection::SslProfiles,
                "clients are not asked for a certificate, and the default TLS policy holds",
            ),
            (Collection::RewriteRuleSets, "nothing is rewritten"),
            (Collection::RedirectConfigurations, "nothing is redirected"),
            (
                Collection::PrivateLinkConfigurations,
                "there is no private link",
            ),
            (
                Collection::BackendSettingsCollection,
                "only HTTP is served, no layer 4",
            ),
            (
                Collection::Listeners,
                "only httpListeners are served, no layer 4",
            ),
            (
                Collection::RoutingRules,
                "only requestRoutingRules are served, no layer 4",
            ),
            (
                Collection::EntraJwtValidationConfigs,
                "tokens are not looked at",
            ),
            (
                Collection::AdvancedRoutingMaps,
                "nothing is routed by conditions",
            ),
        ];
        for (collection, instead) in rows {
            if !self.gateway.names(collection).is_empty() {
                self.instead(format!("/properties/{collection}"), instead);
            }
        }
    }

    fn unserved_of_listeners(&mut self) {
        let all = self.gateway.properties.http_listeners.as_ref();
        for (place, listener) in each(Collection::HttpListeners, all) {
            let rows = [
                (
                    listener.ssl_profile.is_some(),
                    "sslProfile",
                    "clients are not asked for a certificate, and the default TLS policy holds",
                ),
                (
                    holds(&listener.custom_error_configurations),
                    "customErrorConfigurations",
                    "the gateway's own error answers are plain",
                ),
                (
                    listener.firewall_policy.is_some(),
                    "firewallPolicy",
                    "requests are not inspected",
                ),
            ];
            for (given, property, instead) in rows {
                if given {
                    self.instead(place.property(property), instead);
                }
            }
        }
    }

    fn unserved_of_settings(&mut self) {
        let all = self
            .gateway
            .properties
            .backend_http_settings_collection
            .as_ref();
        for (place, settings) in each(Collection::BackendHttpSettingsCollection, all) {
            let rows = [
                (
                    settings.cookie_based_affinity == Some(Switch::Enabled),
                    "cookieBasedAffinity",
                    "clients are not kept at one member",
                ),
                (
                    holds(&settings.authentication_certificates),
                    "authenticationCertificates",
                    "backends are verified by `trustedRootCertificates`, or the platform's roots",
                ),
                (
                    settings.dedicated_backend_connection == Some(true),
                    "dedicatedBackendConnection",
                    "clients share backend connections",
                ),
            ];
            for (given, property, instead) in rows {
                if given {
                    self.instead(place.property(property), instead);
                }
            }
        }
    }

    fn unserved_of_rules(&mut self) {
        let all = self.gateway.properties.request_routing_rules.as_ref();
        for (place, rule) in each(Collection::RequestRoutingRules, all) {
            if rule.rewrite_rule_set.is_some() {
                self.instead(place.property("rewriteRuleSet"), "nothing is rewritten");
            }
            if rule.entra_jwt_validation_config.is_some() {
                self.instead(
                    place.property("entraJWTValidationConfig"),
                    "tokens are not looked at",
                );
            }
        }
    }

    fn unserved_of_policies(&mut self) {
        let all = self.gateway.properties.load_distribution_policies.as_ref();
        for (place, policy) in each(Collection::LoadDistributionPolicies, all) {
            if holds(&policy.load_distribution_targets) {
                self.instead(
                    place.property("loadDistributionTargets"),
                    "requests go to the pool that the rule names",
                );
            }
        }
    }

    fn path_map_defaults(&mut self) {
        let all = self.gateway.properties.url_path_maps.as_ref();
        for (place, map) in each(Collection::UrlPathMaps, all) {
            let redirects = map.default_redirect_configuration.is_some()
                || self
                    .problems
                    .has_failed_inside(place.property("defaultRedirectConfiguration"));
            let rows = [
                (
                    map.default_backend_address_pool.is_some(),
                    "defaultBackendAddressPool",
                    "ApplicationGatewayUrlPathMapMustSpecifyDefaultBackendAddressPool",
                ),
                (
                    map.default_backend_http_settings.is_some(),
                    "defaultBackendHttpSettings",
                    "ApplicationGatewayUrlPathMapMustSpecifyDefaultBackendHttpSettings",
                ),
            ];
            for (given, property, code) in rows {
                let pointer = place.property(property);
                if !given && !redirects && !self.problems.has_failed_inside(pointer) {
                    self.problems.error(
                        pointer,
                        code,
                        format!("{place} has neither `{property}` nor a default redirect"),
                        format!("write `{property}`: requests go there that no path rule takes"),
                    );
                }
            }
        }
    }

    fn instead(&mut self, pointer: impl Display, instead: &str) {
        let pointer = pointer.to_string();
        let name = pointer.rsplit('/').next().unwrap_or_default().to_owned();
        self.problems.warning(
            pointer,
            NOT_SERVED,
            format!("`{name}` is not served: {instead}"),
            "remove it, if you can do without it",
        );
    }
}

/// Azure's GET writes empty lists.
fn holds<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}
