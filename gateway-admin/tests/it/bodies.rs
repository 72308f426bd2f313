//! What is taken as a body, and what is said of one that is not.

use http::StatusCode;
use serde_json::json;

use crate::documents::{WEB, address, document, pool};
use crate::fake::{Fake, api, ask, get};

#[tokio::test]
async fn every_finding_comes_with_its_place() {
    let (_, api) = api(Fake::with(&document()));
    let body = "{ // a pool\n  \"properties\": {\n    \"backendAddresses\": [\n      { \"ipAddress\": \"10.0.0.300\" },\n      { \"port\": \"x\" },\n    ]\n  }\n}";
    let answer = ask(&api, "PUT", WEB, &[], body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.code(), "InvalidDocument");
    let problem = answer.json();
    let details = problem["error"]["details"].as_array().unwrap();
    assert!(details.len() >= 2, "{details:?}");
    let first = &details[0];
    assert_eq!(
        first["target"], "/properties/backendAddresses/0/ipAddress",
        "{first}"
    );
    assert_eq!(
        (&first["line"], &first["column"]),
        (&json!(4), &json!(22)),
        "{first}"
    );
    assert_eq!(first["severity"], "error");
    for detail in details {
        assert!(
            detail["message"].is_string() && detail["code"].is_string(),
            "{detail}"
        );
    }
    assert_eq!(address(&get(&api, WEB).await), "10.0.0.4");
}

#[tokio::test]
async fn what_is_no_json_says_where() {
    let (_, api) = api(Fake::with(&document()));
    let answer = ask(&api, "PUT", WEB, &[], "{\n  \"properties\": {,}\n}").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (400, "InvalidJson")
    );
    let detail = &answer.json()["error"]["details"][0];
    assert_eq!(detail["line"], 2, "{detail}");
    for body in ["", "  ", "null", "[]", "\"x\"", "1"] {
        let answer = ask(&api, "PUT", WEB, &[], body).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{body:?}: {}",
            answer.text
        );
        assert!(answer.json()["error"]["details"][0].is_object(), "{body:?}");
    }
}

#[tokio::test]
async fn curl_s_types_are_json() {
    let (_, api) = api(Fake::with(&document()));
    #[rustfmt::skip]
    let rows = [
        ("application/json", true),
        ("Application/JSON; charset=utf-8", true),
        ("application/x-www-form-urlencoded", true),
        ("text/plain", true),
        ("application/merge-patch+json", true),
        ("application/octet-stream", true),
        ("multipart/form-data; boundary=x", false),
        ("application/xml", false),
        ("application/yaml", false),
        ("", false),
    ];
    for (kind, taken) in rows {
        let answer = ask(
            &api,
            "PUT",
            WEB,
            &[("content-type", kind)],
            &pool("10.0.0.9"),
        )
        .await;
        if taken {
            assert_eq!(answer.status, StatusCode::OK, "{kind}: {}", answer.text);
        } else {
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
            assert_eq!(answer.code(), "UnsupportedMediaType");
            assert_eq!(answer.header("accept"), "application/json");
        }
    }
}

#[tokio::test]
async fn a_body_past_the_limit_is_not_read() {
    let (_, api) = api(Fake::with(&document()));
    let long = format!("{}{}", " ".repeat(8 << 20), pool("10.0.0.9"));
    let answer = ask(&api, "PUT", WEB, &[], &long).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.code(), "BodyTooLarge");
    assert_eq!(
        answer.json()["detail"],
        "the body is longer than 8388608 bytes"
    );
}

#[tokio::test]
async fn a_compressed_body_is_refused_by_name() {
    let (_, api) = api(Fake::with(&document()));
    let put = |coding| {
        let api = api.clone();
        async move {
            let headers = [("content-encoding", coding)];
            ask(&api, "PUT", WEB, &headers, &pool("10.0.0.9")).await
        }
    };
    let refused = put("gzip").await;
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(refused.code(), "UnsupportedContentCoding");
    assert_eq!(refused.header("accept-encoding"), "identity");
    assert_eq!(put("Identity").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_large_body_leaves_the_runtime_to_others() {
    let (_, api) = api(Fake::with(&document()));
    let members = vec![r#"{"ipAddress": "10.0.0.9", "port": "no"}"#; 50_000];
    let body = format!(
        r#"{{"properties": {{"backendAddresses": [{}]}}"#,
        members.join(",")
    );
    let mut turns_of_others = 0;
    let answer = tokio::select! {
        answer = ask(&api, "PUT", WEB, &[], &body) => answer,
        () = async {
            loop {
                turns_of_others += 1;
                tokio::task::yield_now().await;
            }
        } => unreachable!(),
    };
    assert_eq!(answer.code(), "InvalidJson");
    assert!(turns_of_others > 500, "{turns_of_others}");
}
