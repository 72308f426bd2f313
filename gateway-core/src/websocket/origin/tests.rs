use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn pattern(text: &str) -> OriginPattern {
    OriginPattern::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn from(origins: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for origin in origins {
        let value = HeaderValue::from_bytes(origin.as_bytes()).unwrap();
        headers.append(header::ORIGIN, value);
    }
    headers
}

#[test]
fn patterns_that_are_none() {
    let rows = [
        ("", "scheme"),
        ("*", "scheme"),
        ("NULL", "scheme"),
        ("app.example.com", "scheme"),
        ("//app.example.com", "scheme"),
        ("://a", "scheme"),
        ("1a://a", "scheme"),
        ("ht tp://a", "scheme"),
        ("https://", "host"),
        ("https://a/", "path"),
        ("https://a/b", "path"),
        ("https://a?b", "path"),
        ("https://a#b", "path"),
        ("https://user@a", "host"),
        ("https://a b", "host"),
        ("https://a,https://b", "path"),
        ("https://a..b", "host"),
        ("https://a.b.", "host"),
        ("https://*", "host"),
        ("https://a.*.b", "host"),
        ("https://a*.b", "host"),
        ("https://*.*.b", "host"),
        ("https://*.", "host"),
        ("https://*.[::1]", "behind"),
        ("https://*.127.0.0.1", "behind"),
        ("https://*.1", "behind"),
        ("https://b\u{fc}cher.example", "xn--"),
        ("https://[::1", "port"),
        ("https://[::g]", "IPv6"),
        ("https://[::1]]", "IPv6"),
        ("https://::1", "port"),
        ("https://a:", "port"),
        ("https://a:*", "port"),
        ("https://a:65536", "port"),
        ("https://a:+1", "port"),
        ("https://a:1:2", "port"),
        ("https://[::1]a:1", "IPv6"),
    ];
    for (text, said) in rows {
        let fault = OriginPattern::parse(text).expect_err(text);
        assert!(fault.contains(said), "{text}: {fault}");
    }
}

#[test]
fn patterns_are_written_as_they_would_be_read() {
    let rows = [
        ("null", "null"),
        ("HTTPS://App.Example.COM", "https://app.example.com"),
        ("https://a:443", "https://a"),
        ("https://a:80", "https://a:80"),
        ("https://*.A.b:8443", "https://*.a.b:8443"),
        ("http://[0:0::1]:80", "http://[::1]"),
        ("file://", "file://"),
        ("chrome-extension://abcd", "chrome-extension://abcd"),
    ];
    for (text, written) in rows {
        assert_eq!(pattern(text).to_string(), written);
        assert_eq!(pattern(written), pattern(text));
    }
}

/// Pattern, origin, whether the one has the other.
const MATCHES: &[(&str, &str, bool)] = &[
    ("https://a.example", "https://a.example", true),
    // RFC 6454 section 4: scheme and host are lower-cased, a port may go without saying.
    ("https://a.example", "HTTPS://A.Example", true),
    ("https://a.example", "https://a.example:443", true),
    ("https://a.example:443", "https://a.example", true),
    ("http://a.example", "http://a.example:80", true),
    ("https://a.example", "https://a.example:0443", true),
    // RFC 6454 section 5: all three have to be the same.
    ("https://a.example", "http://a.example", false),
    ("https://a.example", "wss://a.example", false),
    ("https://a.example", "https://a.example:80", false),
    ("https://a.example:8443", "https://a.example", false),
    ("https://a.example", "https://b.example", false),
    // What looks alike.
    ("https://a.example", "https://a.example.evil", false),
    ("https://a.example", "https://evil-a.example", false),
    ("https://a.example", "https://a.example.", false),
    ("https://a.example", "https://a-example", false),
    ("https://a.example", "https://a.example/", false),
    ("https://a.example", "https://a.example@evil", false),
    ("https://a.example", "https://evil#https://a.example", false),
    ("https://a.example", "https://a.example https://evil", false),
    ("https://a.example", "https://evil https://a.example", false),
    ("https://a.example", "https://a.example,https://evil", false),
    ("https://a.example", "a.example", false),
    ("https://a.example", "", false),
    ("https://a.example", "null", false),
    ("https://a.example", "https://", false),
    ("https://a.example", "https://a.example\u{e9}", false),
    // Names under a name.
    ("https://*.a.example", "https://b.a.example", true),
    ("https://*.a.example", "https://C.b.A.example", true),
    ("https://*.a.example", "https://b.a.example:443", true),
    ("https://*.a.example", "https://a.example", false),
    ("https://*.a.example", "https://.a.example", false),
    ("https://*.a.example", "https://evila.example", false),
    ("https://*.a.example", "https://b.a.example.evil", false),
    ("https://*.a.example", "https://b.a.example:8443", false),
    ("https://*.a.example", "https://b/.a.example", false),
    ("https://*.a.example", "https://*.a.example", false),
    ("https://*.a.example:8443", "https://b.a.example:8443", true),
    // Addresses, by value.
    ("http://127.0.0.1:3000", "http://127.0.0.1:3000", true),
    ("http://[::1]:3000", "http://[0:0::1]:3000", true),
    ("http://[::1]:3000", "http://[::2]:3000", false),
    ("http://[::1]", "http://[::1", false),
    // Without a page, and others than http.
    ("null", "null", true),
    ("null", "NULL", false),
    ("null", "https://a.example", false),
    ("file://", "file://", true),
    ("file://", "file://a", false),
    ("capacitor://localhost", "capacitor://localhost", true),
    ("chrome-extension://abcd", "chrome-extension://abce", false),
];

#[test]
fn origins_are_compared_part_by_part() {
    for &(allowed, origin, expected) in MATCHES {
        let allowed = [pattern(allowed)];
        let seen = may_come_from_there(&from(&[origin]), &allowed);
        assert_eq!(seen, expected, "{allowed:?} {origin:?}");
    }
}

#[test]
fn any_pattern_will_do() {
    let allowed = [pattern("https://a"), pattern("https://b"), pattern("null")];
    for origin in ["https://a", "https://b", "null"] {
        assert!(may_come_from_there(&from(&[origin]), &allowed), "{origin}");
    }
    assert!(!may_come_from_there(&from(&["https://c"]), &allowed));
}

#[test]
fn who_says_nothing_is_no_page() {
    assert!(may_come_from_there(&from(&[]), &[pattern("https://a")]));
}

#[test]
fn who_says_it_twice_comes_from_nowhere() {
    let twice = from(&["https://a", "https://a"]);
    assert!(!may_come_from_there(&twice, &[pattern("https://a")]));
    assert!(may_come_from_there(&twice, &[]));
}

#[test]
fn without_patterns_anything_goes() {
    for origin in ["https://a", "", "null", "a b"] {
        assert!(may_come_from_there(&from(&[origin]), &[]), "{origin:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(pattern in "\\PC{0,30}", origin in proptest::collection::vec(32u8.., 0..40)) {
        let allowed: Vec<_> = OriginPattern::parse(&pattern).into_iter().collect();
        if let Ok(value) = HeaderValue::from_bytes(&origin) {
            let mut headers = HeaderMap::new();
            headers.insert(header::ORIGIN, value);
            may_come_from_there(&headers, &allowed);
        }
    }

    /// What a URL library takes for the same host is, and for another one is not.
    #[test]
    fn hosts_agree_with_their_labels(
        domain in "[a-c]{1,2}(\\.[a-c]{1,2}){0,2}", host in "[a-c]{0,2}(\\.[a-c]{0,2}){0,3}",
    ) {
        let labels = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let (under, all) = (labels(&domain), labels(&host));
        let real = all.iter().all(|label| !label.is_empty());
        let expected = real && all.len() > under.len() && all.ends_with(&under);
        let allowed = [pattern(&format!("https://*.{domain}"))];
        let seen = may_come_from_there(&from(&[&format!("https://{host}")]), &allowed);
        prop_assert_eq!(seen, expected);
    }
}
