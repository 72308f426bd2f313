//! `/v1/{collection}` and `/v1/{collection}/{name}`: one resource at a time.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use gateway_core::resource::{Collection, Edit};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::json;

use super::write::{self, Receipt, Stored, WriteQuery};
use crate::answer::{self, of_revision};
use crate::api::Api;
use crate::body::read_json;
use crate::control::{ApplyError, Control};
use crate::error::AdminError;
use crate::preconditions;
use crate::problem::Problem;

/// Every resource of the collection.
#[utoipa::path(get, path = "/v1/{collection}",
    responses(
        (status = 200, description = "The resources, in the document's order.",
            headers(("ETag" = String, description = "The collection's tag."))),
        (status = 304, description = "`If-None-Match` names its tag.")))]
pub(crate) async fn get_collection<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path(collection): Path<String>,
    headers: HeaderMap,
) -> Result<Response, AdminError> {
    let collection = known(&collection)?;
    let published = api.control.published();
    let document = published.document.as_deref();
    let (resources, tag) = match document {
        Some(document) => (
            document.collection(collection),
            document.collection_etag(collection),
        ),
        None => (Vec::new(), "none".to_owned()),
    };
    let response = preconditions::conditional(&headers, &tag, || {
        answer::json(StatusCode::OK, &json!({ "value": resources }))
    })?;
    Ok(of_revision(response, &published))
}

/// One resource.
#[utoipa::path(get, path = "/v1/{collection}/{name}",
    params(("name" = String, Path, description = "The resource's name.")),
    responses(
        (status = 200, description = "The resource, without secrets.",
            headers(("ETag" = String, description = "Its tag, for `If-Match`."))),
        (status = 304, description = "`If-None-Match` names its tag."),
        (status = 404, description = "There is none of that name.",
            body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn get_resource<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path((collection, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, AdminError> {
    let collection = known(&collection)?;
    let published = api.control.published();
    let document = published.document.as_deref();
    let found = document.and_then(|document| {
        let tag = document.resource_etag(collection, &name)?;
        Some((document.resource(collection, &name)?, tag))
    });
    let (resource, tag) = found.ok_or(AdminError::NoSuchResource {
        collection: collection.wire_name(),
        name,
    })?;
    let response =
        preconditions::conditional(&headers, &tag, || answer::json(StatusCode::OK, &resource))?;
    Ok(of_revision(response, &published))
}

/// Creates or replaces one resource.
///
/// The rest of the document stays as it is. The answer comes when the change is live and stored.
#[utoipa::path(put, path = "/v1/{collection}/{name}",
    params(("name" = String, Path, description = "The resource's name."), WriteQuery),
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
pub(crate) async fn put_resource<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path((collection, name)): Path<(String, String)>,
    query: Result<Query<WriteQuery>, QueryRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AdminError> {
    let collection = known(&collection)?;
    let (body, _turn) = read_json(&headers, body, api.body_limit, &api.turns).await?;
    let edit = Edit::Put {
        collection,
        name: name.clone(),
        body,
    };
    let (applied, dry_run) = write::apply(&api.control, query, &headers, edit).await?;
    let after = &applied.after;
    let stored = after.resource(collection, &name).map(|json| Stored {
        path: uri.path(),
        tag: after.resource_etag(collection, &name).unwrap_or_default(),
        json,
    });
    Ok(write::receipt(&applied, dry_run, stored))
}

/// Deletes one resource.
///
/// Refused while something refers to it.
#[utoipa::path(delete, path = "/v1/{collection}/{name}",
    params(("name" = String, Path, description = "The resource's name."), WriteQuery),
    responses(
        (status = 200, description = "What it would change (`dryRun`).", body = Receipt),
        (status = 204, description = "It is gone."),
        (status = 404, description = "There is none of that name.",
            body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn delete_resource<C: Control>(
    State(api): State<Arc<Api<C>>>,
    Path((collection, name)): Path<(String, String)>,
    query: Result<Query<WriteQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, AdminError> {
    let collection = known(&collection)?;
    let resource = format!("{}/{name}", collection.wire_name());
    let edit = Edit::Delete { collection, name };
    let (applied, dry_run) = write::apply(&api.control, query, &headers, edit)
        .await
        .map_err(|error| in_use(error, resource))?;
    if dry_run {
        return Ok(write::receipt(&applied, dry_run, None));
    }
    Ok(write::removed(&applied))
}

/// A removal has no document of its own to be wrong: what is wrong is that others need it.
fn in_use(error: AdminError, resource: String) -> AdminError {
    if let AdminError::Apply(ApplyError::Invalid(problems)) = error {
        return AdminError::InUse { resource, problems };
    }
    error
}

fn known(name: &str) -> Result<Collection, AdminError> {
    name.parse().map_err(|_| {
        let known = Collection::ALL.iter().copied().map(Collection::wire_name);
        AdminError::NoSuchCollection {
            name: name.to_owned(),
            known: known.collect::<Vec<_>>().join(", "),
        }
    })
}
