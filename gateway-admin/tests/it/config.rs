//! Reading and writing the configuration.

use gateway_admin::{ApplyError, Control};
use http::StatusCode;
use serde_json::{Value, json};

use crate::documents::{KEY, SECRET, WEB, address, document, pool};
use crate::fake::{Fake, api, ask, get};

#[tokio::test]
async fn before_the_first_document_there_is_none() {
    let (_, api) = api(Fake::default());
    let answer = get(&api, "/v1/config").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.code(), "NoConfiguration");
    let list = get(&api, "/v1/httpListeners").await;
    assert_eq!(list.json(), json!({ "value": [] }));
    let created = ask(&api, "PUT", "/v1/config", &[], &document()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(created.header("gateway-revision"), "1");
    assert_eq!(created.json()["created"], true);
    let again = ask(&api, "PUT", "/v1/config", &[], &document()).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.json()["changes"], json!([]));
}

#[tokio::test]
async fn what_get_gives_put_takes() {
    let (fake, api) = api(Fake::with(&document()));
    let before = fake.published().document;
    let config = get(&api, "/v1/config").await;
    let put = ask(&api, "PUT", "/v1/config", &[], &config.text).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    assert_eq!(put.json()["changes"], json!([]));
    // The certificate, whose key was not in what was put, has it still.
    assert_eq!(fake.published().document, before);
    assert_eq!(get(&api, "/v1/config").await.text, config.text);
}

#[tokio::test]
async fn one_resource_is_put_read_and_deleted() {
    let (_, api) = api(Fake::with(&document()));
    let new = "/v1/BackendAddressPools/new";
    let created = ask(&api, "PUT", new, &[], &pool("10.0.0.9")).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    assert_eq!(created.header("location"), new);
    assert_eq!(created.header("gateway-revision"), "2");
    assert_eq!(created.header("gateway-generation"), "4");
    assert_eq!(created.header("gateway-warnings"), "0");
    assert_eq!(
        created.header("server-timing"),
        "apply;dur=1.250, store;dur=3.000"
    );
    let receipt = created.json();
    assert_eq!(receipt["resource"]["name"], "new");
    let change = json!([{ "resource": "backendAddressPools/new", "change": "created" }]);
    assert_eq!(receipt["changes"], change);

    let read = get(&api, "/v1/backendaddresspools/NEW").await;
    assert_eq!(read.json(), receipt["resource"]);
    assert_eq!(read.header("etag"), created.header("etag"));

    let replaced = ask(&api, "PUT", new, &[], &pool("10.0.0.10")).await;
    assert_eq!(replaced.status, StatusCode::OK);
    assert_eq!(replaced.header("location"), "");
    assert_eq!(address(&replaced), "10.0.0.10");

    let gone = ask(&api, "DELETE", new, &[], "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(gone.text, "");
    assert_eq!(gone.header("gateway-revision"), "4");
    assert_eq!(get(&api, new).await.code(), "ResourceNotFound");
    let again = ask(&api, "DELETE", new, &[], "").await;
    assert_eq!(
        (again.status.as_u16(), again.code().as_str()),
        (404, "ResourceNotFound")
    );
}

#[tokio::test]
async fn what_is_referred_to_is_not_deleted() {
    let (_, api) = api(Fake::with(&document()));
    let answer = ask(&api, "DELETE", WEB, &[], "").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.code(), "ResourceInUse");
    let details = &answer.json()["error"]["details"];
    assert_eq!(details[0]["code"], "ResourceInUse", "{details}");
    let message = details[0]["message"].as_str().unwrap();
    assert!(message.contains("requestRoutingRules/app"), "{message}");
    assert_eq!(get(&api, WEB).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let (_, api) = api(Fake::with(&document()));
    let target = format!("{WEB}?dryRun=true");
    let put = ask(&api, "PUT", &target, &[], &pool("10.0.0.9")).await;
    assert_eq!(put.status, StatusCode::OK);
    assert_eq!(put.header("etag"), "");
    let receipt = put.json();
    assert_eq!(
        (&receipt["dryRun"], &receipt["revision"]),
        (&json!(true), &json!(1))
    );
    let change = json!([{ "resource": "backendAddressPools/web", "change": "replaced" }]);
    assert_eq!(receipt["changes"], change);
    assert_eq!(address(&put), "10.0.0.9");

    let probe = r#"{ "properties": { "protocol": "Http", "host": "a", "path": "/", "interval": 5,
        "timeout": 5, "unhealthyThreshold": 2 } }"#;
    let new = ask(&api, "PUT", "/v1/probes/x?dryRun=true", &[], probe).await;
    assert_eq!(new.status, StatusCode::OK, "{}", new.text);
    assert_eq!(new.json()["created"], true);

    let delete = ask(
        &api,
        "DELETE",
        "/v1/backendAddressPools/old?dryRun=true",
        &[],
        "",
    )
    .await;
    assert_eq!(delete.status, StatusCode::OK);
    let change = json!([{ "resource": "backendAddressPools/old", "change": "deleted" }]);
    assert_eq!(delete.json()["changes"], change);
    assert!(delete.json().get("resource").is_none());

    let renamed = document().replace("\"gw\"", "\"gw2\"");
    let whole = ask(&api, "PUT", "/v1/config?dryRun=true", &[], &renamed).await;
    let change = json!([{ "resource": "name", "change": "replaced" }]);
    assert_eq!(whole.json()["changes"], change, "{}", whole.text);
    assert_eq!(address(&get(&api, WEB).await), "10.0.0.4");
    assert_eq!(get(&api, "/healthz").await.header("gateway-revision"), "1");
}

