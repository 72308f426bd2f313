//! Which requests go where: routing rules, path maps, redirects, rewrites.

use super::Reference;
use super::define::{choices, objects, resources};

resources! {
    /// `requestRoutingRules[]`: ties a listener to a pool.
    RequestRoutingRule(RequestRoutingRuleProperties);
    /// `urlPathMaps[]`: pools by path. Only its default is served yet.
    UrlPathMap(UrlPathMapProperties);
    /// `urlPathMaps[].properties.pathRules[]`: paths and where they go. Not served yet.
    PathRule(PathRuleProperties);
    /// `redirectConfigurations[]`: an answer that sends clients elsewhere. Not served yet.
    RedirectConfiguration(RedirectConfigurationProperties);
    /// `rewriteRuleSets[]`: changes to headers and URLs. Not served yet.
    RewriteRuleSet(RewriteRuleSetProperties);
}

objects! {
    /// Properties of a routing rule.
    RequestRoutingRuleProperties {
        /// By listener alone, or by path too; Basic unless given.
        rule_type: RuleType = "ruleType",
        /// 1 to 20000, 1 first. Without one, list order decides, after those that have one.
        priority: u32 = "priority",
        /// Whose requests: one of `httpListeners`.
        http_listener: Reference = "httpListener",
        /// Where to (Basic): one of `backendAddressPools`.
        backend_address_pool: Reference = "backendAddressPool",
        /// How (Basic): one of `backendHttpSettingsCollection`.
        backend_http_settings: Reference = "backendHttpSettings",
        /// Instead of a pool (Basic). Not served yet.
        redirect_configuration: Reference = "redirectConfiguration",
        /// By path (PathBasedRouting): one of `urlPathMaps`.
        url_path_map: Reference = "urlPathMap",
        /// Not served yet.
        rewrite_rule_set: Reference = "rewriteRuleSet",
        /// How a member is chosen: one of `loadDistributionPolicies`.
        load_distribution_policy: Reference = "loadDistributionPolicy",
        /// For AdvancedRouting. Not served.
        advanced_routing_map: Reference = "advancedRoutingMap",
        /// Token validation. Not served.
        entra_jwt_validation_config: Reference = "entraJWTValidationConfig",
    }
    /// Properties of a path map.
    UrlPathMapProperties {
        /// Where requests go that no path rule takes.
        default_backend_address_pool: Reference = "defaultBackendAddressPool",
        /// How.
        default_backend_http_settings: Reference = "defaultBackendHttpSettings",
        /// Instead of a default pool.
        default_redirect_configuration: Reference = "defaultRedirectConfiguration",
        /// Not served yet.
        default_rewrite_rule_set: Reference = "defaultRewriteRuleSet",
        /// How a member is chosen.
        default_load_distribution_policy: Reference = "defaultLoadDistributionPolicy",
        /// In the order in which they are tried.
        path_rules: Vec<PathRule> = "pathRules",
    }
    /// Properties of a path rule.
    PathRuleProperties {
        /// Patterns: begin with `/`, may end with `*`.
        paths: Vec<String> = "paths",
        /// Where to.
        backend_address_pool: Reference = "backendAddressPool",
        /// How.
        backend_http_settings: Reference = "backendHttpSettings",
        /// Instead of a pool.
        redirect_configuration: Reference = "redirectConfiguration",
        /// Changes to headers and URLs.
        rewrite_rule_set: Reference = "rewriteRuleSet",
        /// How a member is chosen.
        load_distribution_policy: Reference = "loadDistributionPolicy",
        /// Web application firewall. Not served.
        firewall_policy: Reference = "firewallPolicy",
    }
    /// Properties of a redirect.
    RedirectConfigurationProperties {
        /// The status.
        redirect_type: RedirectType = "redirectType",
        /// To this listener's scheme, host and port; not with `targetUrl`.
        target_listener: Reference = "targetListener",
        /// To this URL; not with `targetListener`.
        target_url: String = "targetUrl",
        /// The request's path is kept.
        include_path: bool = "includePath",
        /// The request's query is kept.
        include_query_string: bool = "includeQueryString",
    }
    /// Properties of a rewrite rule set.
    RewriteRuleSetProperties {
        /// The rules.
        rewrite_rules: Vec<RewriteRule> = "rewriteRules",
    }
    /// `rewriteRules[]`; has no `properties` around it.
    RewriteRule {
        /// Its name.
        name: String = "name",
        /// Low runs first.
        rule_sequence: u32 = "ruleSequence",
        /// All must hold.
        conditions: Vec<RewriteCondition> = "conditions",
        /// What is changed.
        action_set: RewriteActionSet = "actionSet",
    }
    /// `conditions[]` of a rewrite rule.
    RewriteCondition {
        /// `http_req_X`, `http_resp_X` or `var_x`.
        variable: String = "variable",
        /// A regular expression (RE2).
        pattern: String = "pattern",
        /// Case does not matter.
        ignore_case: bool = "ignoreCase",
        /// Holds where the pattern does not match.
        negate: bool = "negate",
    }
    /// `actionSet` of a rewrite rule.
    RewriteActionSet {
        /// Changes to the request's headers.
        request_header_configurations: Vec<HeaderConfiguration> = "requestHeaderConfigurations",
        /// Changes to the answer's headers.
        response_header_configurations: Vec<HeaderConfiguration> = "responseHeaderConfigurations",
        /// Changes to the URL.
        url_configuration: UrlConfiguration = "urlConfiguration",
    }
    /// One header to write or, with an empty value, to delete.
    HeaderConfiguration {
        /// The header.
        header_name: String = "headerName",
        /// Its value.
        header_value: String = "headerValue",
        /// Which of several (`Set-Cookie` only).
        header_value_matcher: HeaderValueMatcher = "headerValueMatcher",
    }
    /// Chooses among headers of one name.
    HeaderValueMatcher {
        /// A regular expression.
        pattern: String = "pattern",
        /// Case does not matter.
        ignore_case: bool = "ignoreCase",
        /// Chooses those that do not match.
        negate: bool = "negate",
    }
    /// Changes to a request's URL.
    UrlConfiguration {
        /// The new path.
        modified_path: String = "modifiedPath",
        /// The new query.
        modified_query_string: String = "modifiedQueryString",
        /// The path map is asked again.
        reroute: bool = "reroute",
    }
    /// `customErrorConfigurations[]`: a page for an answer that the gateway makes. Not served yet.
    CustomErrorConfiguration {
        /// `HttpStatus400` and so on.
        status_code: String = "statusCode",
        /// Where the page is fetched from.
        custom_error_page_url: String = "customErrorPageUrl",
    }
}

choices! {
    /// What a rule goes by.
    RuleType {
        /// The listener alone.
        Basic = "Basic",
        /// The path too.
        PathBasedRouting = "PathBasedRouting",
        /// Conditions. Not served.
        AdvancedRouting = "AdvancedRouting",
    }
    /// A redirect's status.
    RedirectType {
        /// 301.
        Permanent = "Permanent",
        /// 302.
        Found = "Found",
        /// 303.
        SeeOther = "SeeOther",
        /// 307.
        Temporary = "Temporary",
    }
}
