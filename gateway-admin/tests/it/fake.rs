//! A process that is nothing but its configuration, and the client that asks it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use gateway_admin::{
    AdminOptions, Applied, ApplyError, Control, HealthReport, Precondition, Published, Write,
    router,
};
use gateway_core::config::ConfigProblem;
use gateway_core::resource::{ApplicationGateway, Edit, EditError, JsonTree, apply_edit};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
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

    fn ready(&self) -> Result<(), String> {
        let reason = self.not_ready.lock().unwrap().clone();
        reason.map_or(Ok(()), Err)
    }

    fn metrics(&self) -> String {
        assert!(!self.panics, "told to panic");
        "# EOF\n".to_owned()
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
