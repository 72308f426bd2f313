//! Bytes that no honest client sends: each gets the RFC's answer or a clean close, and the backend never
//! sees two requests where the client sent one.

use std::time::{Duration, Instant};

use crate::harness::{Backend, Gateway};

/// One row: what is sent, what may be answered, how many requests the backend may see, and what it
/// must not see.
struct Row {
    name: &'static str,
    sent: &'static [u8],
    statuses: &'static [u16],
    requests: usize,
    unseen: &'static str,
}

const fn refused(name: &'static str, sent: &'static [u8], statuses: &'static [u16]) -> Row {
    Row {
        name,
        sent,
        statuses,
        requests: 0,
        unseen: "GET",
    }
}

const ROWS: &[Row] = &[
    refused(
        "RFC 9112 6.3 (5): conflicting Content-Length",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        &[400],
    ),
    refused(
        "RFC 9112 6.3 (5): a list of Content-Length",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nab",
        &[400],
    ),
    refused(
        "RFC 9110 8.6: a signed Content-Length",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
        &[400],
    ),
    refused(
        "RFC 9110 8.6: a negative Content-Length",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na",
        &[400],
    ),
    refused(
        "RFC 9110 8.6: a huge Content-Length",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\na",
        &[400, 431],
    ),
    refused(
        "RFC 9112 6.1: an unknown coding",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        &[400],
    ),
    refused(
        "RFC 9112 6.1: an unknown coding before chunked",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    refused(
        "RFC 9112 7.1: chunked twice",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    refused(
        "an obfuscated coding: another word",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    refused(
        "an obfuscated coding: a vertical tab",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    refused(
        "an obfuscated coding: a second line",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    refused(
        "an obfuscated coding: identity first",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    refused(
        "RFC 9112 6.1: a coding from HTTP/1.0",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        &[400],
    ),
    refused(
        "RFC 9112 5.1: a space before the colon",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Y : b\r\n\r\n",
        &[400],
    ),
    refused(
        "RFC 9112 5.1: Content-Length with a space before the colon",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello",
        &[400],
    ),
    refused(
        "RFC 9112 5.2: obs-fold",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Y: b\r\n c\r\n\r\n",
        &[400],
    ),
    refused(
        "RFC 9112 2.2: white space before the first field",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        &[400],
    ),
    refused("RFC 9110 5.5: NUL", b"GET / HTTP/1.1\r\nHost: a\r\nX-Y: b\0c\r\n\r\n", &[400]),
    refused(
        "RFC 9112 2.2: a bare CR in a value",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Y: b\rZ: c\r\n\r\n",
        &[400],
    ),
    refused("a bare CR as line end", b"GET / HTTP/1.1\rHost: a\r\r\n\r\n", &[400]),
    refused("RFC 9112 3.2: no Host", b"GET / HTTP/1.1\r\n\r\n", &[400]),
    refused("RFC 9112 3.2: two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &[400]),
    refused("two equal Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", &[400]),
    refused("RFC 9112 3.2: a bad Host", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &[400]),
    refused("a Host with user information", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", &[400]),
    refused(
        "RFC 9110 4.2.4: user information in an absolute target",
        b"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        &[400],
    ),
    refused("a list of Hosts", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", &[400]),
    refused("an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", &[400]),
    refused("HTTP/0.9", b"GET /\r\n\r\n", &[400]),
    refused("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", &[400, 505]),
    refused("HTTP/2.0 by name", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", &[400, 505]),
    refused(
        "RFC 9113 3.4: the preface of HTTP/2",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        &[400, 505, 0],
    ),
    refused("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &[400, 0]),
    refused("RFC 9110 9.3.6: CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", &[405]),
    refused("RFC 9110 9.3.8: TRACE", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", &[405]),
    refused("RFC 9112 3.2.3: an authority for GET", b"GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    refused("RFC 9112 3.2.4: an asterisk for GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    refused("another scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    refused("a space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
    refused("RFC 9110 10.1.1: another expectation", b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", &[417]),
    Row {
        name: "RFC 9112 7.1: a chunk size that is none",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
        statuses: &[400],
        requests: 1,
        unseen: "zz",
    },
    Row {
        name: "RFC 9112 7.1: a chunk size with a sign",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\nab\r\n0\r\n\r\n",
        statuses: &[400],
        requests: 1,
        unseen: "ab",
    },
    Row {
        name: "RFC 9112 7.1: a chunk size that overflows",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab",
        statuses: &[400],
        requests: 1,
        unseen: "ab",
    },
    Row {
        name: "RFC 9112 7.1: a chunk longer than its size",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabGET\r\n0\r\n\r\n",
        statuses: &[400],
        requests: 1,
        unseen: "GET",
    },
    Row {
        name: "RFC 9112 7.1.1: LF inside a chunk extension",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\nab\r\n0\r\n\r\n",
        statuses: &[400],
        requests: 1,
        unseen: "ab",
    },
    Row {
        name: "RFC 9112 7.1: LF alone behind a chunk size",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
        statuses: &[400],
        requests: 1,
        unseen: "ab",
    },
    Row {
        name: "RFC 9112 7.1.1: a line end inside a quoted chunk extension",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a=\"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        statuses: &[400],
        requests: 1,
        unseen: "smuggled",
    },
    Row {
        name: "RFC 9112 6.3: a GET with a body that looks like a request",
        sent: b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\nConnection: close\r\n\r\nPUT /x HTTP/1.1\r\n\r\nPUT /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        statuses: &[200],
        requests: 2,
        unseen: "smuggled",
    },
    Row {
        name: "RFC 9112 3.2.1: an absolute target without a path goes on in origin form",
        sent: b"GET http://a?b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        statuses: &[200],
        requests: 1,
        unseen: "http://",
    },
    Row {
        name: "RFC 9112 6.3 (3): Content-Length with Transfer-Encoding, then a request",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        statuses: &[200, 400],
        requests: 1,
        unseen: "smuggled",
    },
    Row {
        name: "RFC 9112 6.3 (3): Transfer-Encoding with Content-Length, then a request",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        statuses: &[200, 400],
        requests: 1,
        unseen: "smuggled",
    },
    Row {
        name: "a body that looks like a request",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        statuses: &[200],
        requests: 1,
        unseen: "GET / H",
    },
    Row {
        name: "RFC 9110 8.6: equal lengths are one",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
        statuses: &[200, 400],
        requests: 1,
        unseen: "content-length: 2\r\ncontent-length",
    },
    Row {
        name: "RFC 9112 2.2: bare LF is read, and CRLF is written",
        sent: b"GET / HTTP/1.1\nHost: a\nConnection: close\n\n",
        statuses: &[200, 400],
        requests: 1,
        unseen: "a\nc",
    },
    Row {
        name: "RFC 9112 3.2.2: the absolute form has the last word",
        sent: b"GET http://a.example/p HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n",
        statuses: &[200, 400],
        requests: 1,
        unseen: "b.example",
    },
    Row {
        name: "RFC 9110 7.6.1: Connection cannot take Host, framing or the gateway's fields",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nX-Secret: s\r\nConnection: close, host, content-length, x-secret, x-forwarded-for\r\n\r\nab",
        statuses: &[200],
        requests: 1,
        unseen: "x-secret",
    },
    Row {
        name: "reference 4: names with an underscore are dropped",
        sent: b"GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 6.6.6.6\r\nContent_Length: 5\r\nConnection: close\r\n\r\n",
        statuses: &[200],
        requests: 1,
        unseen: "_",
    },
    Row {
        name: "X-Forwarded-Proto is the gateway's to say",
        sent: b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n",
        statuses: &[200],
        requests: 1,
        unseen: "x-forwarded-proto: https",
    },
    Row {
        name: "RFC 9110 7.8: Upgrade: h2c is not passed on",
        sent: b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\r\n",
        statuses: &[200],
        requests: 1,
        unseen: "h2c",
    },
    Row {
        name: "HTTP/1.0 without Host",
        sent: b"GET / HTTP/1.0\r\n\r\n",
        statuses: &[200],
        requests: 1,
        unseen: "HTTP/1.0",
    },
    Row {
        name: "RFC 9112 2.2: an empty line before the request",
        sent: b"\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        statuses: &[200],
        requests: 1,
        unseen: "\r\nGET",
    },
    Row {
        name: "RFC 6455 4.2.1: a refused upgrade is plain HTTP, its body included",
        sent: b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 27\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\nx",
        statuses: &[200, 400],
        requests: 2,
        unseen: "upgrade",
    },
];

#[test]
fn each_gets_the_rfcs_answer_and_no_request_becomes_two() {
    for row in ROWS {
        let backend = Backend::ok();
        let gateway = Gateway::start(&[backend.address]);
        let mut client = gateway.connect();
        client.send(row.sent);
        let answer = if row.requests == 0 {
            client.rest()
        } else {
            client.answers_then_close()
        };

        let status = match answer.split(' ').nth(1) {
            Some(status) => status.parse().unwrap(),
            None => 0,
        };
        assert!(row.statuses.contains(&status), "{}: {answer:?}", row.name);
        let seen = backend.seen().concat();
        let first_request = !seen.is_empty() && row.requests > 0;
        assert!(backend.requests() <= row.requests, "{}: {seen:?}", row.name);
        if first_request || row.requests == 0 {
            assert!(!seen.contains(row.unseen), "{}: {seen:?}", row.name);
        }
        if status == 200 {
            let head = seen.split("\r\n\r\n").next().unwrap();
            assert_eq!(
                head.matches("\r\nhost: ").count(),
                1,
                "{}: {seen:?}",
                row.name
            );
            let framing = head.matches("\r\ncontent-length: ").count()
                + head.matches("\r\ntransfer-encoding: ").count();
            assert!(framing <= 1, "{}: {seen:?}", row.name);
        }
    }
}

#[test]
fn an_oversize_head_is_431() {
    let gateway = Gateway::start(&[]);
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(40_000)
    );
    assert!(gateway.ask(long).starts_with("HTTP/1.1 431 "));
    let many = "X: y\r\n".repeat(200);
    let answer = gateway.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "slowness is what this is about")]
fn a_head_byte_by_byte_is_cut_off_at_the_head_timeout() {
    let backend = Backend::ok();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        config.limits.request_head_timeout = Duration::from_millis(300);
    });
    let mut slow = gateway.connect();
    let started = Instant::now();
    let writer = {
        let mut stream = slow.0.try_clone().unwrap();
        std::thread::spawn(move || {
            use std::io::Write;
            for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ".iter().cycle() {
                std::thread::sleep(Duration::from_millis(20));
                if stream.write_all(&[*byte]).is_err() || started.elapsed() > Duration::from_secs(3)
                {
                    break;
                }
            }
        })
    };
    // The one worker serves others in the meantime.
    let answer = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.ends_with("ok"), "{answer}");
    let answer = slow.until("\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(2));
    writer.join().unwrap();
    assert_eq!(backend.requests(), 1);
}

#[test]
fn a_connection_that_says_nothing_is_cut_off_too() {
    let gateway = Gateway::start_with(&[], |config| {
        config.limits.request_head_timeout = Duration::from_millis(100);
    });
    let answer = gateway.connect().rest();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(&format!("content-length: {}\r\n", body.len())),
        "{answer}"
    );
}

#[test]
fn a_body_that_stops_is_408() {
    let backend = Backend::ok();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        config.limits.request_body_timeout = Duration::from_millis(100);
    });
    let answer = gateway.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let backend = Backend::ok();
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.answer(2).ends_with("ok"));
    assert!(client.answer(2).ends_with("ok"));
    assert_eq!(backend.requests(), 2);
}
