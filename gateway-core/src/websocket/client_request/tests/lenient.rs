//! What `Lenient` puts right, and that it puts right nothing else.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_lenient_is_two_things_and_no_more() {
    let example_offer = offer(&example(&[]));
    let taken = Ok(Upgrade::WebSocket(example_offer));
    let plain = Ok(Upgrade::None);
    let rows: &[(&str, Lines<'_>, &Result<Upgrade, HandshakeError>)] = &[
        ("as it should be", &[], &taken),
        ("no Connection", &[("Connection", "(absent)")], &taken),
        (
            "another Connection",
            &[("Connection", "keep-alive")],
            &taken,
        ),
        ("a connection that ends", &[("Connection", "close")], &plain),
        (
            "somebody is between",
            &[("Connection", "(absent)"), ("Via", "1.1 front")],
            &plain,
        ),
        (
            "somebody is between and knows",
            &[("Connection", "upgrade"), ("Via", "1.1 front")],
            &taken,
        ),
        (
            "somebody is between and counts",
            &[
                ("Connection", "keep-alive"),
                ("X-Forwarded-For", "10.0.0.1"),
            ],
            &plain,
        ),
        // Two mistakes at once are no handshake that was meant well.
        (
            "no Connection, and no such key",
            &[("Connection", "(absent)"), ("Sec-WebSocket-Key", "abc")],
            &plain,
        ),
        (
            "no Connection, and an old version",
            &[("Connection", "(absent)"), ("Sec-WebSocket-Version", "8")],
            &plain,
        ),
        (
            "no Connection, no key",
            &[
                ("Connection", "(absent)"),
                ("Sec-WebSocket-Key", "(absent)"),
            ],
            &plain,
        ),
        ("no Upgrade", &[("Upgrade", "(absent)")], &plain),
        (
            "another protocol, no Connection",
            &[("Upgrade", "h2c"), ("Connection", "(absent)")],
            &plain,
        ),
        (
            "an old version",
            &[("Sec-WebSocket-Version", "8")],
            &Err(HandshakeError::Version),
        ),
        (
            "no key",
            &[("Sec-WebSocket-Key", "(absent)")],
            &Err(HandshakeError::MissingKey),
        ),
        (
            "two keys",
            &[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)],
            &Err(HandshakeError::RepeatedKey),
        ),
        (
            "a list of keys",
            &[("Sec-WebSocket-Key", "abc, def")],
            &Err(HandshakeError::BadKey),
        ),
        (
            "words for a key",
            &[("Sec-WebSocket-Key", "abc def")],
            &Err(HandshakeError::BadKey),
        ),
        (
            "an empty key",
            &[("Sec-WebSocket-Key", "")],
            &Err(HandshakeError::BadKey),
        ),
    ];
    for (what, changed, expected) in rows {
        assert_eq!(
            accept_leniently(&example(changed), false),
            **expected,
            "{what}"
        );
    }
    assert_eq!(
        accept_leniently(&example(&[]), true),
        Err(HandshakeError::Body)
    );
    let loose = example(&[("Connection", "(absent)")]);
    assert_eq!(accept_leniently(&loose, true), Ok(Upgrade::None));
    let mut post = example(&[("Connection", "(absent)")]);
    post.method = Method::POST;
    assert_eq!(accept_leniently(&post, false), Ok(Upgrade::None));
}

#[test]
fn any_key_gets_the_accept_value_that_its_backend_would_give() {
    let longest = "k".repeat(128);
    for key in [
        "abc",
        "x",
        "AAAAAAAAAAAAAAAAAAAA",
        "dGhlIHNhbXBsZSBub25jZQ",
        "--__=/+",
        &longest,
    ] {
        let head = example(&[("Sec-WebSocket-Key", key)]);
        let Ok(Upgrade::WebSocket(offer)) = accept_leniently(&head, false) else {
            panic!("{key} is refused");
        };
        let expected = tungstenite::handshake::derive_accept_key(key.as_bytes());
        assert_eq!(offer.accept.as_bytes(), expected.as_bytes(), "{key}");
        assert_eq!(accept(&head, false), Err(HandshakeError::BadKey), "{key}");
    }
    let too_long = example(&[("Sec-WebSocket-Key", &*"k".repeat(129))]);
    assert_eq!(
        accept_leniently(&too_long, false),
        Err(HandshakeError::BadKey)
    );
}

proptest! {
    /// Leniency only adds: what is good is judged the same.
    #[test]
    fn who_is_strict_is_lenient_too(connection in "(upgrade|keep-alive|close|Upgrade, x)", key in "[A-Za-z0-9+/=]{0,26}") {
        let head = example(&[("Connection", &*connection), ("Sec-WebSocket-Key", &*key)]);
        if let Ok(Upgrade::WebSocket(offer)) = accept(&head, false) {
            prop_assert_eq!(accept_leniently(&head, false), Ok(Upgrade::WebSocket(offer)));
        }
    }
}
