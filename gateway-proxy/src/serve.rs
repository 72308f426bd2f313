//! One request, from its head to its answer's head: the page to read first.
//!
//! Everything a request needs was resolved when the snapshot was compiled. Nothing here locks, looks
//! up a name or writes what another worker reads.

use std::rc::Rc;
use std::sync::Arc;

use gateway_core::config::BackendHost;
use gateway_core::routing::{Decision, NoTarget, choose, decide};
use gateway_core::snapshot::{Route, Target};
use gateway_core::websocket::{self, Upgrade};
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Version, request};
use hyper::body::{Body, Incoming};

use crate::body::{RequestBody, ResponseBody, Upload};
use crate::client_connection::Context;
use crate::error::ProxyError;
use crate::exchange::Exchange;
use crate::forwarded_headers::{self, Origin, ResponseFraming};
use crate::request_head::{self, CheckedHead};
use crate::respond::respond;
use crate::upgrade;
use crate::upstream::{self, Lease, Unanswered, expect};

/// There is nobody left to answer: hyper ends the connection without a word.
#[derive(Debug, thiserror::Error)]
#[error("the client went away")]
pub(crate) struct ClientGone;

/// Answers one request. A failure is an answer, too, but for a client that has left.
pub(crate) async fn serve(
    context: Rc<Context>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, ClientGone> {
    let mut exchange = Exchange::begin(&context, &request);
    let answer = forward(&context, request, &mut exchange).await;
    context.watch.answer_begins();
    let mut response = match answer {
        Ok(Answer::Relayed(answer)) => finish(answer, exchange),
        Ok(Answer::Switched(response)) => {
            exchange.answered(StatusCode::SWITCHING_PROTOCOLS);
            exchange.complete();
            return Ok(response);
        }
        Err(error) => {
            exchange.failed(&error);
            if matches!(error, ProxyError::ClientGone) {
                return Err(ClientGone);
            }
            respond(&error)
        }
    };
    if context.is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

/// What becomes of a request.
enum Answer {
    /// An ordinary answer.
    Relayed(Relayed),
    /// A 101: a tunnel follows.
    Switched(Response<ResponseBody>),
}

/// A backend's answer, its body still to come.
struct Relayed {
    response: Response<Incoming>,
    lease: Lease,
}

/// Checks, routes and sends a request.
async fn forward(
    context: &Rc<Context>,
    request: Request<Incoming>,
    exchange: &mut Exchange,
) -> Result<Answer, ProxyError> {
    let (mut head, body) = request.into_parts();
    let checked = request_head::check(&mut head)?;
    let view = Rc::clone(exchange.view());
    let endpoint = view.snapshot.endpoint(context.endpoint);
    let route = match decide(endpoint.ok_or(ProxyError::NoListener)?, checked.host()) {
        Decision::Forward(route) => route,
        Decision::NoRule => return Err(ProxyError::NoRule),
        Decision::NoListener => return Err(ProxyError::NoListener),
    };
    exchange.routed(route);
    let offer = match websocket::accept(&head, !body.is_end_stream())? {
        Upgrade::WebSocket(offer) => Some(offer),
        Upgrade::None => None,
    };
    let permit = match &offer {
        Some(_) => upgrade::admit(context, &view.snapshot.limits)?,
        None => None,
    };

    let origin = Origin {
        client: &context.client_value,
        believed: context.is_believed(&view.snapshot),
        secure: context.secure,
        port: view.port(context.endpoint),
        authority: checked.authority.as_ref(),
        trace_id: exchange.trace_id(),
    };
    forwarded_headers::to_backend(&mut head, &origin);
    if offer.is_some() {
        websocket::write_upgrade(&mut head.headers);
    }
    let (request, upload) = to_backend(context, route, &checked, head, body);
    exchange.uploads(&upload);
    let (target, relayed) =
        send_to_some_target(context, route, &checked, request, &upload, exchange).await?;
    match offer {
        Some(offer) if relayed.response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let answer = (relayed.response, relayed.lease);
            upgrade::switch(context, route, target, permit, &offer, answer, exchange)
                .await
                .map(Answer::Switched)
        }
        _ => accept_answer(relayed).map(Answer::Relayed),
    }
}

/// The request as the backend gets it, but for what depends on the target.
fn to_backend(
    context: &Rc<Context>,
    route: &Route,
    checked: &CheckedHead,
    head: request::Parts,
    body: Incoming,
) -> (Request<RequestBody>, Rc<Upload>) {
    let (body, upload, opener) = if body.is_end_stream() {
        (RequestBody::Empty, Rc::clone(&context.no_upload), None)
    } else {
        let upload = Upload::new(std::time::Instant::now());
        let (gate, opener) = checked.expects_continue.then(expect::gate).unzip();
        let patience = context.worker.view().snapshot.limits.request_body_timeout;
        let body = RequestBody::streaming(body, gate, Rc::clone(&upload), patience);
        (body, upload, opener)
    };
    let relays = head.version == Version::HTTP_11;
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() =
        forwarded_headers::target(head.uri, route.backend.settings.path_prefix.as_deref());
    *request.headers_mut() = head.headers;
    if upload_is_empty(request.body()) {
        request.headers_mut().remove(http::header::EXPECT);
    }
    if relays {
        context.relay_interim(&mut request, opener);
    }
    (request, upload)
}

fn upload_is_empty(body: &RequestBody) -> bool {
    matches!(body, RequestBody::Empty)
}

/// Sends the request to a healthy target, and once more to another where that is safe.
async fn send_to_some_target<'r>(
    context: &Rc<Context>,
    route: &'r Route,
    checked: &CheckedHead,
    mut request: Request<RequestBody>,
    upload: &Rc<Upload>,
    exchange: &mut Exchange,
) -> Result<(&'r Arc<Target>, Relayed), ProxyError> {
    let backend = &route.backend;
    let limit = backend.settings.request_timeout;
    let mut tried: Option<(&Arc<Target>, ProxyError)> = None;
    loop {
        let last = tried.as_ref().map(|(target, _)| target.id);
        let target = match choose(backend, route.balancing, context.worker.index, last) {
            Ok(target) => target,
            Err(reason) => match tried.take() {
                // Nobody else is left: an old connection that had closed may be replaced, a target
                // that refuses may not be asked again.
                Some((target, ProxyError::BackendClosed)) => target,
                Some((_, error)) => return Err(error),
                None => return Err(no_target(route, reason)),
            },
        };
        exchange.chose(backend, target);
        address_to(&mut request, route, target, exchange);
        let tls = exchange.view().backend_tls(backend, target, checked.host());
        let fresh = tried.is_some() || last.is_some();
        match upstream::send(context, target, tls, request, upload, limit, fresh).await {
            Ok((response, lease)) => return Ok((target, Relayed { response, lease })),
            Err(Unanswered {
                error,
                again,
                suspect,
            }) => {
                if suspect {
                    context.worker.suspect(target);
                }
                match again {
                    Some(again) if last.is_none() => {
                        exchange.retried();
                        request = again;
                        tried = Some((target, error));
                    }
                    _ => return Err(error),
                }
            }
        }
    }
}

