//! The OpenAPI document: the handlers' descriptions, spread over the collections, and what holds
//! for every request.

use utoipa::OpenApi;

use crate::problem;
use crate::routes::{backend_health, collections, config, process, write};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Gateway admin API",
        description = "Reads and changes the configuration of a running gateway, and says how its \
            backends are.\n\nA write answers when it is live and stored, or refused with every \
            reason; nothing is half applied. Each resource has an `ETag` of its own; send it back \
            as `If-Match` so as not to overwrite a change by somebody else. Errors are problem \
            details (RFC 9457) with Azure Resource Manager's `error` object inside."
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
        collections::get_collection,
        collections::get_resource,
        collections::put_resource,
        collections::delete_resource
    ),
    components(schemas(problem::Problem, write::Receipt)),
    tags(
        (name = "process", description = "The process itself."),
        (name = "config", description = "The whole configuration."),
        (name = "backendHealth", description = "What the probes found.")
    )
)]
struct Base;

/// The API's description; `openapi/gateway-admin.json` is its reviewed copy.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Base::openapi()
}