#[tokio::test]
async fn a_misspelt_dry_run_does_not_write() {
    let (_, api) = api(Fake::with(&document()));
    for query in [
        "dryrun=true",
        "dry_run=true",
        "dryRun",
        "dryRun=yes",
        "dryRun=true&x=1",
    ] {
        for method in ["PUT", "DELETE"] {
            let target = format!("/v1/backendAddressPools/old?{query}");
            let answer = ask(&api, method, &target, &[], &pool("10.0.0.9")).await;
            assert_eq!(answer.code(), "InvalidQuery", "{method} {query}");
        }
    }
    assert_eq!(get(&api, "/healthz").await.header("gateway-revision"), "1");
}

#[tokio::test]
async fn warnings_are_seen() {
    let (_, api) = api(Fake::with(&document()));
    let mut config: Value = serde_json::from_str(&document()).unwrap();
    config["properties"]["enableFips"] = json!(true);
    let put = ask(&api, "PUT", "/v1/config", &[], &config.to_string()).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    let warnings = put.json()["warnings"].clone();
    let warnings = warnings.as_array().unwrap();
    let about = |one: &&Value| one["target"] == "/properties/enableFips";
    let warning = warnings
        .iter()
        .find(about)
        .expect("FIPS mode is not served");
    assert_eq!(warning["severity"], "warning");
    assert_eq!(put.header("gateway-warnings"), warnings.len().to_string());
    let read = get(&api, "/v1/config").await;
    assert_eq!(read.header("gateway-warnings"), warnings.len().to_string());
}

#[tokio::test]
async fn secrets_never_come_out() {
    let (_, api) = api(Fake::with(&document()));
    let certificate = "/v1/sslCertificates/cert";
    let bad = format!(r#"{{"properties":{{"data":"{KEY}","password":"{SECRET}","data":7}}}}"#);
    let mut answers = vec![
        get(&api, "/v1/config").await,
        get(&api, "/v1/sslCertificates").await,
        get(&api, certificate).await,
        ask(&api, "PUT", "/v1/config", &[], &document()).await,
        ask(&api, "PUT", certificate, &[], &bad).await,
        ask(
            &api,
            "PUT",
            certificate,
            &[],
            &bad.replace(",\"data\":7", ","),
        )
        .await,
        ask(
            &api,
            "PUT",
            certificate,
            &[],
            &format!("{{\"password\": \"{SECRET}\" {KEY}"),
        )
        .await,
    ];
    answers.push(
        ask(
            &api,
            "DELETE",
            &format!("{certificate}?dryRun=true"),
            &[],
            "",
        )
        .await,
    );
    for answer in answers {
        let headers = format!("{:?}", answer.headers);
        for secret in [SECRET, KEY, "hunter2"] {
            assert!(!answer.text.contains(secret), "{}", answer.text);
            assert!(!headers.contains(secret), "{headers}");
        }
    }
}

#[tokio::test]
async fn a_new_secret_is_a_change_although_it_does_not_show() {
    let (_, api) = api(Fake::with(&document()));
    let certificate = "/v1/sslCertificates/cert";
    let before = get(&api, certificate).await;
    let renewed = json!({ "properties": { "data": "bmV3LWtleQ==", "password": SECRET } });
    let put = ask(&api, "PUT", certificate, &[], &renewed.to_string()).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text);
    let change = json!([{ "resource": "sslCertificates/cert", "change": "replaced" }]);
    assert_eq!(put.json()["changes"], change);
    assert_ne!(put.header("etag"), before.header("etag"));
    let after = get(&api, certificate).await;
    assert_eq!(after.text, before.text);
    assert_eq!(after.header("etag"), put.header("etag"));
}

#[tokio::test]
async fn what_the_process_refuses_has_its_status() {
    let rows = [
        (
            ApplyError::ReadOnly {
                file: "/etc/gw.json".into(),
            },
            409,
            "ConfigurationReadOnly",
        ),
        (
            ApplyError::Bind {
                address: "0.0.0.0:80".into(),
                reason: "in use".into(),
            },
            409,
            "AddressNotAvailable",
        ),
        (
            ApplyError::Store {
                reason: "disk full".into(),
            },
            500,
            "StoreFailed",
        ),
        (ApplyError::ShuttingDown, 503, "ShuttingDown"),
        (
            ApplyError::PreconditionFailed { current: None },
            412,
            "PreconditionFailed",
        ),
    ];
    for (error, status, code) in rows {
        let (fake, api) = api(Fake::with(&document()));
        *fake.refuse.lock().unwrap() = Some(error);
        let answer = ask(&api, "PUT", WEB, &[], &pool("10.0.0.9")).await;
        assert_eq!(answer.status, status, "{code}");
        assert_eq!(answer.code(), code);
        assert_eq!(answer.header("etag"), "");
    }
}
