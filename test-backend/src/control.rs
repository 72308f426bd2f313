//! The control endpoints: `/_fault` sets what is wrong, `/_requests` tells what was seen.
//!
//! ```text
//! GET    /_fault                             what is wrong, as JSON
//! PUT    /_fault[?for=SECONDS]               replaces it
//! POST   /_fault/health?status=500           changes one group: health
//! POST   /_fault?refuse=true&for=3           changes the rest: answer, upgrade, refuse,
//!                                            deaf, status, delayMs
//! DELETE /_fault                             nothing is wrong any more
//! GET    /_requests, DELETE /_requests       the log of requests
//! ```

use std::time::Duration;

use http::{HeaderValue, Method, Response, StatusCode, header, request};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::{Value, json};

use crate::answer::respond;
use crate::backend::Shared;
use crate::body::{self, AnswerBody};
use crate::faults::FaultSet;
use crate::tls::TlsIdentity;

const FAULT: &str = "/_fault";
const REQUESTS: &str = "/_requests";
const MAX_BODY: usize = 64 * 1024;

pub(crate) fn is_control(head: &request::Parts) -> bool {
    let path = head.uri.path();
    path.starts_with(FAULT) || path == REQUESTS
}

pub(crate) async fn answer(
    shared: &Shared,
    head: &request::Parts,
    incoming: Incoming,
) -> Response<AnswerBody> {
    let (status, value) = match (&head.method, head.uri.path()) {
        (&Method::GET, REQUESTS) => (StatusCode::OK, json!(shared.journal.all())),
        (&Method::DELETE, REQUESTS) => {
            shared.journal.clear();
            (StatusCode::OK, json!([]))
        }
        (_, path) => match change(shared, head, path, incoming).await {
            Ok(()) => (StatusCode::OK, json!(shared.faults.current())),
            Err(reason) => (StatusCode::BAD_REQUEST, json!({ "error": reason })),
        },
    };
    let mut response = respond(shared, status, body::text(to_json(&value)));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

async fn change(
    shared: &Shared,
    head: &request::Parts,
    path: &str,
    incoming: Incoming,
) -> Result<(), String> {
    let faults = match (&head.method, path) {
        (&Method::GET, FAULT) => return Ok(()),
        (&Method::DELETE, FAULT) => FaultSet::default(),
        (&Method::PUT, FAULT) => {
            let body = Limited::new(incoming, MAX_BODY).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            serde_json::from_slice(&body).map_err(|error| error.to_string())?
        }
        (&Method::POST, _) => {
            let group = path.strip_prefix(FAULT).unwrap_or_default();
            let query = head.uri.query().unwrap_or_default();
            merged(&shared.faults.current(), group.trim_matches('/'), query)?
        }
        (method, path) => return Err(format!("no control endpoint {method} {path}")),
    };
    if let Some(text) = &faults.certificate {
        TlsIdentity::from_pem(text.as_bytes()).map_err(|error| error.to_string())?;
    }
    match number(head, "for") {
        Some(seconds) => shared.faults.set_for(faults, Duration::from_secs(seconds)),
        None => shared.faults.set(faults),
    }
    Ok(())
}

/// `current` with the parameters of `query` set in `group`, or at the top where that is empty.
fn merged(current: &FaultSet, group: &str, query: &str) -> Result<FaultSet, String> {
    let mut document = json!(current);
    let place = match group {
        "" => Some(&mut document),
        group => document.get_mut(group),
    };
    let place = place.and_then(Value::as_object_mut);
    let place = place.ok_or_else(|| format!("there is no group of faults {group:?}"))?;
    for (name, value) in parameters(query).filter(|&(name, _)| name != "for") {
        let parsed = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
        place.insert(name.to_owned(), parsed);
    }
    serde_json::from_value(document).map_err(|error| error.to_string())
}

/// The parameters of a query. Nothing is decoded: what needs escapes goes by PUT.
fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "true")))
}

/// The number that the query gives `name`.
pub(crate) fn number(head: &request::Parts, name: &str) -> Option<u64> {
    let mut parameters = parameters(head.uri.query()?);
    let (_, value) = parameters.find(|&(parameter, _)| parameter == name)?;
    value.parse().ok()
}

pub(crate) fn to_json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value);
    text.expect("plain data with string keys is always JSON") + "\n"
}

#[cfg(test)]
mod tests {
    use super::merged;
    use crate::faults::{AnswerFault, FaultSet, HealthFault};

    #[test]
    fn a_query_changes_what_it_names_and_nothing_else() {
        let start = FaultSet {
            refuse: true,
            ..FaultSet::default()
        };
        let set = merged(&start, "health", "status=500&body=ill&mode=hang&for=2");
        let expected = FaultSet {
            health: HealthFault {
                status: 500,
                body: Some("ill".to_owned()),
                mode: AnswerFault::Hang,
                ..HealthFault::default()
            },
            ..start
        };
        assert_eq!(set, Ok(expected));
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        let none = FaultSet::default();
        for (group, query) in [
            ("nothing", "a=b"),
            ("", "answer=odd"),
            ("health", "colour=red"),
        ] {
            assert!(merged(&none, group, query).is_err(), "{group}?{query}");
        }
    }
}
