//! `/v1/drains`, and the operator's word that drains a target.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use gateway_core::tunnels::DrainReport;
use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{json, rfc3339};
use crate::api::Api;
use crate::control::Control;
use crate::error::AdminError;

/// Connections that are being closed, and how far it has come. `total` is `closed` and `cut` and
/// `kept` and `left`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Drain {
    /// Its name for as long as the process lives.
    #[schema(example = "3")]
    id: String,
    /// Why: `TargetRemoved`, `ListenerRemoved`, `TargetDrained`, `TargetUnhealthy`, `Closed`,
    /// `Rebalance` or `Shutdown`.
    #[schema(value_type = String, example = "TargetDrained")]
    kind: &'static str,
    /// Whose connections: a target, a listener, a filter.
    #[schema(example = "web/10.0.0.4:8080")]
    what: String,
    /// `Running`, `Cancelled` or `Finished`.
    #[schema(value_type = String, example = "Running")]
    state: &'static str,
    /// Since when.
    #[schema(example = "2026-01-31T03:04:05.678Z", format = DateTime)]
    started_at: String,
    /// When the last is cut at the latest; absent where each has its own time from when it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-31T03:04:35.678Z", format = DateTime)]
    deadline: Option<String>,
    /// How many it is about.
    #[schema(example = 2000)]
    total: usize,
    /// How many were sent a Close frame.
    #[schema(example = 1200)]
    told: usize,
    /// How many have ended, by the closing handshake or by themselves.
    #[schema(example = 1190)]
    closed: usize,
    /// How many were cut at the deadline.
    #[schema(example = 0)]
    cut: usize,
    /// How many stay, since the drain was cancelled before their turn.
    #[schema(example = 0)]
    kept: usize,
    /// How many are still to end.
    #[schema(example = 810)]
    left: usize,
}

/// All drains that are known.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DrainList {
    /// The newest first: those that run, and the last 64 that do not any more.
    value: Vec<Drain>,
}

/// Drains that run, and the last ones that are over.
#[utoipa::path(get, path = "/v1/drains", tag = "drains",
    responses((status = 200, description = "The newest first.", body = DrainList)))]
pub(crate) async fn list_drains<C: Control>(State(api): State<Arc<Api<C>>>) -> Response {
    let drains = api.control.drains();
    let value = drains.iter().rev().map(Drain::from).collect();
    json(StatusCode::OK, &DrainList { value })
}

/// One drain.
#[utoipa::path(get, path = "/v1/drains/{id}", tag = "drains",
    params(("id" = String, Path, description = "Its id.", example = "3")),
    responses((status = 200, description = "How far it has come.", body = Drain)))]
pub(crate) async fn get_drain<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path(id): Path<String>,
) -> Result<Response, AdminError> {
    let drains = api.control.drains();
    let found = drains.iter().find(|drain| drain.id.to_string() == id);
    let drain = found.ok_or(AdminError::NoSuchDrain { id })?;
    Ok(json(StatusCode::OK, &Drain::from(drain)))
}

/// Cancels a drain.
///
/// Connections that were not told to close yet stay. A target that an operator drains still gets no
/// new work until it is resumed.
#[utoipa::path(delete, path = "/v1/drains/{id}", tag = "drains",
    params(("id" = String, Path, description = "Its id.", example = "3")),
    responses((status = 200, description = "What became of it; `kept` stay.", body = Drain)))]
pub(crate) async fn cancel_drain<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path(id): Path<String>,
) -> Result<Response, AdminError> {
    let cancelled = match number(&id) {
        Some(id) => api.control.cancel_drain(id).await,
        None => None,
    };
    let drain = cancelled.ok_or(AdminError::NoSuchDrain { id })?;
    Ok(json(StatusCode::OK, &Drain::from(&drain)))
}

/// Goes on with a cancelled drain.
#[utoipa::path(post, path = "/v1/drains/{id}/resume", tag = "drains",
    params(("id" = String, Path, description = "Its id.", example = "3")),
    responses((status = 202, description = "Those that stayed are being told.", body = Drain,
        headers(("Location" = String, description = "The drain.")))))]
pub(crate) async fn resume_drain<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path(id): Path<String>,
) -> Result<Response, AdminError> {
    let resumed = match number(&id) {
        Some(id) => api.control.resume_drain(id).await,
        None => None,
    };
    let drain = resumed.ok_or(AdminError::NoSuchDrain { id })?;
    Ok(accepted(&drain))
}

/// Drains a target.
///
/// At once it gets no new requests and no new handshakes. Requests in flight end by themselves;
/// connections get a Close frame, spread over the `closeOver` of their HTTP settings, and are cut
/// at their drain time. It stays so until `resume`, or until the gateway starts anew.
#[utoipa::path(post, path = "/v1/backendAddressPools/{pool}/targets/{address}/drain", tag = "drains",
    params(("pool" = String, Path, description = "The pool's name."),
        ("address" = String, Path, description = "The target: an address or domain name, with or without a port.", example = "10.0.0.4:8080")),
    responses((status = 202, description = "It gets no new work, and its connections are being told.",
        body = Drain, headers(("Location" = String, description = "The drain.")))))]
pub(crate) async fn drain_target<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path((pool, address)): Path<(String, String)>,
) -> Result<Response, AdminError> {
    let drain = api.control.drain_targets(&pool, &address).await?;
    Ok(accepted(&drain))
}

/// Gives a target work again.
///
/// Connections that were not told to close yet stay.
#[utoipa::path(post, path = "/v1/backendAddressPools/{pool}/targets/{address}/resume", tag = "drains",
    params(("pool" = String, Path, description = "The pool's name."),
        ("address" = String, Path, description = "The target: an address or domain name, with or without a port.", example = "10.0.0.4:8080")),
    responses((status = 204, description = "It gets work.")))]
pub(crate) async fn resume_target<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path((pool, address)): Path<(String, String)>,
) -> Result<Response, AdminError> {
    api.control.resume_targets(&pool, &address).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// 202 with the drain and where it is.
pub(crate) fn accepted(drain: &DrainReport) -> Response {
    let mut response = json(StatusCode::ACCEPTED, &Drain::from(drain));
    let location = HeaderValue::from_str(&format!("/v1/drains/{}", drain.id));
    let location = location.expect("digits in a path");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// One name each: no sign, no leading zero.
fn number(id: &str) -> Option<u64> {
    let number: u64 = id.parse().ok()?;
    (number.to_string() == id).then_some(number)
}

impl From<&DrainReport> for Drain {
    fn from(drain: &DrainReport) -> Self {
        Self {
            id: drain.id.to_string(),
            kind: drain.kind.as_str(),
            what: drain.what.clone(),
            state: drain.state.as_str(),
            started_at: rfc3339(drain.started_at),
            deadline: drain.deadline.map(rfc3339),
            total: drain.total,
            told: drain.told,
            closed: drain.closed,
            cut: drain.cut,
            kept: drain.kept,
            left: drain.left(),
        }
    }
}
