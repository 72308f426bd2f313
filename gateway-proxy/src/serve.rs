//! One request, from its head to its answer's head: the page to read first.
//!
//! Everything a request needs was resolved when the snapshot was compiled. Nothing here locks, looks
//! up a name or writes what another worker reads; only a handshake does, once, at the `gate`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use gateway_core::config::{BackendHost, Balancing};
use gateway_core::routing::{Asker, Decision, NoTarget, Policy, choose, decide};
use gateway_core::snapshot::{Route, Target, TargetId};
use gateway_core::websocket::{self, Upgrade};
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Version, request};
use hyper::body::{Body, Incoming};

use crate::body::{RequestBody, ResponseBody, Upload};
use crate::client_connection::Context;
use crate::error::ProxyError;
use crate::exchange::Exchange;
use crate::forwarded_headers::{self, Origin, ResponseFraming};
use crate::gate;
use crate::refusal::HandshakeRefusal;
use crate::request_head::{self, CheckedHead};
use crate::respond::respond;
use crate::upgrade::{self, Attempt};
use crate::upstream::{self, Lease, expect};

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
    let upgrade = gate::accept(route, &head, !body.is_end_stream());
    if !matches!(upgrade, Ok(Upgrade::None)) {
        exchange.attempts_tunnel();
    }
    let mut attempt = match upgrade? {
        Upgrade::WebSocket(offer) => {
            let host = checked.host();
            Some(upgrade::admit(context, &view, route, &head, offer, host)?)
        }
        Upgrade::None => None,
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
    if attempt.is_some() {
        websocket::write_upgrade(&mut head.headers);
    }
    let (request, upload) = to_backend(context, route, &checked, head, body);
    exchange.uploads(&upload);
    let asked = attempt.as_mut();
    let (target, relayed) =
        send_to_some_target(context, route, &checked, request, &upload, exchange, asked).await?;
    match attempt {
        Some(attempt) if relayed.response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let answer = (relayed.response, relayed.lease);
            upgrade::switch(context, route, target, attempt, answer, exchange)
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
        let upload = Upload::new(Instant::now());
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

/// Sends the request to a healthy target. One that never left, since connecting failed, goes on to the
/// next until it is taken, none is left, or its time is over; otherwise it goes once more, where that
/// is safe.
async fn send_to_some_target<'r>(
    context: &Rc<Context>,
    route: &'r Route,
    checked: &CheckedHead,
    mut request: Request<RequestBody>,
    upload: &Rc<Upload>,
    exchange: &mut Exchange,
    mut attempt: Option<&mut Attempt>,
) -> Result<(&'r Arc<Target>, Relayed), ProxyError> {
    let backend = &route.backend;
    let limit = backend.settings.request_timeout;
    // Nothing is allocated, and no clock read, for a request that its first target takes.
    let mut tried: Vec<TargetId> = Vec::new();
    let mut failure: Option<(&Arc<Target>, ProxyError, Instant)> = None;
    loop {
        let began = exchange.began();
        let chosen = match attempt.as_deref_mut() {
            Some(attempt) => choose_with_room(context, exchange, route, &tried, attempt),
            None => choose_reachable(context, route, route.policy, began, &tried)
                .map_err(|reason| no_target(route, reason)),
        };
        let target = match chosen {
            Ok(target) => target,
            Err(error) => match failure.take() {
                // Nobody else is left: an old connection that had closed may be replaced, a target
                // that refuses may not be asked again.
                Some((target, ProxyError::BackendClosed, _)) => target,
                // The others are well, and full: who comes back later may find a place.
                Some(_) if matches!(error, ProxyError::Handshake(_)) => return Err(error),
                Some((_, error, _)) => return Err(error),
                None => return Err(error),
            },
        };
        exchange.chose(backend, target);
        address_to(&mut request, route, target, exchange);
        let tls = exchange.view().backend_tls(backend, target, checked.host());
        let fresh = !tried.is_empty();
        let failed = match upstream::send(context, target, tls, request, upload, limit, fresh).await
        {
            Ok((response, lease)) => return Ok((target, Relayed { response, lease })),
            Err(failed) => failed,
        };
        let now = Instant::now();
        if failed.suspect {
            context.worker.suspect(target);
            if never_left(&failed.error) {
                context.worker.unreachable.note(target.id, now);
            }
        }
        let first_failed_at = failure.as_ref().map_or(now, |(_, _, at)| *at);
        let in_time = now.duration_since(first_failed_at) < limit;
        let may_go_on = tried.is_empty()
            || (failed.suspect && in_time && matches!(failed.error, ProxyError::Connect { .. }));
        match failed.again {
            Some(again) if may_go_on => {
                exchange.retried();
                request = again;
                tried.push(target.id);
                failure = Some((target, failed.error, first_failed_at));
            }
            _ => return Err(failed.error),
        }
    }
}

/// A target other than those `tried`, and if possible one that this worker has not failed to connect to
/// a moment ago.
fn choose_reachable<'r>(
    context: &Context,
    route: &'r Route,
    policy: Policy,
    began: Instant,
    tried: &[TargetId],
) -> Result<&'r Arc<Target>, NoTarget> {
    let worker = &context.worker;
    let choose = |tried: &[TargetId]| {
        let asker = Asker {
            worker: worker.index,
            client: context.client.ip(),
            now: began,
            tried,
        };
        choose(&route.backend, policy, &asker)
    };
    if worker.unreachable.is_empty() {
        return choose(tried);
    }
    let mut avoided = worker.unreachable.recent(Instant::now());
    avoided.extend(tried);
    choose(&avoided).or_else(|_| choose(tried))
}

/// As [`choose_reachable`], a target that has room for one more tunnel, and takes it: if the one whose
/// turn it is has none, the least loaded of those that have.
fn choose_with_room<'r>(
    context: &Context,
    exchange: &Exchange,
    route: &'r Route,
    tried: &[TargetId],
    attempt: &mut Attempt,
) -> Result<&'r Arc<Target>, ProxyError> {
    let (view, began) = (exchange.view(), exchange.began());
    let chosen = choose_reachable(context, route, route.policy, began, tried)
        .map_err(|reason| no_target(route, reason))?;
    if attempt.sit(view, route, chosen) {
        return Ok(chosen);
    }
    let least = Policy {
        balancing: Balancing::LeastConnections,
        ..route.policy
    };
    let mut avoided = view.gates().full(&route.backend);
    avoided.extend(tried);
    loop {
        let Ok(next) = choose_reachable(context, route, least, began, &avoided) else {
            return Err(HandshakeRefusal::TargetTunnels.into());
        };
        if attempt.sit(view, route, next) {
            return Ok(next);
        }
        // The last place there has just been taken.
        avoided.push(next.id);
    }
}

/// Whether the request cannot have reached the target.
fn never_left(error: &ProxyError) -> bool {
    matches!(
        error,
        ProxyError::Connect { .. } | ProxyError::ConnectTimeout { .. }
    )
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
    let length = match response.status() {
        StatusCode::NOT_MODIFIED => forwarded_headers::length(response.headers()),
        _ => None,
    };
    response.map(|body| match length {
        Some(length) => ResponseBody::not_modified(length, body, lease, exchange),
        None => ResponseBody::backend(body, lease, exchange),
    })
}
