//! Every path of the API and who serves it.

pub(crate) mod backend_health;
pub(crate) mod collections;
pub(crate) mod config;
pub(crate) mod process;
pub(crate) mod write;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get};
use gateway_core::resource::Collection;
use http::{Method, Uri};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::api::Api;
use crate::control::Control;
use crate::error::AdminError;

type Routes<C> = Vec<(&'static str, MethodRouter<Arc<Api<C>>>)>;

/// Every path but those of `/docs`, which [`swagger_ui`] has.
fn routes<C: Control>() -> Routes<C> {
    let mut routes = health_routes();
    routes.extend([
        ("/", get(process::index)),
        ("/version", get(process::version)),
        ("/metrics", get(process::metrics)),
        ("/openapi.json", get(process::openapi_json)),
        (
            "/v1/config",
            get(config::get_config).put(config::put_config),
        ),
        ("/v1/backendHealth", get(backend_health::backend_health)),
        ("/v1/{collection}", get(collections::get_collection)),
        (
            "/v1/{collection}/{name}",
            get(collections::get_resource)
                .put(collections::put_resource)
                .delete(collections::delete_resource),
        ),
    ]);
    routes
}

fn health_routes<C: Control>() -> Routes<C> {
    vec![
        ("/healthz", get(process::healthz)),
        ("/readyz", get(process::readyz)),
    ]
}

/// The API without its surroundings.
pub(crate) fn router<C: Control>() -> Router<Arc<Api<C>>> {
    assemble(routes())
}

/// What an orchestrator asks.
pub(crate) fn health_router<C: Control>() -> Router<Arc<Api<C>>> {
    assemble(health_routes())
}

fn assemble<C: Control>(routes: Routes<C>) -> Router<Arc<Api<C>>> {
    let mut router = Router::new();
    for (path, handlers) in routes {
        router = router.route(path, handlers);
    }
    router
}

/// Swagger UI at `/docs`, from assets inside the program; the validator of its makers is not asked.
pub(crate) fn swagger_ui() -> Router {
    let config = Config::new(["/openapi.json"]).validator_url("none");
    SwaggerUi::new("/docs").config(config).into()
}

pub(crate) async fn no_such_path(uri: Uri) -> AdminError {
    AdminError::NoSuchPath {
        path: uri.path().to_owned(),
    }
}

pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> AdminError {
    let path = uri.path().to_owned();
    let collection = path.strip_prefix("/v1/").map(str::parse::<Collection>);
    let hint = if matches!(collection, Some(Ok(_))) {
        "a collection is changed one resource at a time: PUT or DELETE {its path}/{name}"
    } else {
        "Allow names the methods that are"
    };
    AdminError::MethodNotAllowed { method, path, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Never runs; only its type is needed.
    enum Nobody {}

    impl Control for Nobody {
        fn published(&self) -> crate::Published {
            match *self {}
        }
        async fn apply(&self, _: crate::Write) -> Result<crate::Applied, crate::ApplyError> {
            match *self {}
        }
        fn backend_health(&self) -> Vec<crate::HealthReport> {
            match *self {}
        }
        fn ready(&self) -> Result<(), String> {
            match *self {}
        }
        fn metrics(&self) -> String {
            match *self {}
        }
    }

    /// The other direction, that what is described is served, is asked of the running router.
    #[test]
    fn every_route_is_described() {
        let described = crate::openapi().paths.paths;
        for (path, _) in routes::<Nobody>() {
            for &collection in Collection::ALL {
                let path = path.replace("{collection}", collection.wire_name());
                assert!(described.contains_key(&path), "{path}");
            }
        }
    }
}
