//! A process that is nothing but its configuration, and the client that asks it.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Body;
use futures_util::{Stream, StreamExt, stream};
use gateway_admin::{
    AdminOptions, Applied, ApplyError, CannotRebalance, CloseTunnels, Control, HealthReport,
    NoSuchTarget, Precondition, Published, Since, Told, WhichTunnels, Write, router,
};
use gateway_core::config::ConfigProblem;
use gateway_core::resource::{ApplicationGateway, Edit, EditError, JsonTree, apply_edit};
use gateway_core::snapshot::{ListenerId, TargetId};
use gateway_core::tunnels::{
    DrainKind, DrainReport, DrainState, ListQuery, Page, TunnelFacts, TunnelId, TunnelReport,
};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// The process: applies edits as the real one does, without sockets and without a store.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) live: Mutex<Live>,
    pub(crate) health: Vec<HealthReport>,
    pub(crate) not_ready: Mutex<Option<String>>,
    /// What the next write is refused with.
    pub(crate) refuse: Mutex<Option<ApplyError>>,
    pub(crate) panics: bool,
    /// What the next readers of events are told, and where they wanted to begin.
    pub(crate) told: Mutex<Vec<Told>>,
    pub(crate) asked_since: Mutex<Vec<Since>>,
    /// Readers come to their end when this is cancelled.
    pub(crate) ends: CancellationToken,
    /// Tunnels that are open.
    pub(crate) tunnels: Vec<TunnelReport>,
    pub(crate) drains: Mutex<Vec<DrainReport>>,
    /// What was asked for, in order.
    pub(crate) orders: Mutex<Vec<String>>,
}

#[derive(Default)]
pub(crate) struct Live {
    revision: u64,
    document: Option<Arc<ApplicationGateway>>,
    warnings: Vec<ConfigProblem>,
}

impl Live {
    fn published(&self) -> Published {
        Published {
            revision: self.revision,
            // Ahead, as after answers of DNS.
            generation: self.revision + 2,
            document: self.document.clone(),
            warnings: self.warnings.clone().into(),
        }
    }
}

impl Fake {
    /// One that has `document`.
    pub(crate) fn with(document: &str) -> Self {
        let tree = JsonTree::parse(document).unwrap();
        let edited = apply_edit(None, &Edit::Replace(tree)).unwrap();
        Self {
            live: Mutex::new(Live {
                revision: 1,
                document: Some(Arc::new(edited.parsed.document)),
                warnings: edited.parsed.warnings,
            }),
            ..Self::default()
        }
    }
}

impl Fake {
    fn begin(&self, kind: DrainKind, what: String) -> DrainReport {
        let mut drains = self.drains.lock().unwrap();
        let drain = DrainReport {
            id: drains.len() as u64 + 1,
            kind,
            what,
            state: DrainState::Running,
            started_at: SystemTime::UNIX_EPOCH,
            deadline: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(30)),
            total: 9,
            told: 5,
            closed: 2,
            cut: 1,
            kept: 0,
        };
        drains.push(drain.clone());
        drain
    }

    fn set_state(&self, id: u64, state: DrainState) -> Option<DrainReport> {
        let mut drains = self.drains.lock().unwrap();
        let drain = drains.iter_mut().find(|drain| drain.id == id)?;
        drain.state = state;
        Some(drain.clone())
    }

    /// There is a pool `web` with a target `10.0.0.4:8080`.
    fn known(&self, pool: &str, member: &str) -> Result<(), NoSuchTarget> {
        let (pool, member) = (pool.to_owned(), member.to_owned());
        match (&*pool, &*member) {
            ("web", "10.0.0.4" | "10.0.0.4:8080" | "[::1]:80") => Ok(()),
            ("web", _) => Err(NoSuchTarget::Target {
                pool,
                member,
                known: vec!["10.0.0.4:8080".into()],
            }),
            _ => Err(NoSuchTarget::Pool { pool }),
        }
    }
}

/// What a filter sees of a tunnel that was opened an hour ago and is silent for a minute.
fn facts(tunnel: &TunnelReport) -> TunnelFacts<'_> {
    TunnelFacts {
        id: tunnel.id,
        listener_id: ListenerId(1),
        target_id: TargetId(2),
        listener: &tunnel.listener,
        rule: &tunnel.rule,
        pool: &tunnel.pool,
        settings: &tunnel.settings,
        target: tunnel.target,
        client: tunnel.client,
        host: &tunnel.host,
        subprotocol: tunnel.subprotocol.as_deref(),
        opened_at: tunnel.opened_at,
        last_traffic_at: tunnel.received.last_at.max(tunnel.sent.last_at),
        age: Duration::from_secs(3600),
        idle: Duration::from_secs(60),
        messages: tunnel.received.messages + tunnel.sent.messages,
        bytes: tunnel.received.bytes + tunnel.sent.bytes,
        on_unhealthy: gateway_core::config::OnUnhealthy::Keep,
    }
}

impl Control for Fake {
    fn published(&self) -> Published {
        self.live.lock().unwrap().published()
    }

    async fn apply(&self, write: Write) -> Result<Applied, ApplyError> {
        if let Some(error) = self.refuse.lock().unwrap().take() {
            return Err(error);
        }
        let mut live = self.live.lock().unwrap();
        let before = live.document.clone();
        judge(before.as_deref(), &write)?;
        let edited = apply_edit(before.as_deref(), &write.edit).map_err(|error| match error {
            EditError::NotFound { collection, name } => ApplyError::NotFound { collection, name },
            EditError::Invalid(problems) => ApplyError::Invalid(problems),
        })?;
        let after = Arc::new(edited.parsed.document);
        if !write.dry_run {
            live.revision += 1;
            live.document = Some(Arc::clone(&after));
            live.warnings.clone_from(&edited.parsed.warnings);
        }
        Ok(Applied {
            published: live.published(),
            before,
            after,
            created: edited.created,
            warnings: edited.parsed.warnings,
            apply_time: Duration::from_micros(1250),
            store_time: Duration::from_millis(3),
        })
    }

