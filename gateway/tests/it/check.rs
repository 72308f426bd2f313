//! `gateway check`: its exit codes and what it draws.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use tempfile::tempdir;

use crate::support::{command, document, run};

#[test]
fn a_good_document_is_said_to_be_good() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("good.json");
    fs::write(&path, document(80, &["127.0.0.1:9001".parse().unwrap()])).unwrap();
    let ended = run(&["check", path.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stdout);
    assert_eq!(ended.stdout, format!("{} is good\n", path.display()));
}

#[test]
fn every_problem_is_drawn_where_it_is() {
    let folder = tempdir().unwrap();
    let text = document(80, &[])
        .replace(r#"{"id": "plain"}"#, r#"{"id": "plian"}"#)
        .replace(
            r#""port": 80, "protocol": "Http""#,
            r#""port": 0, "protocol": "Http""#,
        );
    let path = folder.path().join("bad.json");
    fs::write(&path, text).unwrap();
    let mut command = command(&["check", "bad.json"]);
    let output = command.current_dir(folder.path()).output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{report}");
    expect_report(&report);
    let piped = report.contains('\u{1b}');
    assert!(!piped, "colours belong on a terminal: {report}");
}

/// Both errors, each with code, place, the line itself, what is marked, and a remedy.
fn expect_report(report: &str) {
    for part in [
        " --> bad.json:7:",
        r#"7 |     "backendHttpSettingsCollection": [{"name": "plain", "properties": {"port": 0,"#,
        "= note: at /properties/backendHttpSettingsCollection/0/properties/port\n",
        "error[InvalidResourceReference]: ",
        "= note: at /properties/requestRoutingRules/0/properties/backendHttpSettings/id\n",
        "= help: did you mean `plain`?\n",
        "^",
        "bad.json has 2 errors",
    ] {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
}

#[test]
fn certificates_that_cannot_be_read_are_problems_too() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("gateway.json");
    let certificate = r#""sslCertificates": [
      {"name": "site", "properties": {"keyVaultSecretId": "file:site.pem"}}
    ],
    "frontendPorts""#;
    fs::write(
        &path,
        document(80, &[]).replace(r#""frontendPorts""#, certificate),
    )
    .unwrap();
    let ended = run(&["check", path.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
    let place = "/properties/sslCertificates/0/properties/keyVaultSecretId";
    assert!(ended.stdout.contains(place), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("site.pem: No such file"),
        "{}",
        ended.stdout
    );
}

#[test]
fn what_cannot_be_read_is_neither_good_nor_bad() {
    let folder = tempdir().unwrap();
    let binary = folder.path().join("binary");
    fs::write(&binary, [b'{', 0xff, b'}']).unwrap();
    for path in [
        folder.path().join("missing"),
        folder.path().to_owned(),
        binary,
    ] {
        let ended = run(&["check", path.to_str().unwrap()]);
        assert_eq!(ended.status.code(), Some(2), "{}", path.display());
        assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    }
}

#[test]
fn standard_input_and_json() {
    let mut child = command(&["check", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{\"properties\": [}").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["valid"], false);
    assert_eq!(report["problems"][0]["code"], "InvalidJson");
    assert_eq!(report["problems"][0]["severity"], "error");
    assert_eq!(report["problems"][0]["column"], 17);
}
