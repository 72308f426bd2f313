//! Edits: one resource or the whole document, secrets kept, problems placed where the writer looks.

use gateway_core::config::{CertificateSource, ConfigProblem, parse};
use gateway_core::resource::{
    ApplicationGateway, Collection, Edit, EditError, Edited, JsonTree, apply_edit, from_stored,
};
use serde_json::{Value, json};

use crate::hostile::whole;

fn document() -> ApplicationGateway {
    parse(&JsonTree::from_value(&whole()).unwrap())
        .unwrap()
        .document
}

fn put(collection: Collection, name: &str, body: &str) -> Result<Edited, EditError> {
    let edit = Edit::Put {
        collection,
        name: name.to_owned(),
        body: JsonTree::parse(body).unwrap(),
    };
    apply_edit(Some(&document()), &edit)
}

fn delete(collection: Collection, name: &str) -> Result<Edited, EditError> {
    let edit = Edit::Delete {
        collection,
        name: name.to_owned(),
    };
    apply_edit(Some(&document()), &edit)
}

fn refused(result: Result<Edited, EditError>) -> Vec<ConfigProblem> {
    match result {
        Err(EditError::Invalid(problems)) => problems.0,
        other => panic!("not refused: {other:?}"),
    }
}

fn secrets_of(edited: &Edited) -> (Vec<u8>, Vec<u8>) {
    match &edited.parsed.config.certificates[&"cert".into()].source {
        CertificateSource::Pfx { data, password } => {
            (data.expose().to_vec(), password.expose().to_vec())
        }
        CertificateSource::File { .. } => panic!("a file"),
    }
}

#[test]
fn a_put_replaces_its_namesake_or_adds() {
    let body = r#"{ "properties": { "backendAddresses": [{ "ipAddress": "10.0.0.1" }] } }"#;
    let edited = put(Collection::BackendAddressPools, "WEB", body).unwrap();
    assert!(!edited.created);
    assert_eq!(edited.parsed.config.pools.len(), 1);
    assert_eq!(edited.parsed.config.pools[&"web".into()].targets.len(), 1);

    let edited = put(Collection::BackendAddressPools, "api", body).unwrap();
    assert!(edited.created);
    assert_eq!(
        edited
            .parsed
            .document
            .names(Collection::BackendAddressPools),
        ["web", "api"]
    );
}

#[test]
fn a_document_can_be_built_from_nothing_one_resource_at_a_time() {
    let mut current: Option<ApplicationGateway> = None;
    for &collection in &[
        Collection::FrontendIpConfigurations,
        Collection::FrontendPorts,
        Collection::SslCertificates,
        Collection::TrustedRootCertificates,
        Collection::BackendAddressPools,
        Collection::Probes,
        Collection::BackendHttpSettingsCollection,
        Collection::HttpListeners,
        Collection::RequestRoutingRules,
    ] {
        let resources = whole()["properties"][collection.wire_name()].clone();
        for body in resources.as_array().unwrap() {
            let edit = Edit::Put {
                collection,
                name: body["name"].as_str().unwrap().to_owned(),
                body: JsonTree::from_value(body).unwrap(),
            };
            let edited = apply_edit(current.as_ref(), &edit).unwrap();
            assert!(edited.created);
            current = Some(edited.parsed.document);
        }
    }
    assert_eq!(
        current.unwrap().properties.http_listeners,
        document().properties.http_listeners
    );
}

#[test]
fn problems_of_a_put_are_placed_in_what_was_sent() {
    let body = "{\n  \"properties\": { \"Port\": 0, \"protocol\": \"Http\" }\n}";
    let problems = refused(put(
        Collection::BackendHttpSettingsCollection,
        "plain",
        body,
    ));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_eq!(problems[0].pointer, "/properties/Port");
    let position = problems[0].position.unwrap();
    assert_eq!((position.line, position.column), (2, 27));
    assert_eq!(&body[problems[0].span.clone().unwrap()], "0");
}

#[test]
fn problems_that_a_put_makes_elsewhere_say_so() {
    let body = r#"{ "properties": { "frontendIPConfiguration": { "id": "local" },
        "frontendPort": { "id": "p80" }, "protocol": "Http" } }"#;
    let problems = refused(put(Collection::HttpListeners, "again", body));
    assert_eq!(problems[0].code, "DuplicateBasicListener");
    assert_eq!(problems[0].pointer, "");

    // The listener put first in the list makes the second one wrong.
    let body = r#"{ "properties": { "frontendIPConfiguration": { "id": "local" },
        "frontendPort": { "id": "p443" }, "protocol": "Http" } }"#;
    let problems = refused(put(Collection::HttpListeners, "http", body));
    assert_eq!(
        problems[0].pointer,
        "/properties/httpListeners/1/properties/protocol"
    );
    assert!(
        problems[0]
            .message
            .starts_with("elsewhere in the document: ")
    );
    assert_eq!(problems[0].position, None);
}

#[test]
fn the_name_in_the_body_must_be_that_of_the_address() {
    let problems = refused(put(
        Collection::FrontendPorts,
        "p80",
        "{ \"Name\": \"p81\" }",
    ));
    assert_eq!(
        (problems[0].code, &*problems[0].pointer),
        ("NameMismatch", "/Name")
    );
    assert_eq!(problems[0].position.unwrap().column, 11);
    let body = r#"{ "name": "P80", "properties": { "port": 80 } }"#;
    assert!(put(Collection::FrontendPorts, "p80", body).is_ok());
}

