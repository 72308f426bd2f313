//! Bodies, interim answers and trailers on their way.

use std::io::{Read, Write};
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::harness::{Backend, Gateway, PATIENCE, eventually};

#[test]
fn a_chunked_body_is_chunked_anew_with_its_trailers() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
         2;ext=1\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Up\r\nConnection: close, TE\r\n\
         Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-Up: 2\r\n\r\n",
    );
    let answer = client.rest();
    assert!(
        answer.ends_with("2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"),
        "{answer}"
    );
    let seen = backend.seen().concat();
    assert!(
        seen.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nx-up: 2\r\n\r\n"),
        "{seen}"
    );
    assert!(!seen.contains("a=b"), "{seen}");
}

#[test]
fn answers_without_a_body_have_none() {
    for (method, answer, expected) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "content-length: 9\r\n",
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", "204"),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
            "etag: \"x\"\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
            "content-length: 99\r\n",
        ),
        (
            "HEAD",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 099\r\n\r\n",
            "content-length: 99\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n",
            "content-length: 0\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            "content-length: 0\r\n",
        ),
    ] {
        let backend = Backend::answering(answer);
        let gateway = Gateway::start(&[backend.address]);
        let mut client = gateway.connect();
        for _ in 0..2 {
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
            let head = client.head();
            assert!(head.contains(expected), "{head}");
            assert!(!head.contains("transfer-encoding"), "{head}");
        }
        assert_eq!(backend.connections(), 1);
    }
}

#[test]
fn a_length_without_a_body_goes_on_only_if_it_is_one() {
    for (method, status) in [("GET", "304 Not Modified"), ("HEAD", "200 OK")] {
        for lengths in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 6\r\n",
            "Content-Length: five\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 99999999999999999999999\r\n",
        ] {
            let backend = Backend::answering(format!("HTTP/1.1 {status}\r\n{lengths}\r\n"));
            let gateway = Gateway::start(&[backend.address]);
            let answer = gateway.ask(format!(
                "{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            ));
            let is_refused = answer.starts_with("HTTP/1.1 502 ");
            assert!(
                is_refused || !answer.contains("content-length"),
                "{lengths} {answer}"
            );
        }
    }
}

#[test]
fn an_answer_ended_by_its_connection_is_chunked_but_for_http_1_0() {
    let backend = Backend::start(|mut peer| {
        peer.request();
        peer.send("HTTP/1.0 200 OK\r\n\r\nall");
    });
    let gateway = Gateway::start(&[backend.address]);
    let answer = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("3\r\nall\r\n0\r\n\r\n"), "{answer}");
    let answer = gateway.ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\nall"), "{answer}");
}

