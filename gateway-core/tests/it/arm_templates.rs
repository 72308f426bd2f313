//! Real templates (`tests/arm-templates`, see its SOURCES.md): every property that they use is
//! known, and what they cannot be read for is only what Azure evaluates before a gateway sees it.

use std::fs;
use std::path::{Path, PathBuf};

use gateway_core::config::{ConfigProblem, parse};
use gateway_core::resource::JsonTree;
use serde_json::Value;

fn template_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            template_files(&path, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
}

/// Every gateway in a file, however deep in nested deployments.
fn gateways(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Object(properties) => {
            let kind = properties.get("type").and_then(Value::as_str);
            if kind.is_some_and(|kind| {
                kind.eq_ignore_ascii_case("Microsoft.Network/applicationGateways")
            }) {
                found.push(value.clone());
            }
            for value in properties.values() {
                gateways(value, found);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|value| gateways(value, found)),
        _ => {}
    }
}

/// `copy`, at any depth, makes one property from each of its elements; here, a list of one.
fn unroll_copies(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(unroll_copies),
        Value::Object(properties) => {
            if let Some(Value::Array(copies)) = properties.remove("copy") {
                for copy in copies {
                    let name = copy["name"].as_str().unwrap().to_owned();
                    properties.insert(name, Value::Array(vec![copy["input"].clone()]));
                }
            }
            properties.values_mut().for_each(unroll_copies);
        }
        _ => {}
    }
}

/// Comments and placeholders of one template's source make it no JSON for serde.
fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    let stripped: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    serde_json::from_str(stripped.trim_start_matches('\u{feff}'))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn problems(gateway: &Value) -> Vec<ConfigProblem> {
    let text = serde_json::to_string_pretty(gateway).unwrap();
    match parse(&JsonTree::parse(&text).unwrap()) {
        Ok(parsed) => parsed.warnings,
        Err(problems) => problems.0,
    }
}

#[test]
fn real_templates_hold_nothing_that_is_unknown() {
    let mut files = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/arm-templates");
    template_files(&folder, &mut files);
    let mut count = 0;
    for path in files {
        let mut found = Vec::new();
        gateways(&read(&path), &mut found);
        for mut gateway in found {
            count += 1;
            unroll_copies(&mut gateway);
            for problem in problems(&gateway) {
                let unexpected = [
                    "UnknownProperty",
                    "PropertyTypeMismatch",
                    "DuplicateProperty",
                ];
                assert!(
                    !unexpected.contains(&problem.code),
                    "{}: {problem:#?}",
                    path.display()
                );
                if problem.code == "InvalidPropertyValue" {
                    panic!("{}: {problem:#?}", path.display());
                }
            }
        }
    }
    assert!(count >= 20, "only {count} gateways were found");
}

/// What Azure's GET answers can be put back as it is, and is served.
#[test]
fn an_answer_of_azure_is_a_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/arm-templates/rest-examples/ApplicationGatewayUpdateTags.json");
    let body = read(&path)["responses"]["200"]["body"].clone();
    let parsed = parse(&JsonTree::from_value(&body).unwrap()).unwrap();
    assert_eq!(parsed.config.rules.len(), 1);
    let codes: Vec<_> = parsed.warnings.iter().map(|warning| warning.code).collect();
    assert_eq!(codes, ["FeatureNotServed"], "{:#?}", parsed.warnings);
}
