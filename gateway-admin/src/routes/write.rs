//! What all writes share: the dry run, the precondition, and the receipt.

use std::sync::Arc;

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::response::{IntoResponse, Response};
use gateway_core::config::ConfigProblem;
use gateway_core::resource::{Edit, ResourceChange, changes_between};
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::answer::{GATEWAY_WARNINGS, SERVER_TIMING, json, of_revision, tagged, timing};
use crate::control::{Applied, Control, Write};
use crate::error::AdminError;
use crate::preconditions;
use crate::problem::{Finding, findings};

/// The query of a write. What is not known is refused: a misspelt `dryRun` must not write.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WriteQuery {
    /// Check the write, tell what it would change, and change nothing.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// What a write did, or for a dry run would do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt<'a> {
    /// The revision that is live now.
    #[schema(example = 7)]
    revision: u64,
    /// The generation that is live now.
    #[schema(example = 9)]
    generation: u64,
    /// Nothing was changed, only checked.
    dry_run: bool,
    /// The resource did not exist before.
    created: bool,
    /// Every resource that differs, by name.
    changes: Vec<ResourceChange>,
    /// What was accepted and is not served, or was repaired.
    warnings: Vec<Finding>,
    /// The resource as it is stored, without secrets; absent after a removal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    resource: Option<&'a Value>,
}

/// What was put, as it is stored.
pub(crate) struct Stored<'a> {
    /// The request's path.
    pub(crate) path: &'a str,
    pub(crate) tag: String,
    pub(crate) json: Value,
}

/// Applies `edit` as the request's query and preconditions ask.
pub(crate) async fn apply<C: Control>(
    control: &Arc<C>,
    query: Result<Query<WriteQuery>, QueryRejection>,
    headers: &HeaderMap,
    edit: Edit,
) -> Result<(Applied, bool), AdminError> {
    let Query(query) = query.map_err(|error| AdminError::BadQuery(error.body_text()))?;
    let dry_run = query.dry_run;
    let precondition = preconditions::for_write(headers)?;
    let write = Write {
        edit,
        precondition,
        dry_run,
    };
    Ok((control.apply(write).await?, dry_run))
}

/// 201 for what is new, else 200, with the receipt.
pub(crate) fn receipt(applied: &Applied, dry_run: bool, stored: Option<Stored<'_>>) -> Response {
    let body = Receipt {
        revision: applied.published.revision,
        generation: applied.published.generation,
        dry_run,
        created: applied.created,
        changes: changes_between(applied.before.as_deref(), &applied.after),
        warnings: findings(&applied.warnings),
        resource: stored.as_ref().map(|stored| &stored.json),
    };
    let status = if applied.created && !dry_run {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut response = written(json(status, &body), applied);
    // Nothing is there after a dry run. The tag is that of what is stored, not of the receipt: what
    // a writer needs next is what to put into `If-Match`.
    if !dry_run && let Some(stored) = stored {
        response = tagged(response, &stored.tag);
        if applied.created
            && let Ok(location) = HeaderValue::from_str(stored.path)
        {
            response.headers_mut().insert(LOCATION, location);
        }
    }
    response
}

/// 204, after a removal.
pub(crate) fn removed(applied: &Applied) -> Response {
    written(StatusCode::NO_CONTENT.into_response(), applied)
}

fn written(mut response: Response, applied: &Applied) -> Response {
    let headers = response.headers_mut();
    headers.insert(
        SERVER_TIMING,
        timing(applied.apply_time, applied.store_time),
    );
    add_warnings(headers, &applied.warnings);
    of_revision(response, &applied.published)
}

/// How many warnings there are, for who does not read the body.
pub(crate) fn add_warnings(headers: &mut HeaderMap, warnings: &[ConfigProblem]) {
    headers.insert(GATEWAY_WARNINGS, warnings.len().into());
}