    fn backend_health(&self) -> Vec<HealthReport> {
        self.health.clone()
    }

    async fn tunnels(&self, query: ListQuery) -> Page<TunnelReport> {
        let mut page = Page::new(query.sort, query.limit, query.after);
        for tunnel in &self.tunnels {
            let facts = facts(tunnel);
            if query.filter.matches(&facts) {
                page.offer(query.sort.place(&facts), || tunnel.clone());
            }
        }
        page
    }

    async fn tunnel(&self, id: TunnelId) -> Option<TunnelReport> {
        self.tunnels.iter().find(|tunnel| tunnel.id == id).cloned()
    }

    async fn close_tunnels(&self, which: WhichTunnels, close: CloseTunnels) -> Option<DrainReport> {
        let (which, what) = match which {
            WhichTunnels::One(id) => (self.tunnel(id).await.map(|_| ()), id.to_string()),
            WhichTunnels::All(filter) => (Some(()), filter.to_string()),
        };
        which?;
        let order = format!(
            "close {what} {:?} {:?} {:?}",
            close.code, close.reason, close.per_second
        );
        self.orders.lock().unwrap().push(order);
        Some(self.begin(DrainKind::Closed, what))
    }

    async fn drain_targets(&self, pool: &str, member: &str) -> Result<DrainReport, NoSuchTarget> {
        self.known(pool, member)?;
        Ok(self.begin(DrainKind::TargetDrained, format!("{pool}/{member}")))
    }

    async fn resume_targets(&self, pool: &str, member: &str) -> Result<(), NoSuchTarget> {
        self.known(pool, member)?;
        self.orders
            .lock()
            .unwrap()
            .push(format!("resume {pool}/{member}"));
        Ok(())
    }

    fn drains(&self) -> Vec<DrainReport> {
        self.drains.lock().unwrap().clone()
    }

    async fn cancel_drain(&self, id: u64) -> Option<DrainReport> {
        self.set_state(id, DrainState::Cancelled)
    }

    async fn resume_drain(&self, id: u64) -> Option<DrainReport> {
        self.set_state(id, DrainState::Running)
    }

    async fn rebalance(
        &self,
        pool: &str,
        per_second: Option<NonZeroU32>,
    ) -> Result<Vec<DrainReport>, CannotRebalance> {
        let name = || pool.to_owned();
        match pool {
            "web" => {
                let order = format!("rebalance {pool} {per_second:?}");
                self.orders.lock().unwrap().push(order);
                Ok(vec![
                    self.begin(DrainKind::Rebalance, "web by plain".into()),
                ])
            }
            "even" => Ok(vec![]),
            "hashed" => Err(CannotRebalance::Hashed { pool: name() }),
            _ => Err(CannotRebalance::NoPool { pool: name() }),
        }
    }

    fn ready(&self) -> Result<(), String> {
        let reason = self.not_ready.lock().unwrap().clone();
        reason.map_or(Ok(()), Err)
    }

    fn metrics(&self) -> String {
        assert!(!self.panics, "told to panic");
        "# EOF\n".to_owned()
    }

    fn events(&self, since: Since) -> impl Stream<Item = Told> + Send + 'static {
        self.asked_since.lock().unwrap().push(since);
        let told = self.told.lock().unwrap().clone();
        let ends = self.ends.clone().cancelled_owned();
        let silence = stream::pending().take_until(Box::pin(ends));
        stream::iter(told).chain(silence)
    }
}

fn judge(before: Option<&ApplicationGateway>, write: &Write) -> Result<(), ApplyError> {
    let current = before.and_then(|document| match &write.edit {
        Edit::Replace(_) => Some(document.etag()),
        Edit::Put {
            collection, name, ..
        }
        | Edit::Delete { collection, name } => document.resource_etag(*collection, name),
    });
    let holds = match (&write.precondition, &current) {
        (Precondition::None, _) => true,
        (Precondition::Exists, current) => current.is_some(),
        (Precondition::Absent, current) => current.is_none(),
        (Precondition::Matches(tags), current) => current
            .as_ref()
            .is_some_and(|current| tags.contains(current)),
    };
    if holds {
        Ok(())
    } else {
        Err(ApplyError::PreconditionFailed { current })
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The problem's `error.code`, after checking that it is a whole problem.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert!(self.text.ends_with("}\n"), "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["requestId"], self.header("x-request-id"));
        assert_eq!(problem["detail"], problem["error"]["message"]);
        assert_eq!(problem["instance"], problem["error"]["target"]);
        problem["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// The API over `fake`.
pub(crate) fn api(fake: Fake) -> (Arc<Fake>, Router) {
    let fake = Arc::new(fake);
    (Arc::clone(&fake), router(fake, AdminOptions::default()))
}

/// One request; `Host` is `localhost` unless `headers` have another.
pub(crate) async fn ask(
    router: &Router,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(target);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.into()).unwrap(),
    }
}

/// `GET` without more.
pub(crate) async fn get(router: &Router, target: &str) -> Answer {
    ask(router, "GET", target, &[], "").await
}
