//! The description and the thing described are the same.

use expectorate::assert_contents;
use gateway_admin::openapi;
use serde_json::Value;

use crate::fake::{Fake, api, ask, get};

/// Names a client may put in the place of a parameter.
fn concrete(path: &str) -> String {
    let path = path.replace("{name}", "some").replace("{id}", "0-1");
    path.replace("{pool}", "some")
        .replace("{address}", "10.0.0.4")
}

#[test]
fn the_checked_in_copy_is_current() {
    let mut text = serde_json::to_string_pretty(&openapi()).unwrap();
    text.push('\n');
    assert_contents("../openapi/gateway-admin.json", &text);
}

#[tokio::test]
async fn openapi_json_is_the_description() {
    let (_, api) = api(Fake::default());
    let served = get(&api, "/openapi.json").await.json();
    assert_eq!(served, serde_json::to_value(openapi()).unwrap());
}

/// `Allow` of a method that no path has tells what the router serves.
#[tokio::test]
async fn every_path_serves_exactly_the_methods_described() {
    let (_, api) = api(Fake::default());
    for (path, item) in openapi().paths.paths {
        let mut described = Vec::new();
        let methods = [
            ("GET", item.get.is_some()),
            ("HEAD", item.get.is_some()),
            ("PUT", item.put.is_some()),
            ("DELETE", item.delete.is_some()),
            ("POST", item.post.is_some()),
        ];
        described.extend(methods.iter().filter(|(_, is)| *is).map(|(name, _)| *name));
        let answer = ask(&api, "TRACE", &concrete(&path), &[], "").await;
        assert_eq!(answer.status, 405, "{path} is not served");
        assert_eq!(answer.header("allow"), described.join(","), "{path}");
        assert!(item.patch.is_none(), "{path}");
    }
}

/// What can happen to a write is described for each.
#[test]
fn every_operation_has_its_errors_and_its_headers() {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{at}: {id} twice");
            assert!(operation["summary"].is_string(), "{at}");
            assert_eq!(operation["tags"].as_array().unwrap().len(), 1, "{at}");
            let responses = operation["responses"].as_object().unwrap();
            for status in needed(path, method) {
                assert!(responses.contains_key(*status), "{at} lacks {status}");
            }
            for response in responses.values().filter(|one| one.get("$ref").is_none()) {
                assert!(response["headers"]["Gateway-Revision"].is_object(), "{at}");
            }
        }
    }
}

fn needed(path: &str, method: &str) -> &'static [&'static str] {
    match (path, method) {
        ("/healthz", _) => &["200", "403", "421", "500"],
        ("/readyz", _) => &["200", "403", "421", "500", "503"],
        ("/v1/config", "get") => &["200", "304", "400", "401", "404", "412"],
        ("/v1/connections", _) => &["200", "400", "401", "403", "421", "500"],
        ("/v1/connections:close", _) => &["202", "400", "401", "408", "413", "415"],
        ("/v1/connections/{id}", "delete") => &["202", "400", "401", "404"],
        ("/v1/drains/{id}", _) => &["200", "401", "404"],
        (_, "put") => &[
            "200", "201", "400", "401", "403", "408", "409", "412", "413", "415", "421", "500",
            "503",
        ],
        (_, "delete") => &["200", "204", "400", "401", "404", "409", "412", "503"],
        _ => &["401", "403", "421", "500"],
    }
}

/// Every reference leads somewhere.
#[test]
fn no_reference_dangles() {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(to)) = members.get("$ref") {
                    found.push(to.clone());
                }
                members.values().for_each(|member| walk(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = serde_json::to_value(openapi()).unwrap();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}