#[test]
fn a_certificate_without_data_keeps_its_key() {
    let kept = (vec![0, 1, 2], b"geheim".to_vec());
    let edited = put(Collection::SslCertificates, "Cert", "{}").unwrap();
    assert_eq!(secrets_of(&edited), kept);

    // What GET shows can be put back whole.
    let shown = serde_json::to_value(document()).unwrap();
    assert!(!shown.to_string().contains("geheim") && !shown.to_string().contains("AAEC\",\"p"));
    let edit = Edit::Replace(JsonTree::from_value(&shown).unwrap());
    let edited = apply_edit(Some(&document()), &edit).unwrap();
    assert_eq!(secrets_of(&edited), kept);
    assert_eq!(edited.parsed.document, document());

    // New bytes come with their own password or with none.
    let body = r#"{ "properties": { "data": "AwQF" } }"#;
    let edited = put(Collection::SslCertificates, "cert", body).unwrap();
    assert_eq!(secrets_of(&edited), (vec![3, 4, 5], vec![]));

    // A file in place of the bytes drops them.
    let body = r#"{ "properties": { "keyVaultSecretId": "file:///c.pem" } }"#;
    let edited = put(Collection::SslCertificates, "cert", body).unwrap();
    let certificate = &edited
        .parsed
        .document
        .properties
        .ssl_certificates
        .as_ref()
        .unwrap()[0];
    assert_eq!(certificate.properties.data, None);
    assert_eq!(certificate.properties.password, None);
}

#[test]
fn what_is_referred_to_cannot_go_and_all_referrers_are_named() {
    let problems = refused(delete(Collection::BackendAddressPools, "web"));
    assert_eq!(problems[0].code, "ResourceInUse");
    assert_eq!(problems[0].pointer, "/properties/backendAddressPools/0");
    assert!(
        problems[0]
            .message
            .ends_with("used by requestRoutingRules/r1, requestRoutingRules/r2"),
        "{}",
        problems[0].message
    );
    let edited = delete(Collection::RequestRoutingRules, "R1").unwrap();
    assert_eq!(
        edited
            .parsed
            .document
            .names(Collection::RequestRoutingRules),
        ["r2"]
    );
    assert!(matches!(
        delete(Collection::Probes, "none"),
        Err(EditError::NotFound {
            collection: "probes",
            ..
        })
    ));
}

#[test]
fn secrets_never_show() {
    let document = document();
    let tree = JsonTree::from_value(&whole()).unwrap();
    let (stored, blobs) = document.to_stored();
    let shown = [
        serde_json::to_string(&document).unwrap(),
        format!("{document:?} {tree:?} {blobs:?}"),
        stored.to_string(),
        document
            .resource(Collection::SslCertificates, "cert")
            .unwrap()
            .to_string(),
        format!("{:?}", parse(&tree).unwrap()),
    ];
    for text in shown {
        assert!(!text.contains("geheim"), "{text}");
    }
}

#[test]
fn a_stored_document_comes_back_with_its_secrets() {
    let (stored, blobs) = document().to_stored();
    assert_eq!(blobs.len(), 1);
    let tree = from_stored(stored.clone(), |hash| {
        (hash == blobs[0].hash).then(|| blobs[0].bytes.clone())
    });
    assert_eq!(parse(&tree.unwrap()).unwrap().document, document());
    assert!(from_stored(stored.clone(), |_| None).is_err());
    assert!(from_stored(stored, |_| Some(b"{}".to_vec())).is_err());
}

#[test]
fn tags_change_with_what_they_stand_for_and_with_nothing_else() {
    let tag_after = |pointer: &str, value: Value| {
        let mut changed = whole();
        *changed.pointer_mut(pointer).unwrap() = value;
        parse(&JsonTree::from_value(&changed).unwrap())
            .unwrap()
            .document
    };
    let before = document();
    let pool = |document: &ApplicationGateway| {
        document
            .resource_etag(Collection::BackendAddressPools, "web")
            .unwrap()
    };
    let cert = |document: &ApplicationGateway| {
        document
            .resource_etag(Collection::SslCertificates, "cert")
            .unwrap()
    };

    let after = tag_after("/properties/frontendPorts/0/properties/port", json!(81));
    assert_ne!(before.etag(), after.etag());
    assert_eq!((pool(&before), cert(&before)), (pool(&after), cert(&after)));

    let at = "/properties/sslCertificates/0/properties";
    let mut seen = std::collections::BTreeSet::new();
    for secret in [
        json!({ "data": "AAEC", "password": "other" }),
        json!({ "data": "AAED", "password": "geheim" }),
        json!({ "data": "AAEC" }),
        json!({ "keyVaultSecretId": "file:///c.pfx", "password": "a" }),
        json!({ "keyVaultSecretId": "file:///c.pfx", "password": "b" }),
    ] {
        let after = tag_after(at, secret);
        assert!(seen.insert(cert(&after)));
        assert_ne!(cert(&before), cert(&after));
        assert_ne!(before.etag(), after.etag());
        assert_ne!(
            before.collection_etag(Collection::SslCertificates),
            after.collection_etag(Collection::SslCertificates)
        );
    }
    assert_eq!(before.resource_etag(Collection::Probes, "none"), None);
}
