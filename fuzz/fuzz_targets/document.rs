//! The document parser: whatever a text holds, it ends with a configuration or with problems that have
//! their places in it, and what is accepted is written so that it reads back equal.

#![no_main]

use gateway_core::config::{Config, ConfigProblem, Parsed, apply, diff, parse};
use gateway_core::resource::{JsonTree, from_stored};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let by_text = JsonTree::parse(text).and_then(|tree| parse(&tree));
    match &by_text {
        Ok(parsed) => {
            have_places(&parsed.warnings, text);
            reads_back(parsed);
            differs_by_what_it_says(&parsed.config);
        }
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            have_places(&problems.0, text);
        }
    }
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        two_ways_one_verdict(&value);
    }
});

fn have_places(problems: &[ConfigProblem], text: &str) {
    for problem in problems {
        assert!(!problem.message.is_empty());
        if let Some(span) = &problem.span {
            assert!(
                text.get(span.clone()).is_some(),
                "{problem:?} is beyond the text"
            );
        }
        if let Some(position) = problem.position {
            let line = text.split('\n').nth(position.line - 1);
            let line = line.unwrap_or_else(|| panic!("{problem:?}: no such line"));
            assert!(
                position.column - 1 <= line.chars().count(),
                "{problem:?}: no such column"
            );
        }
    }
}

fn reads_back(parsed: &Parsed) {
    let (stored, blobs) = parsed.document.to_stored();
    let secret = |hash: &str| {
        let blob = blobs.iter().find(|blob| blob.hash == hash);
        blob.map(|blob| blob.bytes.clone())
    };
    let tree = from_stored(stored, secret).expect("what was written is whole");
    let again = parse(&tree).expect("what was accepted is accepted again");
    assert_eq!(again.document, parsed.document);
    assert_eq!(again.config, parsed.config);
    assert_eq!(again.document.etag(), parsed.document.etag());
}

fn differs_by_what_it_says(config: &Config) {
    let nothing = Config::default();
    assert!(diff(config, config).is_empty());
    for (from, to) in [(&nothing, config), (config, &nothing)] {
        let mut changed = from.clone();
        apply(&diff(from, to), &mut changed);
        assert_eq!(&changed, to);
    }
}

/// A value's own text has no comments and no name twice.
fn two_ways_one_verdict(value: &Value) {
    let by_value = JsonTree::from_value(value).and_then(|tree| parse(&tree));
    let by_text = JsonTree::parse(&value.to_string()).and_then(|tree| parse(&tree));
    match (by_value, by_text) {
        (Ok(by_value), Ok(by_text)) => assert_eq!(by_value.config, by_text.config),
        (Err(by_value), Err(by_text)) => assert_eq!(by_value.0.len(), by_text.0.len()),
        (by_value, by_text) => panic!("two verdicts: {by_value:?} and {by_text:?}"),
    }
}
