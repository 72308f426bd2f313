//! References between resources.

use serde_json::{Value, json};

use super::{ERROR, WARNING, check};

#[test]
fn references() {
    let listener = "/properties/requestRoutingRules/0/properties/httpListener";
    let id = "/properties/requestRoutingRules/0/properties/httpListener/id";
    let refers = |text: &str| vec![(listener, json!({ "id": text }))];
    check(vec![
        (refers("HTTP"), vec![]),
        // One problem, and nothing of a dangling reference.
        (
            refers("[resourceId('x', 'y')]"),
            vec![(
                ERROR,
                "TemplateExpression",
                id,
                "which only Azure evaluates",
                "the value",
            )],
        ),
        (refers("httplisteners/http"), vec![]),
        (
            refers(
                "/subscriptions/s/resourceGroups/g/providers/microsoft.network/applicationgateways/x/httpListeners/http')]",
            ),
            vec![(
                WARNING,
                "StrayCharacters",
                id,
                "`')]` at the end",
                "remove it",
            )],
        ),
        (
            refers("htp"),
            vec![(
                ERROR,
                "InvalidResourceReference",
                id,
                "no listener `htp`: requestRoutingRules/r1 refers to httpListeners/htp",
                "did you mean `http`?",
            )],
        ),
        (
            refers("elsewhere"),
            vec![(
                ERROR,
                "InvalidResourceReference",
                id,
                "no listener `elsewhere`",
                "add it to httpListeners",
            )],
        ),
        (
            refers("probes/health"),
            vec![(
                ERROR,
                "InvalidResourceReference",
                id,
                "refers to probes/health here",
                "one of httpListeners",
            )],
        ),
        (
            refers("/subscriptions/x"),
            vec![(
                ERROR,
                "InvalidResourceReference",
                id,
                "which is no id",
                "a full id",
            )],
        ),
        (
            vec![(listener, json!({}))],
            vec![(ERROR, "MissingProperty", id, "has no `id`", "write the id")],
        ),
        (
            vec![(listener, json!("http"))],
            vec![(
                ERROR,
                "PropertyTypeMismatch",
                listener,
                "is a string",
                "{\"id\": \"name\"}",
            )],
        ),
        (
            vec![(listener, Value::Null)],
            vec![(
                ERROR,
                "MissingProperty",
                listener,
                "requestRoutingRules/r1 has no `httpListener`",
                "{\"id\": \"httpListeners/...\"}",
            )],
        ),
    ]);
}
