use super::*;

fn tree(text: &str) -> JsonTree {
    JsonTree::parse(text).unwrap()
}

fn shown<'t>(text: &'t str, pointer: &str) -> (String, Option<&'t str>) {
    let (spelled, span) = tree(text).locate(pointer);
    (spelled, span.map(|span| &text[span]))
}

#[test]
fn places_are_found_in_any_case_and_shown_where_a_reader_looks() {
    let text =
        r#"{ "Properties": { "probes": [ { "Name": "p", "x": { "y": 1 } } ], "a/b~": true } }"#;
    let rows = [
        ("", "", "{"),
        ("/properties", "/Properties", "{"),
        ("/PROPERTIES/A~1B~0", "/Properties/a~1b~0", "true"),
        ("/properties/probes", "/Properties/probes", "["),
        // A resource is shown by its name, and what is missing in it too.
        ("/properties/probes/0", "/Properties/probes/0", "\"p\""),
        ("/properties/probes/0/x/y", "/Properties/probes/0/x/y", "1"),
        (
            "/properties/probes/0/x/z",
            "/Properties/probes/0/x/z",
            "\"p\"",
        ),
        (
            "/properties/probes/0/q/r",
            "/Properties/probes/0/q/r",
            "\"p\"",
        ),
        ("/properties/probes/7/q", "/Properties/probes/7/q", "["),
        (
            "/properties/probes/0/x/y/z",
            "/Properties/probes/0/x/y/z",
            "1",
        ),
    ];
    for (pointer, spelled, span) in rows {
        assert_eq!(
            shown(text, pointer),
            (spelled.to_owned(), Some(span)),
            "{pointer}"
        );
    }
}

#[test]
fn what_is_not_json_is_refused_at_its_place() {
    let rows = [
        ("", 1, 1),
        ("{", 1, 1),
        ("{\n  \"é\": tru }", 2, 8),
        ("{ 'a': 1 }", 1, 3),
        ("{ a: 1 }", 1, 3),
        ("[1 2]", 1, 3),
        ("[0x10]", 1, 2),
        ("[1] []", 1, 5),
        ("\"\\ud800\"", 1, 2),
        ("[1e999]", 1, 2),
    ];
    for (text, line, column) in rows {
        let problems = JsonTree::parse(text).unwrap_err().0;
        assert_eq!(problems.len(), 1);
        let position = problems[0].position.unwrap();
        assert_eq!(problems[0].code, "InvalidJson", "{text:?}");
        assert_eq!((position.line, position.column), (line, column), "{text:?}");
    }
}

#[test]
fn comments_trailing_commas_and_a_byte_order_mark_are_taken() {
    let text = "\u{feff}// one\r\n{ /* two */ \"a\": [1, 2,], }";
    let tree = tree(text);
    assert_eq!(tree.root.to_value(), serde_json::json!({ "a": [1, 2] }));
    let (_, span) = tree.locate("/a/1");
    assert_eq!(&text[span.unwrap()], "2");
}

#[test]
fn a_tree_of_a_value_is_the_tree_of_its_text_without_places() {
    let value = serde_json::json!({ "a": [null, true, 1.5, "x", {}], "b": -3 });
    let tree = JsonTree::from_value(&value).unwrap();
    assert_eq!(tree.root.to_value(), value);
    assert_eq!(tree.locate("/a/0"), ("/a/0".to_owned(), None));
}
