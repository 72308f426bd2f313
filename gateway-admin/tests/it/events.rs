//! `/v1/events` as a reader has it: the lines, the choice of types, where it begins, how many may.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt;
use gateway_admin::{
    AdminOptions, Event, EventId, Happening, HealthChange, ProcessChange, Since, Told, router,
};
use http::{Request, StatusCode};
use tower::ServiceExt;

use crate::fake::{Fake, ask, get};

/// Far longer than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(20);

fn event(serial: u64, what: Happening) -> Told {
    Told::Event(Arc::new(Event {
        id: EventId {
            process: 0xabc,
            serial,
        },
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        what,
    }))
}

fn phase(serial: u64, phase: &'static str) -> Told {
    event(serial, Happening::Process(ProcessChange { phase }))
}

/// What a probe has to say about a backend that wants to write lines of its own.
fn hostile_health(serial: u64) -> Told {
    event(
        serial,
        Happening::Health(HealthChange {
            pool: "web".into(),
            settings: "plain".into(),
            address: "10.0.0.4".into(),
            target: "10.0.0.4:80".into(),
            from: "Up",
            to: "Down",
            reason: "status 500\r\n\r\nid: 9\u{2028}\"quoted\"".into(),
        }),
    )
}

struct Reader(BodyDataStream);

impl Reader {
    async fn open(api: &Router, target: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = Request::builder().uri(target).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = api.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let mut reader = Self(response.into_body().into_data_stream());
        assert_eq!(
            reader.block().await.unwrap(),
            "retry: 2000\n: listening\n\n"
        );
        reader
    }

    /// What goes out next, as one piece; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        let next = tokio::time::timeout(HANG, self.0.next()).await;
        let bytes = next.expect("nothing came")?.unwrap();
        Some(String::from_utf8(bytes.into()).unwrap())
    }
}

fn api_telling(told: Vec<Told>) -> (Arc<Fake>, Router) {
    crate::fake::api(Fake {
        told: told.into(),
        ..Fake::default()
    })
}

#[tokio::test]
async fn an_event_is_an_id_a_type_and_one_line_of_json() {
    let (fake, api) = api_telling(vec![hostile_health(7), phase(8, "Draining")]);
    fake.ends.cancel();
    let mut reader = Reader::open(&api, "/v1/events", &[]).await;
    let block = reader.block().await.unwrap();
    let lines: Vec<_> = block.lines().collect();
    assert_eq!(lines[..2], ["id: abc-7", "event: health"], "{block}");
    let data = lines[2].strip_prefix("data: ").unwrap();
    assert_eq!(lines.len(), 4, "{block:?}");
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["time"], "2023-11-14T22:13:20.123Z");
    assert_eq!(data["target"], "10.0.0.4:80");
    assert_eq!(data["from"], "Up");
    assert_eq!(data["to"], "Down");
    assert!(data["reason"].as_str().unwrap().contains("\n\r\nid: 9"));
    assert_eq!(
        reader.block().await.unwrap(),
        "id: abc-8\nevent: process\n\
         data: {\"time\":\"2023-11-14T22:13:20.123Z\",\"phase\":\"Draining\"}\n\n"
    );
    assert_eq!(reader.block().await, None);
}

#[tokio::test]
async fn a_reader_gets_the_types_that_it_asks_for() {
    let told = vec![
        hostile_health(1),
        phase(2, "Draining"),
        Told::Missed(Some(3)),
    ];
    let (fake, api) = api_telling(told);
    fake.ends.cancel();
    let rows: [(&str, &[&str]); 4] = [
        ("", &["health", "process", "missed"]),
        ("?types=process", &["process", "missed"]),
        ("?types=Process,%20health", &["health", "process", "missed"]),
        ("?types=revision", &["missed"]),
    ];
    for (query, expected) in rows {
        let mut reader = Reader::open(&api, &format!("/v1/events{query}"), &[]).await;
        let mut types = Vec::new();
        while let Some(block) = reader.block().await {
            let line = block.lines().find_map(|line| line.strip_prefix("event: "));
            types.push(line.unwrap().to_owned());
        }
        assert_eq!(types, expected, "{query}");
    }
    for query in ["?types=", "?types=health,helth", "?type=health"] {
        let answer = get(&api, &format!("/v1/events{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.code(), "InvalidQuery");
    }
    let unknown = get(&api, "/v1/events?types=helth").await;
    assert!(
        unknown.text.contains("refusedHandshakes"),
        "{}",
        unknown.text
    );
}

#[tokio::test]
async fn what_was_missed_is_said() {
    let told = vec![Told::Missed(None), phase(1, "Serving"), Told::TooSlow(12)];
    let (fake, api) = api_telling(told);
    fake.ends.cancel();
    let mut reader = Reader::open(&api, "/v1/events", &[]).await;
    let note = reader.block().await.unwrap();
    assert_eq!(note, "event: missed\ndata: {\"count\":null}\n\n");
    reader.block().await.unwrap();
    let note = reader.block().await.unwrap();
    assert_eq!(note, "event: tooSlow\ndata: {\"count\":12}\n\n");
}

#[tokio::test]
async fn the_last_event_id_says_where_to_begin() {
    let (fake, api) = api_telling(vec![]);
    Reader::open(&api, "/v1/events", &[]).await;
    for id in ["abc-7", "0", "\u{fe}"] {
        Reader::open(&api, "/v1/events", &[("last-event-id", id)]).await;
    }
    let id = EventId {
        process: 0xabc,
        serial: 7,
    };
    let expected = [Since::Now, Since::After(id), Since::Oldest, Since::Oldest];
    assert_eq!(*fake.asked_since.lock().unwrap(), expected);
}

#[tokio::test]
async fn silence_is_broken_by_comments() {
    let options = AdminOptions {
        event_keep_alive: Duration::from_millis(10),
        ..AdminOptions::default()
    };
    let api = router(Arc::new(Fake::default()), options);
    let mut reader = Reader::open(&api, "/v1/events", &[]).await;
    for _ in 0..2 {
        let block = reader.block().await.unwrap();
        assert!(block.starts_with(':'), "{block:?}");
        assert!(block.ends_with("\n\n"), "{block:?}");
    }
}

#[tokio::test]
async fn so_many_may_listen_and_each_gives_its_place_back() {
    let options = AdminOptions {
        event_readers: 2,
        ..AdminOptions::default()
    };
    let api = router(Arc::new(Fake::default()), options);
    let first = Reader::open(&api, "/v1/events", &[]).await;
    let _second = Reader::open(&api, "/v1/events", &[]).await;
    // A question that is refused takes no place.
    get(&api, "/v1/events?types=nothing").await;
    let refused = get(&api, "/v1/events").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.code(), "TooManyReaders");
    assert_eq!(refused.header("retry-after"), "1");
    drop(first);
    Reader::open(&api, "/v1/events", &[]).await;
    ask(&api, "HEAD", "/v1/events", &[], "").await;
    Reader::open(&api, "/v1/events", &[]).await;
}
