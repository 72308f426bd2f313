//! Every path of the API and who serves it.

pub(crate) mod backend_health;
pub(crate) mod collections;
pub(crate) mod config;
pub(crate) mod connections;
pub(crate) mod drains;
pub(crate) mod events;
pub(crate) mod process;
pub(crate) mod rebalance;
pub(crate) mod write;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};
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
        ("/v1/events", get(events::events)),
        ("/v1/connections", get(connections::list_connections)),
        (
            "/v1/connections:close",
            post(connections::close_connections),
        ),
        (
            "/v1/connections/{id}",
            get(connections::get_connection).delete(connections::close_connection),
        ),
        ("/v1/drains", get(drains::list_drains)),
        (
            "/v1/drains/{id}",
            get(drains::get_drain).delete(drains::cancel_drain),
        ),
        ("/v1/drains/{id}/resume", post(drains::resume_drain)),
        (
            "/v1/backendAddressPools/{pool}/targets/{address}/drain",
            post(drains::drain_target),
        ),
        (
            "/v1/backendAddressPools/{pool}/targets/{address}/resume",
            post(drains::resume_target),
        ),
        (
            "/v1/backendAddressPools/{pool}/rebalance",
            post(rebalance::rebalance_pool),
        ),
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
    use gateway_core::tunnels::{DrainReport, ListQuery, Page, TunnelId, TunnelReport};

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
        async fn tunnels(&self, _: ListQuery) -> Page<TunnelReport> {
            match *self {}
        }
        async fn tunnel(&self, _: TunnelId) -> Option<TunnelReport> {
            match *self {}
        }
        async fn close_tunnels(
            &self,
            _: crate::WhichTunnels,
            _: crate::CloseTunnels,
        ) -> Option<DrainReport> {
            match *self {}
        }
        async fn drain_targets(
            &self,
            _: &str,
            _: &str,
        ) -> Result<DrainReport, crate::NoSuchTarget> {
            match *self {}
        }
        async fn resume_targets(&self, _: &str, _: &str) -> Result<(), crate::NoSuchTarget> {
            match *self {}
        }
        async fn rebalance(
            &self,
            _: &str,
            _: Option<std::num::NonZeroU32>,
        ) -> Result<Vec<DrainReport>, crate::CannotRebalance> {
            match *self {}
        }
        fn drains(&self) -> Vec<DrainReport> {
            match *self {}
        }
        async fn cancel_drain(&self, _: u64) -> Option<DrainReport> {
            match *self {}
        }
        async fn resume_drain(&self, _: u64) -> Option<DrainReport> {
            match *self {}
        }
        fn ready(&self) -> Result<(), String> {
            match *self {}
        }
        fn metrics(&self) -> String {
            match *self {}
        }
        fn events(
            &self,
            _: crate::Since,
        ) -> impl futures_util::Stream<Item = crate::Told> + Send + 'static {
            futures_util::stream::empty()
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
