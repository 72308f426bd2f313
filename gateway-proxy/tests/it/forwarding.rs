//! Plain requests through one pool: heads, reuse, refusals.

use gateway_core::config::{BackendHost, Balancing};

use crate::harness::{Backend, Gateway, eventually, settings};

const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n";

#[test]
fn a_request_reaches_the_pool_and_its_answer_comes_back() {
    let backend = Backend::ok();
    let gateway = Gateway::start(&[backend.address]);

    let answer = gateway.ask(GET);

    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
    let seen = backend.seen().concat();
    assert!(seen.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{seen}");
    for field in [
        "host: example.org\r\n",
        "x-forwarded-proto: http\r\n",
        "x-original-host: example.org\r\n",
        "x-original-url: /a?b=c\r\n",
        "x-forwarded-for: 127.0.0.1:",
        "x-appgw-trace-id: ",
    ] {
        assert!(seen.contains(field), "{field} in {seen}");
    }
    assert!(!seen.contains("connection:"), "{seen}");
}

#[test]
fn a_connection_to_a_backend_is_used_again() {
    let backend = Backend::ok();
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.answer(2).ends_with("ok"));
    }
    assert!(gateway.ask(GET).ends_with("ok"));
    assert_eq!(backend.requests(), 4);
    assert_eq!(backend.connections(), 1);
}

#[test]
fn nobody_in_the_pool_is_502_with_a_reason() {
    let gateway = Gateway::start(&[]);
    let answer = gateway.ask(GET);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.contains("retry-after: "), "{answer}");
    let reason = "no healthy target in pool pool: the pool has no members\n";
    assert!(answer.ends_with(reason), "{answer}");
}

#[test]
fn a_connection_is_used_again_after_chunks_and_after_bodies_both_ways() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\nay!\r\n0\r\n\r\n",
    );
    let gateway = Gateway::start(&[backend.address]);
    for _ in 0..3 {
        let answer = gateway.ask(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        );
        assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
    }
    assert_eq!((backend.requests(), backend.connections()), (3, 1));
}

#[test]
fn forwarded_for_is_kept_from_everybody_or_from_those_on_the_list() {
    let rows: [(&[&str], &str); 3] = [
        (&[], "x-forwarded-for: 6.6.6.6, 127.0.0.1:"),
        (
            &["192.0.2.0/24", "127.0.0.0/8"],
            "x-forwarded-for: 6.6.6.6, 127.0.0.1:",
        ),
        (&["192.0.2.0/24"], "x-forwarded-for: 127.0.0.1:"),
    ];
    for (list, expected) in rows {
        let backend = Backend::ok();
        let gateway = Gateway::start_with(&[backend.address], |config| {
            config.trusted_proxies = list.iter().map(|net| net.parse().unwrap()).collect();
        });
        gateway.ask(
            "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n",
        );
        let seen = backend.seen().concat();
        assert!(seen.contains(expected), "{list:?}: {seen}");
    }
}

#[test]
fn every_worker_serves() {
    let backend = Backend::ok();
    let gateway = Gateway::start_workers(4, &[backend.address], None, |_| {});
    // The kernel spreads connections by their ports, so that each worker gets some soon.
    eventually("a connection of each worker's own", || {
        assert!(gateway.ask(GET).ends_with("ok"));
        backend.connections() == 4
    });
}

#[test]
fn least_connections_avoids_the_busy_one() {
    let busy = Backend::start(|mut peer| peer.drain());
    let free = Backend::ok();
    let gateway = Gateway::start_with(&[busy.address, free.address], |config| {
        let rule = config.rules.values_mut().next().unwrap();
        rule.balancing = Balancing::LeastConnections;
    });
    let mut held = Vec::new();
    while busy.requests() == 0 {
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        held.push(client);
        eventually("the request at a backend", || {
            busy.requests() + free.requests() == held.len()
        });
    }
    for _ in 0..6 {
        assert!(gateway.ask(GET).ends_with("ok"));
    }
    assert_eq!(busy.requests(), 1);
}

#[test]
fn a_path_prefix_goes_before_what_was_asked_for() {
    let backend = Backend::ok();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        settings(config).path_prefix = Some("/under/".into());
    });
    gateway.ask(GET);
    let seen = backend.seen().concat();
    assert!(seen.starts_with("GET /under/a?b=c HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("x-original-url: /a?b=c\r\n"), "{seen}");
}

#[test]
fn the_host_is_the_clients_the_settings_or_the_members() {
    for (host, expected) in [
        (BackendHost::FromClient, "host: example.org\r\n"),
        (
            BackendHost::Fixed("fixed.example".into()),
            "host: fixed.example\r\n",
        ),
        (BackendHost::FromTarget, "host: 127.0.0.1\r\n"),
    ] {
        let backend = Backend::ok();
        let gateway =
            Gateway::start_with(&[backend.address], |config| settings(config).host = host);
        gateway.ask(GET);
        let seen = backend.seen().concat();
        assert!(seen.contains(expected), "{seen}");
        assert!(seen.contains("x-original-host: example.org\r\n"), "{seen}");
    }
}

#[test]
fn want_of_a_target_is_502_or_as_the_settings_say() {
    use http::StatusCode;
    for status in [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE] {
        let gateway = Gateway::start_with(&[], |config| {
            settings(config).unavailable_status = status;
        });
        let answer = gateway.ask(GET);
        let line = format!("HTTP/1.1 {} ", status.as_u16());
        assert!(answer.starts_with(&line), "{answer}");
        assert!(answer.contains("\r\nretry-after: "), "{answer}");
    }
}
