//! What is wrong with a document, and what is said of it: a good document, one thing broken in it,
//! and the problems that must come of that and no others.

mod backends;
mod listeners;
mod references;
mod rules;
mod shape;
mod websocket;

use gateway_core::config::{ConfigProblem, Severity, parse};
use gateway_core::resource::JsonTree;
use serde_json::Value;

use crate::hostile::whole;

/// What is broken, by pointer; `null` takes it away.
type Changes = Vec<(&'static str, Value)>;

/// A problem: severity, code, pointer, and a part of message and remedy.
type Expected = (
    Severity,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const ERRORS: &str = include_str!("../../../docs/errors.md");

const ERROR: Severity = Severity::Error;
const WARNING: Severity = Severity::Warning;

fn put(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(elements) if name == "-" => elements.push(value),
        Value::Array(elements) => elements[name.parse::<usize>().unwrap()] = value,
        parent if value.is_null() => {
            parent.as_object_mut().unwrap().remove(name);
        }
        parent => parent[name] = value,
    }
}

fn problems(changes: &Changes) -> Vec<ConfigProblem> {
    let mut document = whole();
    for (pointer, value) in changes {
        put(&mut document, pointer, value.clone());
    }
    let text = serde_json::to_string_pretty(&document).unwrap();
    let problems = match parse(&JsonTree::parse(&text).unwrap()) {
        Ok(parsed) => parsed.warnings,
        Err(problems) => problems.0,
    };
    for problem in &problems {
        assert!(problem.remedy.is_some(), "{problem:#?}");
        let code = format!("`{}`", problem.code);
        assert!(ERRORS.contains(&code), "docs/errors.md lacks {code}");
        let span = problem.span.clone().unwrap();
        let position = problem.position.unwrap();
        assert_eq!(text[..span.start].matches('\n').count() + 1, position.line);
    }
    problems
}

fn check(rows: Vec<(Changes, Vec<Expected>)>) {
    for (changes, expected) in rows {
        let mut found = problems(&changes);
        let mut expected = expected;
        found.sort_by(|a, b| (&a.pointer, a.code).cmp(&(&b.pointer, b.code)));
        expected.sort_by_key(|problem| (problem.2, problem.1));
        assert_eq!(found.len(), expected.len(), "{changes:?}: {found:#?}");
        for (found, (severity, code, pointer, message, remedy)) in found.iter().zip(expected) {
            let seen = (found.severity, found.code, &*found.pointer);
            assert_eq!(seen, (severity, code, pointer), "{changes:?}: {found:#?}");
            assert!(found.message.contains(message), "{changes:?}: {found:#?}");
            let said = found.remedy.as_deref().unwrap();
            assert!(said.contains(remedy), "{changes:?}: {found:#?}");
        }
    }
}

#[test]
fn what_is_marked_is_what_is_wrong() {
    let rows = [
        (
            r#"{"name": "a", "Name": "b"}"#,
            "DuplicateProperty",
            r#""Name""#,
        ),
        (
            r#"{"name": "a", "properties": {"probes": [], "Probes": []}}"#,
            "DuplicateProperty",
            r#""Probes""#,
        ),
        (
            r#"{"properties": {"requestRoutingRules": [{"name": "r", "properties": {"httpListener": {"id": "web')]"}}}]}}"#,
            "StrayCharacters",
            "')]",
        ),
        // Where a character is escaped, the whole id.
        (
            r#"{"properties": {"requestRoutingRules": [{"name": "r", "properties": {"httpListener": {"id": "web\u0027"}}}]}}"#,
            "StrayCharacters",
            r#""web\u0027""#,
        ),
    ];
    for (text, code, marked) in rows {
        let found = match parse(&JsonTree::parse(text).unwrap()) {
            Ok(parsed) => parsed.warnings,
            Err(problems) => problems.0,
        };
        let problem = found.iter().find(|problem| problem.code == code).unwrap();
        assert_eq!(&text[problem.span.clone().unwrap()], marked, "{text}");
    }
}