#[test]
fn a_body_is_asked_for_when_the_backend_asks() {
    let backend = Backend::start(|mut peer| {
        peer.until("\r\n\r\n");
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        peer.until("hello");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello");
    assert!(client.answer(2).ends_with("ok"));
    assert!(backend.seen().concat().contains("expect: 100-continue\r\n"));
}

#[test]
fn a_body_that_the_backend_does_not_want_is_not_asked_for() {
    let backend = Backend::start(|mut peer| {
        peer.until("\r\n\r\n");
        peer.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
        peer.drain();
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 417 "));
}

#[test]
fn interim_answers_go_ahead_of_the_final_one_but_not_to_http_1_0() {
    let backend = Backend::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(
            client.head(),
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
        );
        assert_eq!(client.head(), "HTTP/1.1 102 Processing\r\n\r\n");
        assert!(client.answer(2).ends_with("ok"));
    }
    let answer = gateway.ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 OK"), "{answer}");
}

#[test]
fn an_interim_answer_does_not_wait_for_the_final_one() {
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let backend = Backend::start(move |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 103 Early Hints\r\n\r\n");
        may_go_on.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 103 "));
    go_on.send(()).unwrap();
    assert!(client.answer(2).ends_with("ok"));
}

#[test]
fn a_client_that_leaves_cancels_its_request() {
    let (gone, seen_gone) = channel();
    let gone = std::sync::Mutex::new(gone);
    let backend = Backend::start(move |mut peer| {
        peer.request();
        peer.drain();
        gone.lock().unwrap().send(()).unwrap();
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request at the backend", || backend.requests() == 1);
    drop(client);
    seen_gone.recv_timeout(PATIENCE).unwrap();
    eventually("the end of the load", || {
        gateway.snapshot().backends[0].targets[0].load() == 0
    });
}

#[test]
fn a_slow_reader_stops_its_writer() {
    let (written, progress) = channel();
    let written = std::sync::Mutex::new(written);
    let backend = Backend::start(move |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        peer.stream
            .set_write_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let mut all = 0_usize;
        while let Ok(some) = peer.stream.write(&[b'x'; 65536]) {
            all += some;
        }
        written.lock().unwrap().send(all).unwrap();
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    // Kernel buffers on four sockets, and a little of ours.
    assert!(progress.recv_timeout(PATIENCE).unwrap() < 64 * 1024 * 1024);
}

#[test]
fn a_large_body_arrives_whole_both_ways() {
    const SIZE: usize = 8 * 1024 * 1024;
    let backend = Backend::start(|mut peer| {
        let head = peer.until("\r\n\r\n").unwrap();
        let mut got = head.len() - head.find("\r\n\r\n").unwrap() - 4;
        let mut buffer = vec![0; 65536];
        while got < SIZE {
            got += peer.stream.read(&mut buffer).unwrap();
        }
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        peer.send(vec![b'y'; SIZE]);
        peer.drain();
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"
    ));
    client.send(vec![b'x'; SIZE]);
    client.head();
    let mut body = vec![0; SIZE];
    client.0.read_exact(&mut body).unwrap();
    assert!(body.iter().all(|byte| *byte == b'y'));
}

#[test]
fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let (cut, was_cut) = channel();
    let backend = Backend::start(move |mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\n\r\n");
        let part = vec![b'x'; 64 * 1024];
        while peer.stream.write_all(&part).is_ok() {}
        cut.send(()).unwrap();
    });
    let gateway = Gateway::start_with(&[backend.address], |config| {
        config.limits.request_body_timeout = Duration::from_millis(200);
    });
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    was_cut.recv_timeout(PATIENCE).unwrap();
    assert!(client.rest_and_end().1, "a reset");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "slowness is what this is about")]
fn a_client_that_takes_its_answer_slowly_gets_it_whole() {
    const LENGTH: usize = 1024 * 1024;
    let backend = Backend::start(|mut peer| {
        peer.request();
        peer.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"
        ));
        peer.send(vec![b'x'; LENGTH]);
        peer.drain();
    });
    // Less than the whole takes, more than a part.
    let gateway = Gateway::start_with(&[backend.address], |config| {
        config.limits.request_body_timeout = Duration::from_millis(500);
    });
    let mut client = gateway.connect_with_window(8 * 1024);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    let (mut left, mut part) = (LENGTH, vec![0; 32 * 1024]);
    while left > 0 {
        std::thread::sleep(Duration::from_millis(10));
        let read = std::io::Read::read(&mut client.0, &mut part).unwrap();
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
    }
}

#[test]
fn an_upload_goes_on_beside_an_answer_that_nobody_reads() {
    // More than the kernel buffers of its two connections.
    const SIZE: usize = 48 * 1024 * 1024;
    let (received, all) = channel();
    let received = std::sync::Mutex::new(received);
    let backend = Backend::start(move |mut peer| {
        let head = peer.until("\r\n\r\n").unwrap();
        let mut got = head.len() - head.find("\r\n\r\n").unwrap() - 4;
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        let stalls = Some(Duration::from_millis(300));
        peer.stream.set_write_timeout(stalls).unwrap();
        while peer.stream.write(&[b'y'; 65536]).is_ok() {}
        let mut buffer = vec![0; 65536];
        while got < SIZE {
            got += peer.stream.read(&mut buffer).unwrap();
        }
        received.lock().unwrap().send(got).unwrap();
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"
    ));
    client.send(vec![b'x'; SIZE]);
    assert_eq!(all.recv_timeout(PATIENCE).unwrap(), SIZE);
}
