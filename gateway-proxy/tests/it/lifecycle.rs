//! Publishing while requests are under way, removing, draining.

use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use gateway_core::name::{ListenerName, PoolName};
use gateway_proxy::{AccessSink, PrepareError};

use crate::harness::{Backend, Gateway, PATIENCE, config, eventually, free_port, pool};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn a_request_under_way_does_not_notice_another_pool() {
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let old = Backend::start(move |mut peer| {
        peer.request();
        may_go_on.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
    });
    let new = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew");
    let gateway = Gateway::start(&[old.address]);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request at the backend", || old.requests() == 1);

    let mut changed = config(gateway.address.port(), &[]);
    changed
        .pools
        .insert(PoolName::from("pool"), pool(&[new.address]));
    gateway.apply(&changed);

    assert!(gateway.ask(GET).ends_with("new"));
    go_on.send(()).unwrap();
    assert!(client.answer(3).ends_with("old"));
    // The same connection is served by what is live now.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(client.answer(3).ends_with("new"));
}

#[test]
fn a_removed_listener_stops_and_its_idle_connections_end() {
    let backend = Backend::ok();
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.answer(2);

    let mut changed = config(gateway.address.port(), &[backend.address]);
    let name = ListenerName::from("listener");
    changed.listeners.get_mut(&name).unwrap().port = free_port();
    gateway.apply(&changed);

    assert_eq!(client.rest(), "");
    assert!(TcpStream::connect(gateway.address).is_err());
}

#[test]
fn a_drain_finishes_what_is_under_way() {
    let (go_on, may_go_on) = channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let backend = Backend::start(move |mut peer| {
        peer.request();
        may_go_on.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request at the backend", || backend.requests() == 1);
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| gateway.drain(PATIENCE));
        eventually("a closed port", || {
            TcpStream::connect(gateway.address).is_err()
        });
        go_on.send(()).unwrap();
        let answer = client.rest();
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(answer.ends_with("ok"), "{answer}");
        drained.join().unwrap();
    });
}

#[test]
fn a_request_whose_bytes_are_unread_when_the_drain_begins_is_served() {
    let backend = Backend::ok();
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| gateway.drain(PATIENCE));
        eventually("a closed port", || {
            TcpStream::connect(gateway.address).is_err()
        });
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.rest().ends_with("ok"));
        drained.join().unwrap();
    });
}

#[test]
fn a_drain_cuts_what_is_left_at_its_deadline() {
    let backend = Backend::start(|mut peer| peer.drain());
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request at the backend", || backend.requests() == 1);
    gateway.drain(Duration::from_millis(50));
    assert_eq!(client.rest(), "");
}

#[test]
fn a_port_that_another_has_is_named() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::start(&[]);
    let taken = config(other.local_addr().unwrap().port(), &[]);
    let snapshot = gateway.compile(&taken);
    let error = gateway
        .proxy
        .prepare(snapshot.into(), Default::default())
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {}", other.local_addr().unwrap())
    );
}

#[test]
fn a_certificate_that_was_not_loaded_is_no_matter_of_the_address() {
    let gateway = Gateway::start(&[]);
    let mut changed = config(free_port(), &[]);
    let listener = changed.listeners.values_mut().next().unwrap();
    listener.protocol = gateway_core::config::ListenerProtocol::Https {
        certificate: "missing".into(),
        require_sni: false,
    };
    let snapshot = gateway.compile(&changed).into();
    let prepared = gateway.proxy.prepare(snapshot, Default::default());
    let error = prepared.err().unwrap();
    assert!(matches!(error, PrepareError::Tls { .. }), "{error}");
}

