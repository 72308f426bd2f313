//! What becomes of requests, and of connections to backends, when a target or a listener is removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_core::config::Config;
use gateway_core::name::ListenerName;

use crate::harness::{Backend, Client, Gateway, PATIENCE, config, eventually, free_port, settings};
use crate::tunnels::drain;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// Long enough to see that nothing is cut before, short enough to wait for.
const DRAIN: Duration = Duration::from_millis(300);

fn short_drain(config: &mut Config) {
    settings(config).drain_timeout = DRAIN;
}

/// Takes requests and never answers, or begins an answer and never ends it.
fn stuck(answer: &'static str) -> Backend {
    Backend::start(move |mut peer| {
        peer.request();
        peer.send(answer);
        peer.drain();
    })
}

/// A client whose request is at `backend`.
fn at_backend(gateway: &Gateway, backend: &Backend) -> Client {
    let before = backend.requests();
    let mut client = gateway.connect();
    client.send(GET);
    eventually("the request at the backend", || backend.requests() > before);
    client
}

fn without_targets(gateway: &Gateway) -> Config {
    let mut changed = config(gateway.address.port(), &[]);
    short_drain(&mut changed);
    changed
}

fn with_another_listener(gateway: &Gateway, backend: &Backend) -> Config {
    let mut changed = config(gateway.address.port(), &[backend.address]);
    short_drain(&mut changed);
    let listener = changed.listeners.remove(&ListenerName::from("listener"));
    let other = ListenerName::from("other");
    changed.listeners.insert(other.clone(), listener.unwrap());
    changed.rules.values_mut().next().unwrap().listener = other;
    changed
}

#[test]
fn requests_at_what_is_gone_are_cut_when_their_time_is_up() {
    type Change = fn(&Gateway, &Backend) -> Config;
    let changes: [(&str, Change); 2] = [
        ("target", |gateway, _| without_targets(gateway)),
        ("listener", with_another_listener),
    ];
    for (gone, change) in changes {
        let silent = stuck("");
        let gateway = Gateway::start_with(&[silent.address], short_drain);
        let mut client = at_backend(&gateway, &silent);
        gateway.apply(&change(&gateway, &silent));
        client.0.set_read_timeout(Some(DRAIN / 2)).unwrap();
        let early = std::io::Read::read(&mut client.0, &mut [0]);
        assert!(early.is_err(), "{gone}: cut before its time");
        client.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let answer = client.rest();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 "), "{gone}: {answer}");
        let length = format!("content-length: {}\r\n", body.len());
        assert!(head.contains(&length), "{gone}: {answer}");
    }
}

/// It may come back any moment, and its requests are no harm to it.
#[test]
fn requests_at_a_target_that_an_operator_drains_are_not_cut() {
    let silent = stuck("");
    let gateway = Gateway::start_with(&[silent.address], short_drain);
    let mut client = at_backend(&gateway, &silent);
    drain(&gateway, &silent);
    // Nor when something changes that does not concern it.
    let mut changed = config(gateway.address.port(), &[silent.address]);
    changed.limits.max_request_headers += 1;
    short_drain(&mut changed);
    gateway.apply(&changed);
    client.0.set_read_timeout(Some(DRAIN * 2)).unwrap();
    let cut = std::io::Read::read(&mut client.0, &mut [0]);
    assert!(cut.is_err(), "its target is still there");
}

#[test]
fn an_answer_that_has_begun_is_cut_by_a_reset() {
    let slow = stuck("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    let gateway = Gateway::start_with(&[slow.address], short_drain);
    let mut client = at_backend(&gateway, &slow);
    assert!(client.answer(5).ends_with("hello"));
    gateway.apply(&without_targets(&gateway));
    assert_eq!(client.rest_and_end(), (String::new(), true));
}

#[test]
fn a_request_that_ends_in_time_does_not_notice() {
    let ok = Backend::ok();
    let gateway = Gateway::start_with(&[ok.address], short_drain);
    let slow = stuck("");
    // Its deadline must not outlive it on a connection that goes on.
    let mut client = at_backend(&gateway, &ok);
    assert!(client.answer(2).ends_with("ok"));
    let mut changed = config(gateway.address.port(), &[ok.address, slow.address]);
    short_drain(&mut changed);
    gateway.apply(&changed);
    let mut waits = at_backend_of_two(&gateway, &slow);
    let mut unconcerned = config(gateway.address.port(), &[slow.address]);
    short_drain(&mut unconcerned);
    gateway.apply(&unconcerned);
    waits.0.set_read_timeout(Some(DRAIN * 2)).unwrap();
    let cut = std::io::Read::read(&mut waits.0, &mut [0]);
    assert!(cut.is_err(), "its target is still there");
}

/// Asks until a request is at `backend`, of two that take turns.
fn at_backend_of_two(gateway: &Gateway, backend: &Backend) -> Client {
    loop {
        let mut client = gateway.connect();
        client.send(GET);
        client
            .0
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        if std::io::Read::read(&mut client.0, &mut [0]).is_err() && backend.requests() == 1 {
            return client;
        }
    }
}

#[test]
fn connections_to_a_target_that_is_gone_are_closed() {
    let (open, held) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let (counts, holds): (_, Arc<std::sync::Mutex<()>>) = (Arc::clone(&open), Arc::clone(&held));
    let backend = Backend::start(move |mut peer| {
        counts.fetch_add(1, Ordering::SeqCst);
        while peer.request().is_some() {
            drop(holds.lock());
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        counts.fetch_sub(1, Ordering::SeqCst);
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut idle = at_backend(&gateway, &backend);
    idle.answer(2);
    let hold = held.lock().unwrap();
    // One connection is taken by this, so that a second is opened and idle when it is done.
    let mut busy = at_backend(&gateway, &backend);
    assert_eq!(open.load(Ordering::SeqCst), 1);
    let mut second = gateway.connect();
    second.send(GET);
    eventually("a second connection", || backend.connections() == 2);
    gateway.apply(&config(gateway.address.port(), &[]));
    drop(hold);
    assert!(busy.answer(2).ends_with("ok"));
    assert!(second.answer(2).ends_with("ok"));
    eventually("no connection", || open.load(Ordering::SeqCst) == 0);
}

#[test]
fn an_idle_connection_to_a_target_that_is_gone_is_closed_at_once() {
    let (ended, has_ended) = std::sync::mpsc::channel();
    let backend = Backend::start(move |mut peer| {
        while peer.request().is_some() {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
        ended.send(()).unwrap();
    });
    let gateway = Gateway::start(&[backend.address]);
    let mut client = at_backend(&gateway, &backend);
    client.answer(2);
    gateway.apply(&config(gateway.address.port(), &[]));
    // Long before an idle connection is closed for its age.
    has_ended.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_connection_that_was_there_before_its_port_moved_has_its_first_request_served() {
    let backend = Backend::ok();
    let gateway = Gateway::start(&[backend.address]);
    let mut client = gateway.connect();
    let mut half = gateway.connect();
    half.send(&GET[..10]);
    gateway.apply(&config(free_port(), &[backend.address]));
    client.send(GET);
    half.send(&GET[10..]);
    for client in [&mut client, &mut half] {
        let answer = client.rest();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}
