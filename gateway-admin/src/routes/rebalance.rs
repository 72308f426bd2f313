//! `POST /v1/backendAddressPools/{pool}/rebalance`: open connections of a pool that has grown.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::drains::Drain;
use crate::answer::json;
use crate::api::Api;
use crate::body::read_text;
use crate::control::Control;
use crate::error::AdminError;

/// The longest body; it holds one number.
const LONGEST_BODY: usize = 4096;

/// How a pool is evened out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RebalanceRequest {
    /// How many a second; as the HTTP settings say, else 10.
    #[schema(value_type = Option<u32>, minimum = 1, example = 50)]
    tunnels_per_second: Option<NonZeroU32>,
}

/// What is being closed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RebalanceDrains {
    /// One for each set of HTTP settings under which the pool is uneven; none where it is even.
    value: Vec<Drain>,
}

/// Evens out a pool once.
///
/// Closes the oldest connections of those targets that have more than the mean for their weight, down
/// to the mean, with 1012, so that their clients come back and go to others. Whatever the HTTP
/// settings' `rebalance` says; where it runs already, this answers with that.
#[utoipa::path(post, path = "/v1/backendAddressPools/{pool}/rebalance", tag = "drains",
    params(("pool" = String, Path, description = "The pool's name.")),
    request_body(content = RebalanceRequest, description = "May be left out."),
    responses((status = 202, description = "What is being closed.", body = RebalanceDrains)))]
pub(crate) async fn rebalance_pool<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path(pool): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AdminError> {
    let text = read_text(&headers, body, LONGEST_BODY).await?;
    let request = match text.trim() {
        "" => RebalanceRequest::default(),
        text => {
            serde_json::from_str(text).map_err(|error| AdminError::BadBody(error.to_string()))?
        }
    };
    let drains = api.control.rebalance(&pool, request.tunnels_per_second);
    let value = drains.await?.iter().map(Drain::from).collect();
    Ok(json(StatusCode::ACCEPTED, &RebalanceDrains { value }))
}