#[test]
fn connections_over_the_limit_wait_for_their_turn() {
    let backend = Backend::ok();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        config.limits.max_connections = Some(1);
    });
    let mut first = gateway.connect();
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    first.answer(2);
    // It is about to ask again: it makes no room.
    first.send("GET / HTTP/1.1\r\n");
    let mut second = gateway.connect();
    second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    second
        .0
        .set_read_timeout(Some(Duration::from_millis(400)))
        .unwrap();
    let waits = std::io::Read::read(&mut second.0, &mut [0]);
    assert_eq!(waits.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    second.0.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(second.answer(2).ends_with("ok"));
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(std::sync::Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_request_leaves_a_record() {
    let backend = Backend::ok();
    let kept = Kept::default();
    let sink = AccessSink::to_writer(kept.clone()).unwrap();
    let gateway = Gateway::start_logging(&[backend.address], Some(sink), |_| {});
    gateway.ask("GET /p?q=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nConnection: close\r\n\r\n");
    let text = || String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    eventually("a record", || text().ends_with('\n'));
    let record: serde_json::Value = serde_json::from_str(&text()).unwrap();
    assert_eq!(record["listenerName"], "listener");
    assert_eq!(record["backendPoolName"], "pool");
    let properties = &record["properties"];
    assert_eq!(properties["httpStatus"], 200);
    assert_eq!(properties["requestUri"], "/p");
    assert_eq!(properties["requestQuery"], "q=1");
    assert_eq!(properties["sentBytes"], 2);
    assert_eq!(properties["serverRouted"], backend.address.to_string());
    let trace_id = properties["transactionId"].as_str().unwrap();
    assert!(
        backend
            .seen()
            .concat()
            .contains(&format!("x-appgw-trace-id: {trace_id}\r\n"))
    );
}

#[test]
fn a_client_that_left_is_499() {
    let backend = Backend::start(|mut peer| peer.drain());
    let kept = Kept::default();
    let sink = AccessSink::to_writer(kept.clone()).unwrap();
    let gateway = Gateway::start_logging(&[backend.address], Some(sink), |_| {});
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request at the backend", || backend.requests() == 1);
    drop(client);
    let text = || String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    eventually("a record", || text().ends_with('\n'));
    assert!(text().contains("\"httpStatus\":499"), "{}", text());
    assert!(
        text().contains("ERRORINFO_CLIENT_CLOSED_REQUEST"),
        "{}",
        text()
    );
}

#[test]
fn a_client_that_breaks_off_inside_its_body_gets_no_499() {
    let rows = [
        // What is sent, whether a reset or a FIN follows, what is answered, what is logged.
        (
            "Content-Length: 10\r\n\r\nhello",
            false,
            "HTTP/1.1 400 ",
            400,
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            false,
            "HTTP/1.1 400 ",
            400,
        ),
        ("Content-Length: 10\r\n\r\nhello", true, "", 499),
    ];
    for (rest, resets, answer, logged) in rows {
        let backend = Backend::start(|mut peer| peer.drain());
        let kept = Kept::default();
        let sink = AccessSink::to_writer(kept.clone()).unwrap();
        let gateway = Gateway::start_logging(&[backend.address], Some(sink), |_| {});
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}"));
        eventually("the body at the backend", || {
            backend.seen().concat().contains("hello")
        });
        if resets {
            client.reset();
        } else {
            client.finish();
            assert!(client.rest().starts_with(answer), "{rest:?}");
        }
        let text = || String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        eventually("a record", || text().ends_with('\n'));
        assert!(
            text().contains(&format!("\"httpStatus\":{logged}")),
            "{}",
            text()
        );
    }
}

#[test]
fn what_is_counted_can_be_scraped() {
    let backend = Backend::ok();
    let gateway = Gateway::start(&[backend.address]);
    gateway.ask(GET);
    gateway.ask(GET);
    gateway.ask("GET / HTTP/1.1\r\n\r\n");
    gateway.ask("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    let mut registry = prometheus_client::registry::Registry::default();
    gateway.proxy.register_metrics(&mut registry);
    let scrape = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text
    };
    eventually("no connection", || {
        scrape().contains("gateway_connections_active 0\n")
    });
    let text = scrape();
    for line in [
        "http_server_request_duration_seconds_count{listener=\"listener\",rule=\"rule\",pool=\"pool\",status=\"2xx\"} 2\n",
        "http_client_requests_total{connection=\"new\"} 1\n",
        "http_client_requests_total{connection=\"reused\"} 1\n",
        "gateway_request_failures_total{side=\"client\"} 2\n",
        "gateway_connections_accepted_total 4\n",
        "gateway_tunnels_active{listener=\"listener\",pool=\"pool\"} 0\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
