//! Which answer a request gets: a response, or bytes that hyper would not write.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request};
use hyper::body::Incoming;

use crate::backend::Shared;
use crate::body::{self, AnswerBody};
use crate::control;
use crate::faults::{AnswerFault, HealthFault, UpgradeFault};
use crate::journal::RequestSeen;
use crate::misbehave::Takeover;
use crate::websocket::Handshake;

/// What becomes of a request.
pub(crate) enum Answer {
    /// An ordinary response.
    Response(Response<AnswerBody>),
    /// The connection leaves HTTP, or HTTP's rules.
    Takeover(Takeover),
}

pub(crate) async fn answer(shared: &Shared, connection: u64, request: Request<Incoming>) -> Answer {
    let (head, incoming) = request.into_parts();
    if control::is_control(&head) {
        return Answer::Response(control::answer(shared, &head, incoming).await);
    }
    shared.journal.note(connection, &head);
    let (status, delay) = shared.faults.peek(|set| (set.status, set.delay_ms));
    tokio::time::sleep(Duration::from_millis(delay)).await;
    if let Some(status) = status.map(|code| final_status(code.into())) {
        let text = body::text(format!("{} answers everything {status}\n", shared.name));
        return Answer::Response(respond(shared, status, text));
    }
    if head.uri.path() == "/health" {
        return health(shared, shared.faults.peek(|set| set.health.clone())).await;
    }
    let (wrong_answer, wrong_upgrade) = shared.faults.peek(|set| (set.answer, set.upgrade));
    if wrong_answer != AnswerFault::None {
        return Answer::Takeover(Takeover::WrongAnswer(wrong_answer));
    }
    match Handshake::read(&head) {
        Some(handshake) if wrong_upgrade == UpgradeFault::None => {
            Answer::Takeover(Takeover::WebSocket(handshake))
        }
        Some(handshake) => Answer::Takeover(Takeover::WrongUpgrade(wrong_upgrade, handshake)),
        None => endpoint(shared, connection, &head, incoming).await,
    }
}

async fn health(shared: &Shared, fault: HealthFault) -> Answer {
    if fault.mode != AnswerFault::None {
        return Answer::Takeover(Takeover::WrongAnswer(fault.mode));
    }
    tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    let body = fault
        .body
        .unwrap_or_else(|| format!("{} is healthy\n", shared.name));
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::Response(respond(shared, status, body::text(body)))
}

async fn endpoint(
    shared: &Shared,
    connection: u64,
    head: &request::Parts,
    incoming: Incoming,
) -> Answer {
    let path = head.uri.path();
    let name = &shared.name;
    let (first, argument) = split(path);
    let number = argument.parse::<u64>();
    let mut status = StatusCode::OK;
    let mut fields = HeaderMap::new();
    let body = match (first, number) {
        ("fast", _) => body::text(Bytes::from_static(b"Hello, world!\n")),
        ("bytes", Ok(length)) => body::pattern(length),
        ("echo", _) => {
            let kind = head.headers.get(header::CONTENT_TYPE);
            fields.extend(kind.map(|kind| (header::CONTENT_TYPE, kind.clone())));
            body::echo(incoming)
        }
        ("status", Ok(code)) => {
            status = final_status(code);
            body::text(format!("{name} answers {status}\n"))
        }
        ("slow", Ok(delay)) => {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            body::text(format!("{name} took {delay} ms\n"))
        }
        ("headers", _) => {
            let json = HeaderValue::from_static("application/json");
            fields.insert(header::CONTENT_TYPE, json);
            body::text(control::to_json(&RequestSeen::new(connection, head)))
        }
        ("sse", _) => {
            let stream = HeaderValue::from_static("text/event-stream");
            fields.insert(header::CONTENT_TYPE, stream);
            let count = control::number(head, "count").unwrap_or(10);
            let every = control::number(head, "every").unwrap_or(1000);
            body::events(name, count, Duration::from_millis(every))
        }
        ("trailers", _) => {
            fields.insert(header::TRAILER, HeaderValue::from_static("x-trailer"));
            body::with_trailers(name)
        }
        ("early-hints", _) => return Answer::Takeover(Takeover::EarlyHints),
        _ => body::text(format!("{name} answers {} {path}\n", head.method)),
    };
    let mut response = respond(shared, status, body);
    response.headers_mut().extend(fields);
    Answer::Response(response)
}

/// `/first/rest`; of a request target without a path, nothing.
fn split(path: &str) -> (&str, &str) {
    let path = path.strip_prefix('/').unwrap_or_default();
    path.split_once('/').unwrap_or((path, ""))
}

/// hyper writes no interim status as a final one.
fn final_status(code: u64) -> StatusCode {
    let code = u16::try_from(code).ok();
    code.and_then(|code| StatusCode::from_u16(code).ok())
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::BAD_REQUEST)
}

/// A response that says who answered.
pub(crate) fn respond(
    shared: &Shared,
    status: StatusCode,
    body: AnswerBody,
) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let name = shared.name_value.clone();
    response.headers_mut().insert("x-backend", name);
    response
}
