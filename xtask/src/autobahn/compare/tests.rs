//! What counts as worse, by tables.

use super::*;

fn report(direct: &str, plain: &str, tls: &str) -> Report {
    Report {
        direct: read(direct, "a").unwrap(),
        through: [read(plain, "a").unwrap(), read(tls, "a").unwrap()],
    }
}

fn one(behavior: &str, close: &str) -> String {
    format!(r#"{{"a":{{"7.1.5":{{"behavior":"{behavior}","behaviorClose":"{close}"}}}}}}"#)
}

#[test]
fn worse_is_by_message_or_by_close() {
    let rows = [
        // (direct, through, worse)
        (("OK", "OK"), ("OK", "OK"), false),
        (("OK", "OK"), ("NON-STRICT", "OK"), true),
        (("OK", "OK"), ("OK", "UNCLEAN"), true),
        (("OK", "OK"), ("OK", "WRONG CODE"), true),
        (("OK", "OK"), ("UNIMPLEMENTED", "OK"), true),
        (("NON-STRICT", "OK"), ("OK", "OK"), false),
        (("NON-STRICT", "OK"), ("FAILED", "OK"), true),
        (("FAILED", "WRONG CODE"), ("FAILED", "WRONG CODE"), false),
        (("FAILED", "WRONG CODE"), ("OK", "OK"), false),
        (("FAILED", "WRONG CODE"), ("FAILED", "UNCLEAN"), true),
        (
            ("INFORMATIONAL", "INFORMATIONAL"),
            ("INFORMATIONAL", "FAILED BY CLIENT"),
            true,
        ),
    ];
    for (direct, through, expected) in rows {
        let [direct, through] = [direct, through].map(|(behavior, close)| one(behavior, close));
        for (plain, tls) in [(&through, &direct), (&direct, &through)] {
            let worse = report(&direct, plain, tls).worse();
            assert_eq!(!worse.is_empty(), expected, "{direct} {through}");
        }
    }
}

#[test]
fn a_case_that_did_not_run_is_worse() {
    let worse = report(&one("OK", "OK"), r#"{"a":{}}"#, &one("OK", "OK")).worse();
    let told: Vec<String> = worse.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["7.1.5    plain  not run instead of OK"]);
}

#[test]
fn a_server_that_fails_by_itself_proves_nothing() {
    let direct = |word| report(&one(word, "OK"), &one("OK", "OK"), &one("OK", "OK"));
    assert!(direct("OK").is_telling());
    assert!(direct("INFORMATIONAL").is_telling());
    assert!(!direct("FAILED").is_telling());
    assert!(!direct("UNIMPLEMENTED").is_telling());
    assert!(!report(r#"{"a":{}}"#, r#"{"a":{}}"#, r#"{"a":{}}"#).is_telling());
}

#[test]
fn a_report_that_is_not_understood_is_told() {
    let rows = [
        ("", "EOF"),
        ("{}", "nothing of a"),
        (r#"{"a":{"x":{}}}"#, "is no case"),
        (&one("SO SO", "OK"), "case 7.1.5: behavior is \"SO SO\""),
        (
            r#"{"a":{"1":{"behavior":"OK"}}}"#,
            "case 1: behaviorClose is \"\"",
        ),
    ];
    for (text, expected) in rows {
        let error = format!("{:#}", read(text, "a").unwrap_err());
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn cases_come_in_the_suites_order() {
    let ok = r#"{"behavior":"OK","behaviorClose":"OK"}"#;
    let text = format!(r#"{{"a":{{"9.10.1":{ok},"9.2.1":{ok},"10.1.1":{ok}}}}}"#);
    let ids: Vec<String> = read(&text, "a")
        .unwrap()
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(ids, ["9.2.1", "9.10.1", "10.1.1"]);
}
