//! `GET /v1/events`: what happens, as server-sent events, for as long as the reader listens.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::header::{CACHE_CONTROL, HeaderName};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use crate::answer::rfc3339;
use crate::api::Api;
use crate::control::Control;
use crate::error::AdminError;
use crate::events::{Event, EventKind, Happening, Since, Told};

/// What a reader says who comes back (HTML, section 9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// When a browser is to come back after a stream has ended.
const RETRY: Duration = Duration::from_secs(2);

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Types of events, by commas; all unless given.
    #[serde(default)]
    #[param(required = false, example = "health,revision")]
    types: Option<String>,
}

/// What is in an event's `data`, beside what its type has.
#[derive(Serialize)]
struct Data<'e> {
    time: String,
    #[serde(flatten)]
    what: &'e Happening,
}

/// What happens, as it happens.
///
/// Server-sent events (`text/event-stream`), each with an `id`, a type (`event`) and one line of JSON
/// (`data`) whose `time` says when. Types: `health`, `revision`, `drain`, `refusedHandshakes`,
/// `process`; the schemas `HealthChange`, `Publication`, `DrainChange`, `RefusedHandshakes` and
/// `ProcessChange` say what their data has. A comment comes every 15 seconds when nothing happens.
///
/// A reader that comes back with `Last-Event-ID` gets what it missed, of the last 1,024 events. Where
/// that is not all, an event of type `missed` says how many are gone (`{"count": 3}`; `null` after a
/// restart of the gateway, when nobody knows). A reader that is too slow gets `tooSlow`, with the number
/// of events that it could not get, and the stream ends. 32 readers are served at a time.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(EventsQuery,
        ("Last-Event-ID" = Option<String>, Header,
            description = "The id of the last event that was read. Any other text, such as `0`, gives all that are kept.")),
    responses(
        (status = 200, description = "Events, until either side ends it.", body = String,
            content_type = "text/event-stream",
            example = "retry: 2000\n\nid: 18c0ffee-42\nevent: health\ndata: {\"time\":\"2026-01-31T03:04:05.678Z\",\"pool\":\"web\",\"settings\":\"plain\",\"address\":\"10.0.0.4\",\"target\":\"10.0.0.4:8080\",\"from\":\"Up\",\"to\":\"Down\",\"reason\":\"connection refused\"}\n\n"),
        (status = 503, description = "As many readers as are served are there.",
            body = crate::problem::Problem, content_type = "application/problem+json")))]
pub(crate) async fn events<C: Control>(
    State(api): State<Arc<Api<C>>>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, AdminError> {
    let Query(query) = query.map_err(|error| AdminError::BadQuery(error.body_text()))?;
    let wanted = selection(query.types.as_deref())?;
    let place = Arc::clone(&api.event_readers).try_acquire_owned();
    let place = place.map_err(|_| AdminError::TooManyReaders)?;
    let told = api.control.events(since(&headers));
    let keep_alive = KeepAlive::new().interval(api.event_keep_alive);
    let mut response = Sse::new(lines(told, wanted, place))
        .keep_alive(keep_alive)
        .into_response();
    // Each reading is another one.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The kinds that `types` names.
fn selection(types: Option<&str>) -> Result<Vec<EventKind>, AdminError> {
    let Some(types) = types else {
        return Ok(EventKind::ALL.to_vec());
    };
    let kind = |name: &str| {
        let mut all = EventKind::ALL.into_iter();
        all.find(|kind| kind.name().eq_ignore_ascii_case(name.trim()))
            .ok_or_else(|| {
                let known = EventKind::ALL.map(EventKind::name).join(", ");
                AdminError::BadQuery(format!(
                    "no type of event is named {name:?}; there are: {known}"
                ))
            })
    };
    types.split(',').map(kind).collect()
}

fn since(headers: &HeaderMap) -> Since {
    match headers.get(LAST_EVENT_ID) {
        None => Since::Now,
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse().ok());
            id.map_or(Since::Oldest, Since::After)
        }
    }
}

/// What goes out. Begins at once, so that the reader knows that it listens.
fn lines(
    told: impl Stream<Item = Told> + Send + 'static,
    wanted: Vec<EventKind>,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<sse::Event, Infallible>> + Send {
    let begin = sse::Event::default().retry(RETRY).comment("listening");
    let events = told.filter_map(move |told| {
        let _held = &place;
        ready(line(&told, &wanted))
    });
    stream::once(ready(begin)).chain(events).map(Ok)
}

fn line(told: &Told, wanted: &[EventKind]) -> Option<sse::Event> {
    let note = |name, count: Option<u64>| {
        let data = serde_json::json!({ "count": count });
        Some(sse::Event::default().event(name).data(data.to_string()))
    };
    match told {
        Told::Event(event) => wanted
            .contains(&event.what.kind())
            .then(|| event_line(event)),
        Told::Missed(count) => note("missed", *count),
        Told::TooSlow(count) => note("tooSlow", Some(*count)),
    }
}

fn event_line(event: &Event) -> sse::Event {
    let data = Data {
        time: rfc3339(event.at),
        what: &event.what,
    };
    let data =
        serde_json::to_string(&data).expect("events have string keys and no failing Serialize");
    sse::Event::default()
        .id(event.id.to_string())
        .event(event.what.kind().name())
        .data(data)
}
