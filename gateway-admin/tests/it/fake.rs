//! A process that is nothing but its configuration, and the client that asks it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use gateway_admin::{
    AdminOptions, Applied, ApplyError, Control, HealthReport, Published, Write, router,
};
use gateway_core::resource::ApplicationGateway;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// The process.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) document: Mutex<Option<Arc<ApplicationGateway>>>,
    pub(crate) not_ready: Mutex<Option<String>>,
    pub(crate) refuse: Mutex<Option<ApplyError>>,
    pub(crate) panics: bool,
}

impl Control for Fake {
    fn published(&self) -> Published {
        Published {
            revision: 3,
            generation: 5,
            document: self.document.lock().unwrap().clone(),
            warnings: Arc::from([]),
        }
    }

    async fn apply(&self, _: Write) -> Result<Applied, ApplyError> {
        if let Some(error) = self.refuse.lock().unwrap().take() {
            return Err(error);
        }
        Ok(Applied {
            published: self.published(),
            before: None,
            after: Arc::default(),
            created: true,
            warnings: Vec::new(),
            apply_time: Duration::from_micros(1250),
            store_time: Duration::from_millis(3),
        })
    }

    fn backend_health(&self) -> Vec<HealthReport> {
        Vec::new()
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
