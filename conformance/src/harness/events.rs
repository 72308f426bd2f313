//! `GET /v1/events`, read as a browser's `EventSource` would.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::until;

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: Value,
}

/// A reader of events. It stops when this is dropped.
pub(crate) struct Events {
    seen: Arc<Mutex<Vec<Event>>>,
    _tasks: JoinSet<()>,
}

impl Events {
    /// Reads what happens from now on; with `after`, what is behind the event of that id.
    pub(crate) async fn listen(admin: SocketAddr, after: Option<&str>) -> Result<Self> {
        let tcp = TcpStream::connect(admin).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async {
            // Its end shows in the body.
            let _ = connection.await;
        });
        let mut request = http::Request::get("/v1/events").header("host", admin.to_string());
        if let Some(id) = after {
            request = request.header("last-event-id", id);
        }
        let request = request.body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        ensure!(answer.status() == 200, "events: {}", answer.status());
        let kind = answer.headers().get("content-type");
        let kind = kind.context("no content type")?.to_str()?;
        ensure!(kind.starts_with("text/event-stream"), "it is {kind}");
        let seen = Arc::default();
        tasks.spawn(read(answer.into_body(), Arc::clone(&seen)));
        Ok(Self {
            seen,
            _tasks: tasks,
        })
    }

    /// Those that came so far.
    pub(crate) fn seen(&self) -> Vec<Event> {
        lock(&self.seen).clone()
    }

    /// Waits for an event of this kind whose data are as they should be.
    pub(crate) async fn wait_for(
        &self,
        kind: &str,
        limit: Duration,
        is_right: impl Fn(&Value) -> bool,
    ) -> Result<Event> {
        let found = until("the event", limit, async || {
            let seen = self.seen();
            let mut right = seen.into_iter().filter(|event| event.kind == kind);
            Ok(right.find(|event| is_right(&event.data)))
        });
        found
            .await
            .with_context(|| format!("no event {kind} as expected among {:#?}", self.seen()))
    }
}

fn lock(seen: &Mutex<Vec<Event>>) -> MutexGuard<'_, Vec<Event>> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(mut body: Incoming, seen: Arc<Mutex<Vec<Event>>>) {
    let mut text = String::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else {
            continue;
        };
        text.push_str(&String::from_utf8_lossy(&data));
        while let Some((block, rest)) = text.split_once("\n\n") {
            lock(&seen).extend(event(block));
            text = rest.to_owned();
        }
    }
}

/// The lines of one event; comments alone are none.
fn event(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let mut lines = block.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(field, _)| *field == name);
        found.map(|(_, value)| value.trim_start().to_owned())
    };
    Some(Event {
        id: field("id").unwrap_or_default(),
        kind: field("event")?,
        data: serde_json::from_str(&field("data")?).ok()?,
    })
}
