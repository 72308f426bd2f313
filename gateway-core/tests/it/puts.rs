//! A put or delete of one resource, which reads only that, against its definition: the whole document
//! with that resource in its place, read and checked as any other.

use gateway_core::config::{ConfigProblem, ConfigProblems, Parsed, parse};
use gateway_core::resource::{
    ApplicationGateway, Collection, Edit, EditError, JsonTree, apply_edit,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::hostile::{places, scalar, value, whole};

/// The document as it was read, secrets included.
fn written(document: &ApplicationGateway) -> Value {
    let (mut value, blobs) = document.to_stored();
    let certificates = value.pointer_mut("/properties/sslCertificates");
    for certificate in certificates
        .into_iter()
        .flat_map(Value::as_array_mut)
        .flatten()
    {
        let properties = certificate["properties"].as_object_mut().unwrap();
        if let Some(hash) = properties.remove("secret") {
            let blob = blobs.iter().find(|blob| hash == *blob.hash).unwrap();
            let secrets: Value = serde_json::from_slice(&blob.bytes).unwrap();
            properties.extend(secrets.as_object().unwrap().clone());
        }
    }
    value
}

/// The resources of a collection, which is made if it is not there.
fn resources(document: &mut Value, collection: Collection) -> &mut Vec<Value> {
    let resources = &mut document["properties"][collection.wire_name()];
    if resources.is_null() {
        *resources = json!([]);
    }
    resources.as_array_mut().unwrap()
}

fn checked(document: &Value) -> Result<Parsed, ConfigProblems> {
    parse(&JsonTree::from_value(document)?)
}

/// What a put comes to by its definition, and the pointer of what was put.
fn put_by_definition(
    current: &ApplicationGateway,
    collection: Collection,
    name: &str,
    body: &Value,
) -> (Result<Parsed, ConfigProblems>, String) {
    let mut body = body.clone();
    if let Some(properties) = body.as_object_mut()
        && !properties
            .keys()
            .any(|key| key.eq_ignore_ascii_case("name"))
    {
        properties.insert("name".to_owned(), name.into());
    }
    let names = current.names(collection);
    let stands_at = names
        .iter()
        .position(|known| known.eq_ignore_ascii_case(name));
    let index = stands_at.unwrap_or(names.len());
    let mut document = written(current);
    let resources = resources(&mut document, collection);
    match resources.get_mut(index) {
        Some(place) => *place = body,
        None => resources.push(body),
    }
    let inside = format!("/properties/{collection}/{index}");
    (checked(&document), inside)
}

/// What is told of a problem, wherever it is.
fn told(problem: &ConfigProblem) -> [&str; 3] {
    let message = problem.message.strip_prefix("elsewhere in the document: ");
    let message = message.unwrap_or(&problem.message);
    [problem.code, message, &problem.pointer]
}

/// Sees that `problems`, of an edit, are those `expected` of the whole document.
fn same_problems(problems: &[ConfigProblem], expected: &[ConfigProblem], inside: &str) {
    let expected = expected.iter().map(|problem| {
        let [code, message, pointer] = told(problem);
        let own = pointer.strip_prefix(inside);
        let own = own.filter(|rest| rest.is_empty() || rest.starts_with('/'));
        [code, message, own.unwrap_or(pointer)]
    });
    let problems: Vec<_> = problems.iter().map(told).collect();
    assert_eq!(problems, expected.collect::<Vec<_>>());
}

fn same_outcome(
    edited: Result<gateway_core::resource::Edited, EditError>,
    expected: Result<Parsed, ConfigProblems>,
    inside: &str,
) {
    match (edited, expected) {
        (Ok(edited), Ok(expected)) => {
            assert_eq!(edited.parsed.document, expected.document);
            assert_eq!(edited.parsed.config, expected.config);
            same_problems(&edited.parsed.warnings, &expected.warnings, inside);
        }
        (Err(EditError::Invalid(problems)), Err(expected)) => {
            same_problems(&problems.0, &expected.0, inside);
        }
        (edited, expected) => panic!("{edited:?}, where {expected:?} was expected"),
    }
}

fn put(current: &ApplicationGateway, collection: Collection, name: &str, body: &Value) {
    let edit = Edit::Put {
        collection,
        name: name.to_owned(),
        body: JsonTree::from_value(body).unwrap(),
    };
    let (expected, inside) = put_by_definition(current, collection, name, body);
    same_outcome(apply_edit(Some(current), &edit), expected, &inside);
}

/// The name that a body has, or `other`.
fn name_in(body: &Value, other: &str) -> String {
    let properties = body.as_object().into_iter().flatten();
    let mut names = properties.filter(|(key, _)| key.eq_ignore_ascii_case("name"));
    let name = names.next().and_then(|(_, name)| name.as_str());
    name.unwrap_or(other).to_owned()
}

/// Much that is accepted with a warning.
fn warned_of() -> Value {
    let mut document = whole();
    let properties = document["properties"].as_object_mut().unwrap();
    let more = json!({
        "sslPolicy": { "policyType": "Predefined" },
        "enableHttp2": true,
        "autoscaleConfiguration": { "minCapacity": 1 },
        "sslProfiles": [{ "name": "profile" }],
        "rewriteRuleSets": [{ "name": "-odd-" }],
        "redirectConfigurations": [{ "name": "elsewhere" }],
        "entraJWTValidationConfigs": [{ "name": "tokens", "properties": { "probe": { "id": "health" } } }],
        "urlPathMaps": [{ "name": "paths", "properties": {
            "defaultBackendAddressPool": { "id": "web" },
            "defaultBackendHttpSettings": { "id": "plain" },
            "pathRules": [{ "name": "a", "properties": { "paths": ["/a"] } }]
        } }],
        "loadDistributionPolicies": [{ "name": "even", "properties": {
            "loadDistributionTargets": [{ "name": "t" }], "slowStartInSec": 5
        } }]
    });
    properties.extend(more.as_object().unwrap().clone());
    let pool = json!({ "name": "twice", "properties": { "backendAddresses": [
        { "ipAddress": "10.0.0.1" }, { "ipAddress": "10.0.0.1" }
    ] } });
    resources(&mut document, Collection::BackendAddressPools).push(pool);
    let frontend =
        json!({ "name": "any", "properties": { "privateIPAllocationMethod": "Dynamic" } });
    resources(&mut document, Collection::FrontendIpConfigurations).push(frontend);
    let listener = json!({ "name": "idle", "properties": {
        "frontendIPConfiguration": { "id": "any" }, "frontendPort": { "id": "p80" },
        "protocol": "Http", "sslProfile": { "id": "profile" }, "requireServerNameIndication": true
    } });
    resources(&mut document, Collection::HttpListeners).push(listener);
    document
}

#[test]
fn each_resource_put_as_it_is() {
    for document in [whole(), warned_of()] {
        let current = checked(&document).unwrap().document;
        for &collection in Collection::ALL {
            for body in resources(&mut document.clone(), collection) {
                put(&current, collection, &name_in(body, ""), body);
                body["name"] = "new".into();
                put(&current, collection, "NEW", body);
            }
        }
    }
    let warnings = checked(&warned_of()).unwrap().warnings.len();
    assert!(warnings >= 10, "{warnings}");
}

#[test]
fn each_resource_that_nothing_refers_to_deleted() {
    let document = warned_of();
    let current = checked(&document).unwrap().document;
    let mut deleted = 0;
    for &collection in Collection::ALL {
        for name in current.names(collection) {
            let name = name.to_owned();
            let edit = Edit::Delete {
                collection,
                name: name.to_uppercase(),
            };
            let mut without = document.clone();
            resources(&mut without, collection).retain(|body| body["name"] != *name);
            match (apply_edit(Some(&current), &edit), checked(&without)) {
                (edited @ Ok(_), expected @ Ok(_)) => {
                    same_outcome(edited, expected, "nothing");
                    deleted += 1;
                }
                (edited, expected) => {
                    assert!(edited.is_err() && expected.is_err(), "{collection}/{name}");
                }
            }
        }
    }
    assert!(deleted > 5, "{deleted}");
}

proptest! {
    #[test]
    fn a_put_is_judged_as_the_whole_document_would_be(
        change in any::<Index>(),
        into in scalar(),
        collection in select(Collection::ALL),
        resource in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), value()), 0..3),
        name in select(&["web", "HTTP", "p80", "health", "plain", "r1", "root", "new"]),
    ) {
        let mut document = whole();
        let mut found = Vec::new();
        places(&document, "", &mut found);
        let pointer: &String = change.get(&found);
        *document.pointer_mut(pointer).unwrap() = into;
        let Ok(Ok(current)) = JsonTree::from_value(&document).map(|tree| parse(&tree)) else {
            return Ok(());
        };
        let known = resources(&mut whole(), collection).clone();
        let mut body = match known.is_empty() {
            true => json!({}),
            false => resource.get(&known).clone(),
        };
        for (place, value) in changes {
            let mut found = Vec::new();
            places(&body, "", &mut found);
            let pointer: &String = place.get(&found);
            *body.pointer_mut(pointer).unwrap() = value;
        }
        let name = name_in(&body, name);
        // A certificate without its data keeps what its namesake has: another test's matter.
        if collection == Collection::SslCertificates && body["properties"]["data"].is_null() {
            return Ok(());
        }
        // Names that no URL has.
        if name.is_empty() || JsonTree::from_value(&body).is_err() {
            return Ok(());
        }
        put(&current.document, collection, &name, &body);
    }
}
