use super::*;
use crate::options::{AllowedHosts, Token};
use http::HeaderValue;
use http::header::HeaderName;

type Fields<'a> = &'a [(&'static str, &'a str)];

fn headers(rows: Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in rows {
        let name = HeaderName::from_static(name);
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

/// The code of the refusal, or `ok`.
fn verdict(options: &AdminOptions, target: &str, rows: Fields<'_>) -> &'static str {
    let uri = target.parse().unwrap();
    match admit(options, &Method::GET, &uri, &headers(rows)) {
        Ok(()) => "ok",
        Err(AdminError::BadHost) => "bad host",
        Err(AdminError::HostNotAllowed { .. }) => "host",
        Err(AdminError::CrossOrigin { .. }) => "origin",
        Err(AdminError::TokenMissing) => "no token",
        Err(AdminError::TokenWrong) => "wrong token",
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn hosts_and_origins() {
    let options = AdminOptions::default();
    let me = ("host", "127.0.0.1:9080");
    #[rustfmt::skip]
    let rows: &[(Fields<'_>, &str)] = &[
        (&[me], "ok"),
        (&[("host", "localhost")], "ok"),
        (&[("host", "[::1]:9080")], "ok"),
        // RFC 9110 section 7.2: one Host
        (&[], "bad host"),
        (&[me, me], "bad host"),
        (&[("host", "")], "bad host"),
        (&[("host", "a@localhost")], "bad host"),
        (&[("host", "localhost/x")], "bad host"),
        (&[("host", "evil.example:9080")], "host"),
        (&[me, ("origin", "http://127.0.0.1:9080")], "ok"),
        (&[me, ("origin", "https://127.0.0.1:9080")], "ok"),
        (&[me, ("origin", "http://127.0.0.1:8080")], "origin"),
        (&[me, ("origin", "http://127.0.0.1")], "origin"),
        (&[me, ("origin", "http://localhost:9080")], "origin"),
        (&[me, ("origin", "http://evil.example:9080")], "origin"),
        (&[me, ("origin", "null")], "origin"),
        (&[me, ("origin", "")], "origin"),
        (&[me, ("origin", "file://127.0.0.1:9080")], "origin"),
        (&[me, ("origin", "http://127.0.0.1:9080"), ("origin", "http://a")], "origin"),
        // the default port of the page's scheme is left out of both, or of one
        (&[("host", "localhost"), ("origin", "http://localhost")], "ok"),
        (&[("host", "localhost:443"), ("origin", "https://LOCALHOST")], "ok"),
        (&[("host", "localhost"), ("origin", "https://localhost:80")], "origin"),
        (&[me, ("sec-fetch-site", "same-origin")], "ok"),
        (&[me, ("sec-fetch-site", "none")], "ok"),
        (&[me, ("sec-fetch-site", "same-site")], "origin"),
        (&[me, ("sec-fetch-site", "cross-site")], "origin"),
        // a link on another page may be followed, but not framed
        (&[me, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document")], "ok"),
        (&[me, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe")], "origin"),
    ];
    for (given, expected) in rows {
        assert_eq!(
            verdict(&options, "/v1/config", given),
            *expected,
            "{given:?}"
        );
    }
}

#[test]
fn absolute_form_must_agree_with_host() {
    let options = AdminOptions::default();
    let rows = [
        ("http://localhost:9080/", "localhost:9080", "ok"),
        ("http://evil.example/", "localhost:9080", "bad host"),
        ("http://evil.example/", "evil.example", "host"),
    ];
    for (target, host, expected) in rows {
        assert_eq!(
            verdict(&options, target, &[("host", host)]),
            expected,
            "{target}"
        );
    }
}

#[test]
fn only_writes_of_links_are_refused() {
    let link = headers(&[
        ("host", "localhost"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ]);
    let form = admit(
        &AdminOptions::default(),
        &Method::POST,
        &Uri::from_static("/"),
        &link,
    );
    assert!(matches!(form, Err(AdminError::CrossOrigin { .. })));
}

#[test]
fn unix_sockets_take_any_host_but_no_foreign_page() {
    let options = AdminOptions {
        hosts: AllowedHosts::Any,
        ..AdminOptions::default()
    };
    assert_eq!(verdict(&options, "/", &[("host", "anything")]), "ok");
    let page = [("host", "anything"), ("origin", "http://evil.example")];
    assert_eq!(verdict(&options, "/", &page), "origin");
}

#[test]
fn tokens() {
    let token = "correct-horse-battery-staple";
    let options = AdminOptions {
        token: Some(Token::new(token).unwrap()),
        ..AdminOptions::default()
    };
    let host = ("host", "localhost");
    let good = format!("Bearer {token}");
    let lower = format!("bearer  {token}");
    let longer = format!("Bearer {token}s");
    let basic = format!("Basic {token}");
    #[rustfmt::skip]
    let rows: &[(&str, Fields<'_>, &str)] = &[
        ("/v1/config", &[host], "no token"),
        ("/v1/config", &[host, ("authorization", &good)], "ok"),
        // RFC 9110 section 11.1: schemes have no case
        ("/v1/config", &[host, ("authorization", &lower)], "ok"),
        ("/v1/config", &[host, ("authorization", &longer)], "wrong token"),
        ("/v1/config", &[host, ("authorization", "Bearer x")], "wrong token"),
        ("/v1/config", &[host, ("authorization", "Bearer")], "no token"),
        ("/v1/config", &[host, ("authorization", &basic)], "no token"),
        ("/v1/config", &[host, ("authorization", &good), ("authorization", &good)], "wrong token"),
        ("/docs/", &[host], "no token"),
        ("/metrics", &[host], "no token"),
        ("/healthz", &[host], "ok"),
        ("/readyz", &[host], "ok"),
        ("/readyz/", &[host], "no token"),
        ("//healthz", &[host], "no token"),
    ];
    for (path, given, expected) in rows {
        assert_eq!(
            verdict(&options, path, given),
            *expected,
            "{path} {given:?}"
        );
    }
}
