//! The request path: a head is refused with an answer for its client, or goes on in one canonical form to
//! the listener that its host names.
//!
//! The two files of the proxy that do this know no socket. They are compiled as they are, without the rest of
//! their crate, so that TLS and DNS need not be built for it.

#![no_main]

use std::sync::LazyLock;

use gateway_core::config::parse;
use gateway_core::resource::JsonTree;
use gateway_core::routing::{Decision, decide};
use gateway_core::snapshot::{
    CompileOptions, Generation, Resolutions, Revision, Snapshot, compile,
};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, request};
use libfuzzer_sys::fuzz_target;

use error::ProxyError;
use forwarded_headers::{Origin, TraceId, client_value};

#[path = "../../gateway-proxy/src/forwarded_headers.rs"]
#[allow(dead_code, reason = "answers are not looked at here")]
#[rustfmt::skip] // Its tests would be looked for here.
mod forwarded_headers;
#[path = "../heads.rs"]
mod heads;
#[path = "../../gateway-proxy/src/request_head.rs"]
mod request_head;

/// What [`request_head`] needs of the proxy's errors.
mod error {
    /// Why a head is refused.
    #[derive(Debug)]
    pub(crate) enum ProxyError {
        BadRequest(&'static str),
        Method(&'static str),
        Expectation,
    }
}

/// A head that was let through.
struct Passed {
    /// As it is handed to the connection to the backend.
    head: request::Parts,
    /// What is routed by.
    host: String,
    /// The body waits for a 100.
    expects_continue: bool,
}

/// As `gateway-proxy/src/serve.rs` has it.
fn pass(mut head: request::Parts) -> Result<Passed, ProxyError> {
    let checked = request_head::check(&mut head)?;
    let origin = Origin {
        client: &client_value(([192, 0, 2, 1], 40_000).into()),
        believed: true,
        secure: false,
        port: &HeaderValue::from_static("80"),
        authority: checked.authority.as_ref(),
        trace_id: &TraceId::random(),
    };
    forwarded_headers::to_backend(&mut head, &origin);
    Ok(Passed {
        host: checked.host().to_owned(),
        expects_continue: checked.expects_continue,
        head,
    })
}

/// Three listeners on one port.
static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(|| {
    let text = include_str!("../three-listeners.json");
    let tree = JsonTree::parse(text).expect("it is JSON");
    let parsed = parse(&tree).expect("it is a document");
    compile(
        &parsed.config,
        &Resolutions::new(),
        &CompileOptions::default(),
        None,
        Generation(1),
        Revision(1),
    )
});

fuzz_target!(|bytes: &[u8]| {
    let Some((head, _)) = heads::request(bytes) else {
        return;
    };
    let sent = head.clone();
    match pass(head) {
        Ok(passed) => {
            is_what_was_asked_for(&sent, &passed);
            is_canonical(&passed);
            goes_where_its_host_says(&passed.host);
        }
        Err(ProxyError::BadRequest(why) | ProxyError::Method(why)) => assert!(!why.is_empty()),
        Err(ProxyError::Expectation) => assert!(sent.headers.contains_key(EXPECT)),
    }
});

/// The method is the client's; what decides about the host is the target, else the one `Host`.
fn is_what_was_asked_for(sent: &request::Parts, passed: &Passed) {
    assert_eq!(passed.head.method, sent.method);
    assert!(!matches!(sent.method, Method::CONNECT | Method::TRACE));
    let asked = sent
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let hosts = values(&sent.headers, &HOST);
    assert!(hosts.len() <= 1, "two hosts: {hosts:?}");
    let expected = asked.or(hosts.first().copied());
    assert_eq!(
        values(&passed.head.headers, &HOST).first().copied(),
        expected
    );
    let host = passed.host.as_bytes();
    let authority = expected.unwrap_or_default();
    let port = authority
        .strip_prefix(host)
        .expect("the host begins the authority");
    assert!(port.is_empty() || port[0] == b':' && port[1..].iter().all(u8::is_ascii_digit));
    let host_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    assert!(host.iter().all(host_byte), "{}", passed.host);
}

fn is_canonical(passed: &Passed) {
    let fields = &passed.head.headers;
    assert!(values(fields, &HOST).len() <= 1);
    let lengths = values(fields, &CONTENT_LENGTH);
    for length in &lengths {
        let canonical = length.iter().all(u8::is_ascii_digit)
            && (length.len() == 1 || !length.starts_with(b"0"));
        assert!(
            canonical,
            "a length of {:?}",
            length.escape_ascii().to_string()
        );
    }
    for gone in [TRANSFER_ENCODING, UPGRADE] {
        assert!(!fields.contains_key(&gone), "{gone} goes on");
    }
    for gone in ["keep-alive", "proxy-connection", "http2-settings"] {
        assert!(!fields.contains_key(gone), "{gone} goes on");
    }
    let connection = values(fields, &CONNECTION);
    let te = values(fields, &TE);
    assert!(connection.is_empty() && te.is_empty() || connection == [b"te"] && te == [b"trailers"]);
    assert!(!passed.expects_continue || fields.contains_key(EXPECT));
    for name in [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-original-url",
        "x-appgw-trace-id",
    ] {
        assert_eq!(fields.get_all(name).iter().count(), 1, "{name}");
    }
    assert_eq!(fields["x-forwarded-proto"], "http");
    let forwarded = fields["x-forwarded-for"].as_bytes();
    assert!(forwarded.ends_with(b"192.0.2.1:40000"));
    for (name, value) in fields {
        let clean = !value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte));
        assert!(clean, "{name}: {value:?}");
    }
}

/// `a.test` has a listener, and so has everything below `b.test`; the rest has one without a rule.
fn goes_where_its_host_says(host: &str) {
    let endpoint = SNAPSHOT.endpoints.first().expect("there is one");
    let name = host.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let expected = if name == "a.test" {
        Some("a")
    } else if name.ends_with(".b.test") {
        Some("b")
    } else {
        None
    };
    let listener = match decide(endpoint, host) {
        Decision::Forward(route) => Some(route.listener.to_string()),
        Decision::NoRule | Decision::NoListener => None,
    };
    assert_eq!(listener.as_deref(), expected, "{host}");
}

fn values<'h>(fields: &'h HeaderMap, name: &HeaderName) -> Vec<&'h [u8]> {
    let values = fields.get_all(name).iter();
    values.map(HeaderValue::as_bytes).collect()
}
