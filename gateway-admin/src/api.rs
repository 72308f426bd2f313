//! The API put together: routes, and around them what every request passes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, HeaderName};
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::Semaphore;

use crate::answer::{self, REQUEST_ID};
use crate::control::Control;
use crate::error::AdminError;
use crate::guard::guard;
use crate::options::AdminOptions;
use crate::problem::render;
use crate::routes;

/// What every handler sees.
pub(crate) struct Api<C> {
    pub(crate) control: Arc<C>,
    pub(crate) body_limit: usize,
    /// Bodies that may be read into trees and written at a time.
    pub(crate) turns: Semaphore,
    /// Readers of events that may listen at a time.
    pub(crate) event_readers: Arc<Semaphore>,
    /// How often a reader hears that nothing happens.
    pub(crate) event_keep_alive: Duration,
}

/// Writes are applied one by one; one more may be read meanwhile.
const TURNS: usize = 2;

/// The whole API.
pub fn router<C: Control>(control: Arc<C>, options: AdminOptions) -> Router {
    let api = Arc::new(Api {
        control,
        body_limit: options.body_limit,
        turns: Semaphore::new(TURNS),
        event_readers: Arc::new(Semaphore::new(options.event_readers)),
        event_keep_alive: options.event_keep_alive,
    });
    routes::router()
        .with_state(Arc::clone(&api))
        .merge(routes::swagger_ui())
        .fallback(routes::no_such_path)
        .method_not_allowed_fallback(routes::method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::new(options), guard))
        .layer(middleware::from_fn_with_state(api, around))
}

/// `/healthz` and `/readyz` alone, for orchestrators: no token, any `Host`.
pub fn health_router<C: Control>(control: Arc<C>) -> Router {
    let api = Arc::new(Api {
        control,
        body_limit: 0,
        turns: Semaphore::new(TURNS),
        event_readers: Arc::new(Semaphore::new(0)),
        event_keep_alive: Duration::MAX,
    });
    routes::health_router()
        .with_state(Arc::clone(&api))
        .fallback(routes::no_such_path)
        .method_not_allowed_fallback(routes::method_not_allowed)
        .layer(middleware::from_fn_with_state(api, around))
}

/// Gives every answer its headers and every error its body, catches panics, and keeps the log.
async fn around<C: Control>(
    State(api): State<Arc<Api<C>>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let request_id = format!("{:016x}", fastrand::u64(..));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();

    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = answer.unwrap_or_else(|panic| {
        let cause = panic_text(panic.as_ref());
        tracing::error!(request_id, %method, path, cause, "a request to the API panicked");
        AdminError::Panicked.into_response()
    });
    let mut response = render(adopt_foreign_error(response).await, &path, &request_id);

    let headers = response.headers_mut();
    answer::add_revision(headers, &api.control.published());
    for (name, value) in EVERYWHERE {
        headers.entry(name).or_insert(value);
    }
    let id = HeaderValue::from_str(&request_id).expect("hexadecimal digits");
    headers.insert(REQUEST_ID, id);
    log(&method, &path, &request_id, &response, started);
    response
}

/// Answers are read anew each time (they have tags for that), are what they say they are, and stay
/// out of other sites' frames.
const EVERYWHERE: [(HeaderName, HeaderValue); 3] = [
    (CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    (
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        http::header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("frame-ancestors 'none'"),
    ),
];

/// What the framework refuses on its own (a path that is no UTF-8, a missing page of `/docs`)
/// becomes an error of ours, with its words.
async fn adopt_foreign_error(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || crate::problem::is_refusal(&response) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, 1024).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let text = if text.is_empty() {
        status.canonical_reason().unwrap_or("refused").to_owned()
    } else {
        text
    };
    let mut adopted = AdminError::Framework { status, text }.into_response();
    if let Some(allow) = parts.headers.get(http::header::ALLOW) {
        adopted
            .headers_mut()
            .insert(http::header::ALLOW, allow.clone());
    }
    adopted
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown type")
}

/// Writes are changes of state and always logged; reads only for those who debug.
fn log(method: &Method, path: &str, request_id: &str, response: &Response, started: Instant) {
    let status = response.status();
    let took = started.elapsed();
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        tracing::error!(request_id, %method, path, status = status.as_u16(), ?took, "admin request");
    } else if *method == Method::GET || *method == Method::HEAD {
        tracing::debug!(request_id, %method, path, status = status.as_u16(), ?took, "admin request");
    } else {
        tracing::info!(request_id, %method, path, status = status.as_u16(), ?took, "admin request");
    }
}
