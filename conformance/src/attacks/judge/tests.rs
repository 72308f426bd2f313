//! What an outcome takes in, and what not.

use super::*;
use crate::attacks::read;
use crate::harness::recorder::Seen;

fn attack(lines: &str) -> Attack {
    let text = format!("[a]\nclause b\nwhy c\n> d\n{lines}");
    read::attacks(&text).unwrap().remove(0)
}

fn ended(statuses: &[u16], closed: bool) -> Ended {
    let mut ended = Ended::default();
    for &status in statuses {
        ended.take(Answer {
            status,
            fields: vec![("x".to_owned(), "1".to_owned())],
            body: b"text".to_vec(),
            ..Answer::default()
        });
    }
    ended.closed = closed;
    ended
}

fn record(lines: &[&str]) -> Record {
    let seen = |line: &&str| Seen {
        line: format!("{line} HTTP/1.1"),
        fields: vec![("y".to_owned(), "2".to_owned())],
        ..Seen::default()
    };
    let mut record = Record::default();
    record.requests.extend(lines.iter().map(seen));
    record
}

/// Lines, statuses, whether the connection was closed, requests, and whether it passes.
type Row = (
    &'static str,
    &'static [u16],
    bool,
    &'static [&'static str],
    bool,
);

#[test]
fn only_what_is_allowed_as_a_whole_passes() {
    let refused_or_one = "allow 400 close\nallow 200: POST /";
    let rows: [Row; 14] = [
        (refused_or_one, &[400], true, &[], true),
        (refused_or_one, &[200], false, &["POST /"], true),
        (refused_or_one, &[400], true, &["POST /"], false),
        (refused_or_one, &[400], false, &[], false),
        (
            refused_or_one,
            &[200],
            false,
            &["POST /", "GET /smuggled"],
            false,
        ),
        (refused_or_one, &[200], false, &["POST /x"], false),
        (refused_or_one, &[200], false, &[], false),
        (refused_or_one, &[502], false, &["POST /"], false),
        ("allow close", &[], true, &[], true),
        (
            "allow 200: GET /\nbackend Y: 2",
            &[200],
            false,
            &["GET /"],
            true,
        ),
        (
            "allow 200: GET /\nbackend Y: 3",
            &[200],
            false,
            &["GET /"],
            false,
        ),
        (
            "allow 200: GET /\nbackend no Y",
            &[200],
            false,
            &["GET /"],
            false,
        ),
        (
            "allow 200: GET /\nclient no X",
            &[200],
            false,
            &["GET /"],
            false,
        ),
        (
            "allow 200: GET /\nclient body text",
            &[200],
            false,
            &["GET /"],
            true,
        ),
    ];
    for (lines, statuses, closed, requests, passes) in rows {
        let judged = attack(lines).judge(&ended(statuses, closed), &record(requests));
        assert_eq!(
            judged.is_ok(),
            passes,
            "{lines:?} {statuses:?} {requests:?}: {judged:?}"
        );
    }
}

#[test]
fn more_is_read_only_while_something_allowed_has_more() {
    let attack = attack("allow 400 close\nallow 200 200: GET /, GET /");
    let lacks = |ended: &Ended| attack.allowed.iter().any(|outcome| ended.lacks(outcome));
    for (statuses, closed, expected) in [
        (&[][..], false, true),
        (&[400], false, true),
        (&[400], true, false),
        (&[200], false, true),
        (&[200, 200], false, false),
        (&[500], false, false),
    ] {
        assert_eq!(lacks(&ended(statuses, closed)), expected, "{statuses:?}");
    }
}
