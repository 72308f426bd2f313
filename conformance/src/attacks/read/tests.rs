//! The format of attacks, and what is said about a file that does not keep it.

use super::*;

const GOOD: &str = r"
# A comment.
[one]
clause RFC 9112 6.1
why    A reason.
over tls
> POST / HTTP/1.1
> X: \t\x00\xff\\
>
>~ \{3*ab}\{smuggled}
< HTTP/1.1 200 OK
<~ \n
then close
allow 400 close
allow 200 200 broken: POST /, GET /a?b
allow close
backend X: y
backend no Y
client body some text

[two]
clause -
why    -
ours
>~ a
allow 400
";

#[test]
fn an_attack_is_read_to_the_byte() {
    let attacks = attacks(GOOD).unwrap();
    let [one, two] = attacks.as_slice() else {
        panic!("{attacks:?}");
    };
    let sent = [
        b"POST / HTTP/1.1\r\nX: \t\0\xff\\\r\n\r\nababab".as_slice(),
        SMUGGLED,
    ];
    assert_eq!(one.send, sent.concat());
    let reply = (b"HTTP/1.1 200 OK\r\n\n".to_vec(), Then::Close);
    assert_eq!(one.reply, Some(reply));
    assert!(one.over_tls && !two.over_tls);
    assert!(two.ours && !one.ours);
    let answer = |status, broken| Expected { status, broken };
    let expected = [
        (vec![answer(400, false)], true, vec![]),
        (
            vec![answer(200, false), answer(200, true)],
            false,
            vec!["POST /".to_owned(), "GET /a?b".to_owned()],
        ),
        (vec![], true, vec![]),
    ];
    let expected = expected.map(|(answers, closes, requests)| Outcome {
        answers,
        closes,
        requests,
    });
    assert_eq!(one.allowed, expected);
    assert_eq!(
        one.backend,
        [
            Claim::Field("X".to_owned(), "y".to_owned()),
            Claim::NoField("Y".to_owned())
        ]
    );
    assert_eq!(one.client, [Claim::Body("some text".to_owned())]);
    assert_eq!(
        (two.send.as_slice(), two.reply.clone()),
        (b"a".as_slice(), None)
    );
}

#[test]
fn a_bad_file_is_told_by_its_line() {
    let head = "[a]\nclause b\nwhy c\n> d\n";
    let rows = [
        ("", 0, "no attack"),
        ("# only a comment", 1, "no attack"),
        ("> a", 1, "begins with its `[NAME]`"),
        ("[a", 1, "`[NAME]`"),
        ("[]", 1, "`[NAME]`"),
        ("[a]\nwhy b", 1, "[a] lacks `clause`"),
        ("[a]\nclause b", 1, "lacks `why`"),
        ("[a]\nclause b\nwhy c\nallow 400", 1, "lacks bytes to send"),
        ("[a]\nclause b\nwhy c\n> d\n[e]\n", 1, "[a] lacks outcomes"),
        ("[a]\nclause b\nclause c", 3, "a second `clause`"),
        ("[a]\nwhy ", 2, "says nothing"),
        ("[a]\nsend b", 2, "\"send\" is not known; there are: clause"),
        ("[a]\nover http", 2, "`over tls`"),
        ("[a]\nthen wait", 2, "`then close`"),
        ("[a]\n> \\q", 2, "`\\q` is not known"),
        ("[a]\n> \\xg0", 2, "`\\xg0` is no byte"),
        ("[a]\n> \\x1", 2, "`\\x1` is no byte"),
        ("[a]\n> \\x+1", 2, "`\\x+1` is no byte"),
        ("[a]\n> \\xä", 2, "is no byte"),
        ("[a]\n> \\", 2, "a `\\` at the end"),
        ("[a]\n> \\{3*a", 2, "without `}`"),
        ("[a]\n> \\{a}", 2, "neither"),
        ("[a]\n> \\{x*a}", 2, "neither"),
        ("[a]\n> \\{99999999*a}", 2, "more than"),
    ];
    let of_outcomes = [
        ("allow", "an outcome is"),
        ("allow : GET /", "an outcome is"),
        ("allow broken", "neither a status"),
        ("allow 99", "neither a status"),
        ("allow close 400", "after `close`"),
        ("allow 200: /", "`METHOD TARGET`"),
        ("backend x", "a claim is"),
        ("client : y", "a claim is"),
        ("allow 400\nthen close", "before `then`"),
        (
            "allow 400\nallow 400 close",
            "[a]: `allow 400` is how `allow 400 close` begins",
        ),
        ("allow 200 200 close\nallow 200", "`allow 200` is how"),
    ];
    let of_outcomes = of_outcomes.map(|(line, what)| {
        let at = if line.contains('\n') { 1 } else { 5 };
        (format!("{head}{line}"), at, what)
    });
    let rows = rows.map(|(text, line, what)| (text.to_owned(), line, what));
    for (text, line, what) in rows.into_iter().chain(of_outcomes) {
        let error = attacks(&text).expect_err(&text);
        assert_eq!(error.line, line, "{text:?}: {}", error.what);
        assert!(error.what.contains(what), "{text:?}: {}", error.what);
    }
}
