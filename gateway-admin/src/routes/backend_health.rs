//! `GET /v1/backendHealth`: who is up, who is down, since when and exactly why.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use gateway_core::health::Health;
use gateway_core::resource::{Collection, Reference};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{json, rfc3339};
use crate::api::Api;
use crate::control::{Control, HealthReport, MemberHealth};

/// Every target that a rule reaches, in the shape of Application Gateway's backend health, with
/// more members to a server.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BackendHealth {
    /// One entry to a pool.
    backend_address_pools: Vec<PoolHealth>,
}

/// A pool's health.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PoolHealth {
    /// The pool.
    backend_address_pool: Reference,
    /// One entry to the HTTP settings that rules reach it with.
    backend_http_settings_collection: Vec<SettingsHealth>,
}

/// A pool's health under one set of HTTP settings.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettingsHealth {
    /// The HTTP settings.
    backend_http_settings: Reference,
    /// The pool's members.
    servers: Vec<ServerHealth>,
}

/// One member of a pool.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerHealth {
    /// The member as the document has it: an address or a domain name.
    #[schema(example = "10.0.0.4")]
    address: String,
    /// Where requests go: address and port; absent where DNS has no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "10.0.0.4:8080")]
    endpoint: Option<String>,
    /// `Up`, `Down`, `Unknown` before the first probe, or `Draining` while an operator drains it.
    #[schema(value_type = String, example = "Down")]
    health: &'static str,
    /// What the last probe found, or why none was made.
    #[schema(example = "expected status 200-399, got 503")]
    health_probe_log: String,
    /// Since when it has this health.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-31T03:04:05.678Z", format = DateTime)]
    since: Option<String>,
    /// The last probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_probe: Option<LastProbe>,
    /// When the next is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-31T03:04:35.678Z", format = DateTime)]
    next_probe_at: Option<String>,
    /// Served although down, since the probe's `minServers` asks for that many.
    forced: bool,
    /// Requests in flight and open tunnels.
    load: u32,
}

/// A probe that was made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastProbe {
    /// When it was started.
    #[schema(example = "2026-01-31T03:04:05.678Z", format = DateTime)]
    started_at: String,
    /// How long it took.
    #[schema(example = 3.2)]
    duration_in_ms: f64,
}

/// Who is up, who is down, since when and why.
#[utoipa::path(get, path = "/v1/backendHealth", tag = "backendHealth",
    responses((status = 200, description = "Every target that a rule reaches.", body = BackendHealth)))]
pub(crate) async fn backend_health<C: Control>(State(api): State<Arc<Api<C>>>) -> Response {
    let reports = api.control.backend_health();
    json(StatusCode::OK, &BackendHealth::from(reports))
}

impl From<Vec<HealthReport>> for BackendHealth {
    /// Groups by pool, in the order in which pools come first.
    fn from(reports: Vec<HealthReport>) -> Self {
        let mut pools: Vec<PoolHealth> = Vec::new();
        for report in reports {
            let pool = reference(Collection::BackendAddressPools, &report.pool);
            let settings = SettingsHealth {
                backend_http_settings: reference(
                    Collection::BackendHttpSettingsCollection,
                    &report.settings,
                ),
                servers: report.members.iter().map(ServerHealth::from).collect(),
            };
            let mut known = pools.iter_mut();
            match known.find(|known| known.backend_address_pool.id == pool.id) {
                Some(known) => known.backend_http_settings_collection.push(settings),
                None => pools.push(PoolHealth {
                    backend_address_pool: pool,
                    backend_http_settings_collection: vec![settings],
                }),
            }
        }
        Self {
            backend_address_pools: pools,
        }
    }
}

impl From<&MemberHealth> for ServerHealth {
    fn from(member: &MemberHealth) -> Self {
        Self {
            address: member.host.clone(),
            endpoint: member.address.map(|address| address.to_string()),
            health: match member.health {
                _ if member.draining => "Draining",
                Health::Unknown => "Unknown",
                Health::Up => "Up",
                Health::Down => "Down",
            },
            health_probe_log: member.reason.clone(),
            since: member.since.map(rfc3339),
            last_probe: member.last_probe.map(|(started, took)| LastProbe {
                started_at: rfc3339(started),
                duration_in_ms: (took.as_secs_f64() * 1e6).round() / 1e3,
            }),
            next_probe_at: member.next_probe_at.map(rfc3339),
            forced: member.forced,
            load: member.load,
        }
    }
}

/// The short form: under `/v1/` it is the resource's URL.
fn reference(collection: Collection, name: &str) -> Reference {
    Reference {
        id: format!("{collection}/{name}"),
    }
}
