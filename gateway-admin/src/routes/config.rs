//! `/v1/config`: the whole document.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use gateway_core::resource::{ApplicationGateway, Edit};
use http::{HeaderMap, StatusCode};

use super::write::{self, Receipt, Stored, WriteQuery};
use crate::answer::{document_json, json, of_revision};
use crate::api::Api;
use crate::body::read_json;
use crate::control::Control;
use crate::error::AdminError;
use crate::preconditions;

/// The whole document.
///
/// In canonical form, without secrets: private keys and passwords never come out. It can be PUT
/// back as it is: a certificate without `data` keeps its stored key.
#[utoipa::path(get, path = "/v1/config", tag = "config",
    responses(
        (status = 200, description = "The document.", body = ApplicationGateway,
            headers(("ETag" = String, description = "Its tag, for `If-Match`."),
                ("Gateway-Warnings" = u64, description = "How many warnings it has."))),
        (status = 304, description = "`If-None-Match` names its tag."),
        (status = 404, description = "There is none yet.",
            body = crate::problem::Problem, content_type = "application/problem+json")))]
pub(crate) async fn get_config<C: Control>(
    State(api): State<Arc<Api<C>>>,
    headers: HeaderMap,
) -> Result<Response, AdminError> {
    let published = api.control.published();
    let document = published.document.as_ref();
    let document = document.ok_or(AdminError::NoConfiguration)?;
    let mut response = preconditions::conditional(&headers, &document.etag(), || {
        json(StatusCode::OK, document)
    })?;
    write::add_warnings(response.headers_mut(), &published.warnings);
    Ok(of_revision(response, &published))
}

/// Replaces the whole document.
///
/// What the new document leaves out is deleted, except a certificate's key. The answer comes when
/// the document is live and stored; what it does not touch goes on as it was.
#[utoipa::path(put, path = "/v1/config", tag = "config", params(WriteQuery),
    request_body(content = ApplicationGateway,
        description = "JSON; comments and trailing commas are taken."),
    responses(
        (status = 200, description = "It is live, or was only checked (`dryRun`).", body = Receipt,
            headers(("ETag" = String, description = "The new tag; none after a dry run."),
                ("Gateway-Warnings" = u64, description = "How many warnings there are."),
                ("Server-Timing" = String, description = "Milliseconds until live, and in the store."))),
        (status = 201, description = "It is live, and new.", body = Receipt,
            headers(("ETag" = String, description = "The new tag."),
                ("Location" = String, description = "Where it is."),
                ("Gateway-Warnings" = u64, description = "How many warnings there are."),
                ("Server-Timing" = String, description = "Milliseconds until live, and in the store.")))))]
pub(crate) async fn put_config<C: Control>(
    State(api): State<Arc<Api<C>>>,
    query: Result<Query<WriteQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AdminError> {
    let (document, _turn) = read_json(&headers, body, api.body_limit, &api.turns).await?;
    let edit = Edit::Replace(document);
    let (applied, dry_run) = write::apply(&api.control, query, &headers, edit).await?;
    let stored = Stored {
        path: "/v1/config",
        tag: applied.after.etag(),
        json: document_json(&applied.after),
    };
    Ok(write::receipt(&applied, dry_run, Some(stored)))
}
