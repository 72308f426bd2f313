//! What says how the process is, and what holds for every answer.

use std::sync::Arc;

use gateway_admin::{AdminOptions, AllowedHosts, Token, health_router, router};
use http::StatusCode;

use crate::fake::{Fake, api, ask, get};

#[tokio::test]
async fn every_answer_bears_revision_generation_and_request_id() {
    let (_, api) = api(Fake::default());
    for path in [
        "/",
        "/healthz",
        "/version",
        "/v1/config",
        "/docs/",
        "/nowhere",
    ] {
        let answer = get(&api, path).await;
        assert_eq!(answer.header("gateway-revision"), "0", "{path}");
        assert_eq!(answer.header("gateway-generation"), "2", "{path}");
        assert_eq!(answer.header("x-request-id").len(), 16, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn alive_and_ready_are_two_questions() {
    let (fake, api) = api(Fake::default());
    assert_eq!(get(&api, "/readyz").await.json()["status"], "ready");
    *fake.not_ready.lock().unwrap() = Some("draining".to_owned());
    let answer = get(&api, "/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.code(), "NotReady");
    assert_eq!(answer.json()["detail"], "not ready: draining");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(
        get(&api, "/healthz").await.text,
        "{\n  \"status\": \"ok\"\n}\n"
    );
}

#[tokio::test]
async fn the_index_is_json_or_a_page() {
    let (fake, api) = api(Fake::default());
    // Who listens to events is heard out.
    fake.ends.cancel();
    let index = get(&api, "/").await.json();
    for link in index["links"].as_array().unwrap() {
        let answer = get(&api, link["path"].as_str().unwrap()).await;
        let there = answer.status.is_success() || answer.status.is_redirection();
        assert!(there || answer.code() == "NoConfiguration", "{link}");
    }
    let page = ask(&api, "GET", "/", &[("accept", "text/html,*/*")], "").await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text.contains("<a href=\"/v1/backendHealth\">"));
}

#[tokio::test]
async fn metrics_are_openmetrics() {
    let (_, api) = api(Fake::default());
    let answer = get(&api, "/metrics").await;
    let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), expected);
    assert_eq!(answer.text, "# EOF\n");
}

#[tokio::test]
async fn swagger_ui_needs_nobody_else() {
    let (_, api) = api(Fake::default());
    let answer = get(&api, "/docs").await;
    assert_eq!(answer.header("location"), "/docs/");
    let page = get(&api, "/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("http://") && !page.text.contains("https://"));
    let start = get(&api, "/docs/swagger-initializer.js").await;
    assert!(start.text.contains("\"/openapi.json\""), "{}", start.text);
    assert_eq!(
        get(&api, "/docs/none.js").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let (_, api) = api(Fake::default());
    let rows = [
        // (method, path, status, code, allow)
        ("GET", "/v2", 404, "PathNotFound", ""),
        ("GET", "/v1/config/", 404, "PathNotFound", ""),
        ("GET", "/v1/gadgets", 404, "CollectionNotFound", ""),
        ("DELETE", "/v1/gadgets/a", 404, "CollectionNotFound", ""),
        ("GET", "/v1/httpListeners/a", 404, "ResourceNotFound", ""),
        ("GET", "/v1/httpListeners/%FF", 400, "RequestRefused", ""),
        (
            "DELETE",
            "/v1/httpListeners",
            405,
            "MethodNotAllowed",
            "GET,HEAD",
        ),
        (
            "PUT",
            "/v1/httpListeners",
            405,
            "MethodNotAllowed",
            "GET,HEAD",
        ),
        (
            "DELETE",
            "/v1/config",
            405,
            "MethodNotAllowed",
            "GET,HEAD,PUT",
        ),
        (
            "POST",
            "/v1/config",
            405,
            "MethodNotAllowed",
            "GET,HEAD,PUT",
        ),
        (
            "PATCH",
            "/v1/httpListeners/a",
            405,
            "MethodNotAllowed",
            "GET,HEAD,PUT,DELETE",
        ),
        (
            "OPTIONS",
            "/v1/backendHealth",
            405,
            "MethodNotAllowed",
            "GET,HEAD",
        ),
        ("PUT", "/healthz", 405, "MethodNotAllowed", "GET,HEAD"),
    ];
    for (method, path, status, code, allow) in rows {
        let answer = ask(&api, method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert_eq!(answer.code(), code, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn a_panic_is_one_request_s_affair() {
    let (_, api) = api(Fake {
        panics: true,
        ..Fake::default()
    });
    let answer = get(&api, "/metrics").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.code(), "InternalError");
    assert!(!answer.text.contains("told to panic"));
    assert_eq!(get(&api, "/healthz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_of_other_sites_and_other_names_are_refused() {
    let (_, api) = api(Fake::default());
    let host = [("host", "evil.example:9080")];
    let answer = ask(&api, "GET", "/v1/config", &host, "").await;
    assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(answer.code(), "HostNotAllowed");
    let origin = [("origin", "http://evil.example")];
    for method in ["PUT", "OPTIONS", "GET"] {
        let answer = ask(&api, method, "/v1/config", &origin, "{}").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.code(), "CrossOriginRefused");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
    let twice = [("host", "localhost"), ("host", "localhost")];
    let answer = ask(&api, "GET", "/", &twice, "").await;
    assert_eq!(answer.code(), "InvalidHost");
}

#[tokio::test]
async fn a_token_protects_all_but_health() {
    let options = AdminOptions {
        token: Some(Token::new("correct-horse-battery-staple").unwrap()),
        hosts: AllowedHosts::Any,
        ..AdminOptions::default()
    };
    let api = router(Arc::new(Fake::default()), options);
    for path in [
        "/",
        "/version",
        "/metrics",
        "/docs/",
        "/v1/config",
        "/v1/backendHealth",
    ] {
        let answer = get(&api, path).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.code(), "TokenMissing");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer realm=\"gateway\""
        );
    }
    assert_eq!(get(&api, "/healthz").await.status, StatusCode::OK);
    assert_eq!(get(&api, "/readyz").await.status, StatusCode::OK);
    let wrong = [("authorization", "Bearer wrong-horse-battery-staple")];
    let answer = ask(&api, "GET", "/version", &wrong, "").await;
    assert_eq!(answer.code(), "TokenInvalid");
    assert!(
        answer
            .header("www-authenticate")
            .contains("error=\"invalid_token\"")
    );
    let right = [("authorization", "Bearer correct-horse-battery-staple")];
    let answer = ask(&api, "GET", "/version", &right, "").await;
    assert_eq!(answer.json()["name"], "gateway");
}

#[tokio::test]
async fn the_health_listener_has_nothing_else() {
    let health = health_router(Arc::new(Fake::default()));
    let pod = [("host", "10.1.2.3:8081")];
    for path in ["/healthz", "/readyz"] {
        let answer = ask(&health, "GET", path, &pod, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
    }
    for path in ["/", "/metrics", "/v1/config", "/docs/"] {
        let answer = ask(&health, "GET", path, &pod, "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}
