//! The process itself: is it alive, is it ready, which version, its metrics, and where things are.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::answer::{json, json_text};
use crate::api::Api;
use crate::control::Control;
use crate::error::AdminError;
use crate::problem::Problem;

/// What `/healthz` and `/readyz` say when all is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// `ok` or `ready`.
    #[schema(value_type = String, example = "ready")]
    status: &'static str,
}

/// Which program this is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Version {
    /// The program.
    #[schema(value_type = String, example = "gateway")]
    name: &'static str,
    /// Its version.
    #[schema(value_type = String, example = "0.1.0")]
    version: &'static str,
}

/// Where things are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Index {
    /// The program.
    #[schema(value_type = String, example = "gateway")]
    name: &'static str,
    /// Its version.
    #[schema(value_type = String, example = "0.1.0")]
    version: &'static str,
    /// Paths, and what is there.
    links: Vec<Link>,
}

/// One place.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Link {
    /// Where.
    #[schema(value_type = String, example = "/v1/config")]
    path: &'static str,
    /// What.
    #[schema(value_type = String, example = "the whole configuration")]
    about: &'static str,
}

const VERSION: Version = Version {
    name: "gateway",
    version: env!("CARGO_PKG_VERSION"),
};

const LINKS: [(&str, &str); 11] = [
    ("/v1/config", "the whole configuration: GET, PUT"),
    (
        "/v1/backendHealth",
        "who is up, who is down, since when and why",
    ),
    (
        "/v1/events",
        "what happens, as it happens: server-sent events",
    ),
    (
        "/v1/connections",
        "open WebSockets: filter, sort, page, close",
    ),
    (
        "/v1/drains",
        "what is being closed, and how far it has come",
    ),
    (
        "/v1/backendAddressPools",
        "a collection; every collection of the document has its path",
    ),
    ("/docs", "this API, to read and to try"),
    ("/openapi.json", "this API, for programs"),
    ("/metrics", "metrics, as OpenMetrics text"),
    ("/readyz", "whether traffic should come here"),
    ("/version", "which program this is"),
];

/// Is the process alive.
///
/// Answers as long as the API is served, whatever the state of listeners and backends. Needs no
/// token.
#[utoipa::path(get, path = "/healthz", tag = "process",
    responses((status = 200, description = "It is.", body = Status, example = json!({"status": "ok"}))))]
pub(crate) async fn healthz() -> Response {
    json(StatusCode::OK, &Status { status: "ok" })
}

/// Should traffic come here.
///
/// Not while the gateway starts, drains, or has no configuration. Needs no token.
#[utoipa::path(get, path = "/readyz", tag = "process",
    responses(
        (status = 200, description = "It should.", body = Status),
        (status = 503, description = "It should not; `detail` says why.",
            body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn readyz<C: Control>(
    State(api): State<Arc<Api<C>>>,
) -> Result<Response, AdminError> {
    api.control.ready().map_err(AdminError::NotReady)?;
    Ok(json(StatusCode::OK, &Status { status: "ready" }))
}

/// Which program this is.
#[utoipa::path(get, path = "/version", tag = "process",
    responses((status = 200, description = "Name and version.", body = Version)))]
pub(crate) async fn version() -> Response {
    json(StatusCode::OK, &VERSION)
}

/// All metrics.
#[utoipa::path(get, path = "/metrics", tag = "process",
    responses((status = 200, description = "OpenMetrics text.", body = String,
        content_type = "application/openmetrics-text")))]
pub(crate) async fn metrics<C: Control>(State(api): State<Arc<Api<C>>>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let content_type = (CONTENT_TYPE, HeaderValue::from_static(content_type));
    ([content_type], api.control.metrics()).into_response()
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "process",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)))]
pub(crate) async fn openapi_json() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| json_text(&crate::openapi()));
    let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([content_type], TEXT.as_str()).into_response()
}

/// Where things are.
///
/// JSON, or a page for clients that ask for `text/html`.
#[utoipa::path(get, path = "/", tag = "process",
    responses((status = 200, description = "Paths, and what is there.",
        content((Index = "application/json"), (String = "text/html")))))]
pub(crate) async fn index(headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return Html(index_page()).into_response();
    }
    let links = LINKS.map(|(path, about)| Link { path, about }).into();
    let Version { name, version } = VERSION;
    let index = Index {
        name,
        version,
        links,
    };
    json(StatusCode::OK, &index)
}

fn index_page() -> String {
    let Version { name, version } = VERSION;
    let links: String = LINKS
        .iter()
        .map(|(path, about)| format!("<dt><a href=\"{path}\">{path}</a></dt><dd>{about}</dd>\n"))
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{name}</title>\n\
         <h1>{name} {version}</h1>\n<dl>\n{links}</dl>\n</html>\n"
    )
}

/// Swagger UI.
///
/// This API, to read and to try, from assets inside the program.
#[utoipa::path(get, path = "/docs", tag = "process",
    responses((status = 303, description = "The page is at `/docs/`.")))]
#[expect(
    dead_code,
    reason = "only describes what the crate that serves the page does"
)]
fn docs() {}
