//! Tags, and what they guard.

use http::StatusCode;

use crate::documents::{WEB, address, document, pool};
use crate::fake::{Fake, api, ask, get};

#[tokio::test]
async fn tags_keep_writers_apart() {
    let (_, api) = api(Fake::with(&document()));
    let tag = get(&api, WEB).await.header("etag").to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    // A change elsewhere leaves the tag as it is.
    ask(
        &api,
        "PUT",
        "/v1/backendAddressPools/old",
        &[],
        &pool("10.9.9.9"),
    )
    .await;
    assert_eq!(get(&api, WEB).await.header("etag"), tag);

    let first = ask(&api, "PUT", WEB, &[("if-match", &tag)], &pool("10.0.0.5")).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    let second = ask(&api, "PUT", WEB, &[("if-match", &tag)], &pool("10.0.0.6")).await;
    assert_eq!(second.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(second.code(), "PreconditionFailed");
    assert_eq!(second.header("etag"), first.header("etag"));
    let told = format!("the current entity tag is {}", first.header("etag"));
    let detail = second.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.ends_with(&told), "{detail}");
    assert_eq!(address(&get(&api, WEB).await), "10.0.0.5");
    let stale = ask(&api, "DELETE", WEB, &[("if-match", &tag)], "").await;
    assert_eq!(stale.code(), "PreconditionFailed");

    let config = get(&api, "/v1/config").await;
    let current = [("if-match", config.header("etag"))];
    let put = ask(&api, "PUT", "/v1/config", &current, &config.text).await;
    assert_eq!(put.status, StatusCode::OK);
    assert_eq!(put.header("etag"), config.header("etag"));
    let put = ask(
        &api,
        "PUT",
        "/v1/config",
        &[("if-match", &tag)],
        &config.text,
    )
    .await;
    assert_eq!(put.code(), "PreconditionFailed");
}

#[tokio::test]
async fn create_only_and_replace_only() {
    let (_, api) = api(Fake::with(&document()));
    #[rustfmt::skip]
    let rows = [
        // (name, field, value, status)
        ("web", "if-none-match", "*", 412),
        ("new", "if-match", "*", 412),
        ("new", "if-match", "\"a\"", 412),
        ("new", "if-none-match", "*", 201),
        ("new", "if-match", "*", 200),
        ("new", "if-match", "unquoted", 400),
        ("new", "if-none-match", "\"a\"", 400),
    ];
    for (name, field, value, status) in rows {
        let target = format!("/v1/backendAddressPools/{name}");
        let answer = ask(&api, "PUT", &target, &[(field, value)], &pool("10.0.0.9")).await;
        assert_eq!(answer.status, status, "{name} {field}: {value}");
    }
}

#[tokio::test]
async fn who_has_it_is_told_so() {
    let (_, api) = api(Fake::with(&document()));
    for target in ["/v1/config", "/v1/backendAddressPools", WEB] {
        let answer = get(&api, target).await;
        let tag = answer.header("etag");
        let same = ask(&api, "GET", target, &[("if-none-match", tag)], "").await;
        assert_eq!(same.status, StatusCode::NOT_MODIFIED, "{target}");
        assert_eq!(
            (same.text.as_str(), same.header("etag")),
            ("", tag),
            "{target}"
        );
        assert_eq!(same.header("gateway-revision"), "1");
        let other = ask(&api, "GET", target, &[("if-none-match", "\"x\"")], "").await;
        assert_eq!(other.status, StatusCode::OK, "{target}");
        let gone = ask(&api, "GET", target, &[("if-match", "\"x\"")], "").await;
        assert_eq!(gone.code(), "PreconditionFailed", "{target}");
        assert_eq!(gone.header("etag"), tag, "{target}");
    }
}
