use super::*;
use http::Request;

fn trace_id() -> TraceId {
    TraceId::random()
}

fn rewritten(fields: &[(&str, &str)], believed: bool) -> HeaderMap {
    let mut request = Request::builder().uri("/a?b");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let origin = Origin {
        client: &client_value("192.0.2.1:4000".parse().unwrap()),
        believed,
        secure: true,
        port: &HeaderValue::from(443),
        authority: Some(&HeaderValue::from_static("a.example")),
        trace_id: &trace_id(),
    };
    to_backend(&mut head, &origin);
    head.headers
}

#[test]
fn the_last_forwarded_entry_is_ours() {
    for (sent, believed, expected) in [
        (&[][..], false, "192.0.2.1:4000"),
        (
            &[("x-forwarded-for", "6.6.6.6")][..],
            false,
            "192.0.2.1:4000",
        ),
        (
            &[("x-forwarded-for", "6.6.6.6")][..],
            true,
            "6.6.6.6, 192.0.2.1:4000",
        ),
        (
            &[
                ("x-forwarded-for", "6.6.6.6"),
                ("x-forwarded-for", "7.7.7.7"),
            ][..],
            true,
            "6.6.6.6, 7.7.7.7, 192.0.2.1:4000",
        ),
    ] {
        let headers = rewritten(sent, believed);
        let values: Vec<_> = headers.get_all(X_FORWARDED_FOR).iter().collect();
        assert_eq!(values, [expected]);
    }
}

#[test]
fn the_gateways_own_fields_are_not_the_clients() {
    let spoofed = [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "1"),
        ("x-original-host", "evil"),
        ("x-original-url", "/evil"),
        ("x-appgw-trace-id", "evil"),
    ];
    let headers = rewritten(&spoofed, true);
    assert_eq!(headers[X_FORWARDED_PROTO], "https");
    assert_eq!(headers[X_FORWARDED_PORT], "443");
    assert_eq!(headers[X_ORIGINAL_HOST], "a.example");
    assert_eq!(headers[X_ORIGINAL_URL], "/a?b");
    let trace_id = headers[X_APPGW_TRACE_ID].to_str().unwrap();
    assert_eq!(trace_id.len(), 32);
    assert!(trace_id.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[test]
fn connection_takes_what_it_names_but_not_what_a_message_needs() {
    let headers = rewritten(
        &[
            ("host", "a"),
            ("content-length", "2"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("keep-alive", "timeout=5"),
            ("connection", "close, X-One"),
            ("connection", "host, content-length ,x-two,,x-forwarded-for"),
        ],
        false,
    );
    assert_eq!(
        (&headers["host"], &headers["content-length"]),
        (&"a".parse().unwrap(), &"2".parse().unwrap())
    );
    for gone in ["x-one", "x-two", "keep-alive", "connection"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert!(headers.contains_key(X_FORWARDED_FOR));
}

#[test]
fn trailers_are_asked_for_where_the_client_does() {
    let headers = rewritten(
        &[("te", "gzip;q=0.5, trailers"), ("connection", "te")],
        false,
    );
    assert_eq!(
        (&headers[TE], &headers[CONNECTION]),
        (&"trailers".parse().unwrap(), &"te".parse().unwrap())
    );
    assert!(!rewritten(&[("te", "gzip")], false).contains_key(TE));
}

#[test]
fn a_prefix_goes_before_the_path() {
    for (uri, prefix, expected) in [
        ("/a?b", None, "/a?b"),
        ("/home/x", Some("/override/"), "/override/home/x"),
        ("/", Some("/override/"), "/override/"),
        ("//x", Some("/o/"), "/o//x"),
        ("http://host/a?b", None, "/a?b"),
        ("http://host", None, "/"),
        ("http://host?b", None, "/?b"),
        ("http://host?b", Some("/o/"), "/o/?b"),
        ("*", Some("/o/"), "*"),
    ] {
        assert_eq!(
            target(uri.parse().unwrap(), prefix).to_string(),
            expected,
            "{uri}"
        );
    }
}

#[test]
fn trailers_cannot_frame_or_route() {
    let mut trailers = HeaderMap::new();
    for name in [
        "x-sum",
        "content-length",
        "transfer-encoding",
        "host",
        "x-forwarded-for",
        "a_b",
    ] {
        trailers.insert(name, HeaderValue::from_static("1"));
    }
    keep_plain_trailers(&mut trailers);
    assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-sum"]);
}
