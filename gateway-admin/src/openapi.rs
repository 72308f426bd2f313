//! The OpenAPI document: made from the handlers' descriptions, spread over the collections, with
//! what holds for every request put in once.

mod collections;
mod common;
mod examples;

use utoipa::OpenApi;
use utoipa::openapi::{OpenApi as Document, RefOr};

use crate::events;
use crate::problem;
use crate::routes::{
    backend_health, collections as handlers, config, connections, drains, events as stream,
    process, rebalance, write,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Gateway admin API",
        description = "Reads and changes the configuration of a running gateway, and says how its \
            backends are.\n\nA write answers when it is live and stored, or is refused with every \
            reason; nothing is half applied. Each resource has an `ETag` of its own; send it back \
            as `If-Match` so as not to overwrite a change by somebody else. `?dryRun=true` tells \
            what a write would change and changes nothing. Errors are problem details (RFC 9457) \
            with Azure Resource Manager's `error` object inside."
    ),
    paths(
        process::index,
        process::healthz,
        process::readyz,
        process::version,
        process::metrics,
        process::openapi_json,
        process::docs,
        config::get_config,
        config::put_config,
        backend_health::backend_health,
        stream::events,
        connections::list_connections,
        connections::get_connection,
        connections::close_connection,
        connections::close_connections,
        drains::list_drains,
        drains::get_drain,
        drains::cancel_drain,
        drains::resume_drain,
        drains::drain_target,
        drains::resume_target,
        rebalance::rebalance_pool,
        handlers::get_collection,
        handlers::get_resource,
        handlers::put_resource,
        handlers::delete_resource
    ),
    components(schemas(
        problem::Problem,
        write::Receipt<'static>,
        events::HealthChange,
        events::Publication,
        events::DrainChange,
        events::RefusedHandshakes,
        events::ProcessChange
    )),
    tags(
        (name = "process", description = "The process itself."),
        (name = "config", description = "The whole configuration."),
        (name = "backendHealth", description = "What the probes found."),
        (name = "events", description = "What happens, as it happens."),
        (name = "connections", description = "Open WebSockets."),
        (name = "drains", description = "Connections that are being closed.")
    )
)]
struct Handlers;

/// The API's description; `openapi/gateway-admin.json` is its reviewed copy.
pub fn openapi() -> Document {
    let mut document = Handlers::openapi();
    show_whole_example(&mut document);
    collections::expand(&mut document);
    common::add(&mut document);
    document
}

/// The example of a whole document is made of the examples of its parts, so it cannot be written
/// beside the handler.
fn show_whole_example(document: &mut Document) {
    let config = document.paths.paths.get_mut("/v1/config");
    let put = config.and_then(|config| config.put.as_mut());
    if let Some(RefOr::T(body)) = put.and_then(|put| put.request_body.as_mut())
        && let Some(RefOr::T(content)) = body.content.get_mut("application/json")
    {
        content.example = Some(examples::whole());
    }
}