fn no_target(route: &Route, reason: NoTarget) -> ProxyError {
    ProxyError::NoTarget {
        pool: route.backend.pool.clone(),
        reason,
        status: route.backend.settings.unavailable_status,
    }
}

/// Writes the `Host` that this target sees (reference section 3).
fn address_to(
    request: &mut Request<RequestBody>,
    route: &Route,
    target: &Target,
    exchange: &Exchange,
) {
    let names = &exchange.view().names;
    match &route.backend.settings.host {
        BackendHost::FromClient => {
            // An HTTP/1.0 client may name none; HTTP/1.1 must.
            if !request.headers().contains_key(HOST) {
                request.headers_mut().insert(HOST, names.of(target));
            }
        }
        BackendHost::Fixed(_) => {
            request
                .headers_mut()
                .insert(HOST, names.fixed(&route.backend));
        }
        BackendHost::FromTarget => {
            request.headers_mut().insert(HOST, names.of(target));
        }
    }
}

/// Refuses an answer that may not be passed on, and cleans the head of one that may.
fn accept_answer(relayed: Relayed) -> Result<Relayed, ProxyError> {
    let Relayed {
        response,
        mut lease,
    } = relayed;
    let (mut head, body) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ProxyError::UnexpectedUpgrade);
    }
    match forwarded_headers::to_client(&mut head) {
        ResponseFraming::Plain => {}
        ResponseFraming::Ambiguous => lease.use_no_more(),
        ResponseFraming::Unknown => return Err(ProxyError::BackendMalformed),
    }
    head.version = Version::HTTP_11;
    Ok(Relayed {
        response: Response::from_parts(head, body),
        lease,
    })
}

/// The answer as the client gets it.
fn finish(relayed: Relayed, mut exchange: Exchange) -> Response<ResponseBody> {
    let Relayed { response, lease } = relayed;
    exchange.answered(response.status());
    response.map(|body| ResponseBody::backend(body, lease, exchange))
}
