//! Types of values and names of resources.

use serde_json::json;

use super::{ERROR, WARNING, check};

#[test]
fn types_and_names() {
    check(vec![
        (
            vec![("/properties/frontendPorts/0/properties/port", json!("80"))],
            vec![(
                ERROR,
                "PropertyTypeMismatch",
                "/properties/frontendPorts/0/properties/port",
                "`port` is a string, where a whole number belongs",
                "write a whole number",
            )],
        ),
        (
            vec![("/properties/frontendPorts/0/properties/port", json!(-1))],
            vec![(
                ERROR,
                "InvalidPropertyValue",
                "/properties/frontendPorts/0/properties/port",
                "`port` is -1",
                "whole number",
            )],
        ),
        (
            vec![("/properties/frontendPorts/0/properties", json!([]))],
            vec![(
                ERROR,
                "PropertyTypeMismatch",
                "/properties/frontendPorts/0/properties",
                "`properties` is an array",
                "an object",
            )],
        ),
        // Nothing else is said of what refers into a list that cannot be read.
        (
            vec![("/properties/frontendPorts", json!({}))],
            vec![(
                ERROR,
                "PropertyTypeMismatch",
                "/properties/frontendPorts",
                "`frontendPorts` is an object",
                "an array",
            )],
        ),
        (
            vec![(
                "/properties/httpListeners/0/properties/protocol",
                json!("Htp"),
            )],
            vec![(
                ERROR,
                "InvalidPropertyValue",
                "/properties/httpListeners/0/properties/protocol",
                "`protocol` cannot be `Htp`",
                "did you mean `Http`?",
            )],
        ),
        (
            vec![("/properties/httpListeners/0/properties/hostNme", json!("a"))],
            vec![(
                WARNING,
                "UnknownProperty",
                "/properties/httpListeners/0/properties/hostNme",
                "`hostNme` is not known here",
                "did you mean `hostName`?",
            )],
        ),
        (
            vec![("/properties/httpListeners/0/hostName", json!("a"))],
            vec![(
                WARNING,
                "UnknownProperty",
                "/properties/httpListeners/0/hostName",
                "`hostName`",
                "belongs inside `properties`",
            )],
        ),
        (
            vec![(
                "/properties/httpListeners/0/properties/PROTOCOL",
                json!("Http"),
            )],
            vec![(
                ERROR,
                "DuplicateProperty",
                // Whichever comes second is named; either spelling finds the first.
                "/properties/httpListeners/0/properties/PROTOCOL",
                "is given twice",
                "without regard to case",
            )],
        ),
        (
            vec![(
                "/properties/frontendPorts/-",
                json!({ "name": "P80", "properties": { "port": 9 } }),
            )],
            vec![(
                ERROR,
                "DuplicateResourceName",
                "/properties/frontendPorts/2/name",
                "frontendPorts/P80 is there twice, at positions 0 and 2",
                "rename",
            )],
        ),
        (
            vec![("/properties/backendAddressPools/-", json!({}))],
            vec![(
                ERROR,
                "MissingProperty",
                "/properties/backendAddressPools/1/name",
                "backendAddressPools[1] has no `name`",
                "give it a name",
            )],
        ),
        (
            // No client can ask for it: `/v1/backendAddressPools/..` is `/v1/`.
            vec![("/properties/backendAddressPools/-", json!({ "name": ".." }))],
            vec![(
                ERROR,
                "InvalidResourceName",
                "/properties/backendAddressPools/1/name",
                "`..` cannot be a name",
                "letters, digits",
            )],
        ),
        (
            vec![(
                "/properties/backendAddressPools/-",
                json!({ "name": "a/b" }),
            )],
            vec![(
                ERROR,
                "InvalidResourceName",
                "/properties/backendAddressPools/1/name",
                "`a/b` cannot be a name",
                "at most 80",
            )],
        ),
        (
            vec![(
                "/properties/httpListeners/0/properties/hostName",
                json!("[parameters('h')]"),
            )],
            vec![(
                ERROR,
                "TemplateExpression",
                "/properties/httpListeners/0/properties/hostName",
                "`[parameters('h')]` is a template expression",
                "write the value",
            )],
        ),
    ]);
}
