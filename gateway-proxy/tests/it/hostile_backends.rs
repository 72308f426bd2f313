//! Backends that fail, lie or leave.

use crate::harness::{Backend, Gateway, PATIENCE, eventually, free_port, settings};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";

fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

#[test]
fn malformed_answers_are_502() {
    for (name, answer) in [
        ("no HTTP", "SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "a bad length",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        ),
        (
            "an unknown coding",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        ),
        (
            "obs-fold",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "NUL",
            "HTTP/1.1 200 OK\r\nA: b\0\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "a 101 nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ),
    ] {
        let backend = Backend::answering(answer);
        let gateway = Gateway::start(&[backend.address]);
        let answer = gateway.ask(GET);
        assert!(answer.starts_with("HTTP/1.1 502 "), "{name}: {answer}");
        assert_eq!(backend.requests(), 1, "{name}");
    }
}

#[test]
fn a_truncated_answer_never_ends_cleanly() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let backend = Backend::start(move |mut peer| {
            peer.request();
            peer.send(answer);
        });
        let gateway = Gateway::start(&[backend.address]);
        let got = gateway.ask(GET);
        assert!(!got.ends_with("0\r\n\r\n"), "{got}");
        // HTTP/1.0 has nothing but the connection's end to tell a whole answer from half of one.
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
        let (got, reset) = client.rest_and_end();
        assert!(reset || got.contains("content-length: 10"), "{got}");
    }
}

#[test]
fn a_connection_with_extra_bytes_is_not_used_again() {
    let backend = Backend::start(|mut peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        }
    });
    let gateway = Gateway::start(&[backend.address]);
    for _ in 0..3 {
        assert!(gateway.ask(GET).ends_with("\r\n\r\nok"));
    }
    assert_eq!(backend.connections(), 3);
}

#[test]
fn an_answer_framed_twice_is_passed_on_once_and_its_connection_not_used_again() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    );
    let gateway = Gateway::start(&[backend.address]);
    for _ in 0..2 {
        let answer = gateway.ask(GET);
        assert!(!answer.contains("content-length"), "{answer}");
        assert!(answer.contains("\r\n2\r\nok\r\n0\r\n\r\n"), "{answer}");
    }
    assert_eq!(backend.connections(), 2);
}

#[test]
fn a_refusing_target_gives_way_to_another_and_is_suspected() {
    let backend = Backend::ok();
    let gateway = Gateway::start(&[nobody(), backend.address]);
    for _ in 0..4 {
        assert!(gateway.ask(GET).ends_with("ok"));
    }
    let suspect = gateway.snapshot().backends[0].targets[0].health.id;
    assert!(gateway.suspects().contains(&suspect));
    assert!(gateway.suspects().iter().all(|id| *id == suspect));
}

#[test]
fn a_request_that_nobody_has_seen_goes_on_until_it_is_taken() {
    let backend = Backend::ok();
    let mut members: Vec<SocketAddr> = (0..7).map(|_| nobody()).collect();
    members.push(backend.address);
    for request in [GET, POST] {
        let gateway = Gateway::start(&members);
        assert!(gateway.ask(request).ends_with("ok"));
        assert_eq!(gateway.suspects().len(), 7);
        // Those that have refused are passed over for a while.
        for _ in 0..8 {
            assert!(gateway.ask(request).ends_with("ok"));
        }
        assert_eq!(gateway.suspects().len(), 7);
    }
}

#[test]
fn a_pool_that_refuses_is_502() {
    let gateway = Gateway::start(&[nobody(), nobody(), nobody()]);
    // Passed over or not: while there is nobody else, they are asked again, each once.
    for request in 1..=2 {
        let answer = gateway.ask(GET);
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert_eq!(gateway.suspects().len(), 3 * request);
    }
}

#[test]
fn a_request_that_a_fresh_connection_swallowed_is_not_sent_again() {
    for request in [GET, POST] {
        let backend = Backend::start(|mut peer| {
            peer.request();
        });
        let gateway = Gateway::start(&[backend.address, backend.address]);
        let answer = gateway.ask(request);
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert_eq!(backend.requests(), 1);
    }
}

/// Answers the first request of each connection, swallows the second and closes.
fn forgetful() -> Backend {
    Backend::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        peer.request();
    })
}

#[test]
fn a_get_on_an_old_connection_that_closed_is_sent_once_more() {
    let backend = forgetful();
    let gateway = Gateway::start(&[backend.address]);
    assert!(gateway.ask(GET).ends_with("ok"));
    assert!(gateway.ask(GET).ends_with("ok"));
    assert_eq!((backend.requests(), backend.connections()), (3, 2));
    assert!(gateway.suspects().is_empty());
}

#[test]
fn a_post_is_never_sent_twice() {
    let backend = forgetful();
    let gateway = Gateway::start(&[backend.address]);
    assert!(gateway.ask(POST).ends_with("ok"));
    let answer = gateway.ask(POST);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert_eq!((backend.requests(), backend.connections()), (2, 1));
}

#[test]
fn an_old_connection_that_has_closed_is_noticed_before_it_is_used() {
    let (closed, seen_closed) = std::sync::mpsc::channel();
    let closed = std::sync::Mutex::new(closed);
    let backend = Backend::start(move |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        peer.stream.shutdown(std::net::Shutdown::Write).unwrap();
        // The gateway has seen the end when it ends its own side.
        peer.drain();
        closed.lock().unwrap().send(()).unwrap();
    });
    let gateway = Gateway::start(&[backend.address]);
    for count in 1..=3 {
        // A POST, since it may not be sent twice.
        assert!(gateway.ask(POST).ends_with("ok"));
        assert_eq!(backend.connections(), count);
        seen_closed.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn a_silent_backend_is_504_and_its_request_is_cut() {
    let backend = Backend::start(|mut peer| peer.drain());
    let gateway = Gateway::start_with(&[backend.address], |config| {
        settings(config).request_timeout = Duration::from_millis(100);
    });
    let answer = gateway.ask(GET);
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert_eq!(backend.requests(), 1);
    eventually("the end of the load", || {
        gateway.snapshot().backends[0].targets[0].load() == 0
    });
}

#[test]
fn a_head_without_an_end_is_502() {
    let backend = Backend::start(|mut peer| {
        peer.request();
        let lines = "X-More: y\r\n".repeat(100);
        let mut going = peer.stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while going.is_ok() {
            going = peer.stream.write_all(lines.as_bytes());
        }
    });
    let gateway = Gateway::start(&[backend.address]);
    let answer = gateway.ask(GET);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[test]
fn interim_answers_without_an_end_do_not_put_off_the_time_out() {
    let backend = Backend::start(|mut peer| {
        peer.request();
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(50);
        while peer.stream.write_all(hints.as_bytes()).is_ok() {}
    });
    let gateway = Gateway::start_with(&[backend.address], |config| {
        settings(config).request_timeout = Duration::from_millis(300);
    });
    let answer = gateway.ask(GET);
    assert!(answer.contains("HTTP/1.1 504 "), "{} bytes", answer.len());
}
