//! When connections are used up, those that are idle make room for new clients.

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use gateway_core::config::Config;

use crate::harness::{Backend, Client, Gateway, PATIENCE, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Far less than the 75 seconds for which an idle connection is kept.
const AT_ONCE: Duration = Duration::from_secs(5);

fn limited_to(connections: u32, workers: usize, backend: &Backend) -> Gateway {
    Gateway::start_workers(workers, &[backend.address], None, |config| {
        config.limits.max_connections = Some(connections);
    })
}

fn asks(client: &mut Client) {
    client.send(GET);
    assert!(client.answer(2).ends_with("ok"));
}

/// A client that has had an answer.
fn idle(gateway: &Gateway) -> Client {
    let mut client = gateway.connect();
    asks(&mut client);
    client
}

fn one_waits(gateway: &Gateway) {
    eventually("a client waits", || {
        let mut registry = prometheus_client::registry::Registry::default();
        gateway.proxy.register_metrics(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.contains("gateway_connections_waiting 1\n")
    });
}

fn gets_in_at_once(gateway: &Gateway) -> Client {
    let start = Instant::now();
    let client = idle(gateway);
    assert!(start.elapsed() < AT_ONCE, "after {:?}", start.elapsed());
    client
}

#[test]
fn the_longest_idle_connection_makes_room() {
    let backend = Backend::ok();
    let gateway = limited_to(3, 1, &backend);
    let [mut first, mut second, mut third] = [(); 3].map(|()| idle(&gateway));
    // The oldest is not the one that was idle longest.
    asks(&mut first);
    let _fourth = gets_in_at_once(&gateway);
    let (rest, was_reset) = second.rest_and_end();
    assert_eq!((rest.as_str(), was_reset), ("", false), "closed in order");
    for other in [&mut first, &mut third] {
        asks(other);
    }
    // And so on.
    let _more = [(); 9].map(|()| gets_in_at_once(&gateway));
}

#[test]
fn who_wants_something_keeps_its_place() {
    let (answer_now, may_answer) = mpsc::channel::<()>();
    let may_answer = Mutex::new(may_answer);
    let backend = Backend::start(move |mut peer| {
        while let Some(request) = peer.request() {
            if request.starts_with("GET /slow ") {
                let _ = may_answer.lock().unwrap().recv();
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = limited_to(3, 1, &backend);
    let mut asking = idle(&gateway);
    let mut begun = idle(&gateway);
    let mut fresh = gateway.connect();
    asking.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    begun.send("GET / HTTP");
    fresh.send("G");
    eventually("the slow request", || backend.requests() == 3);

    let mut newcomer = gateway.connect();
    newcomer.send(GET);
    one_waits(&gateway);
    let wait = Duration::from_millis(300);
    newcomer.0.set_read_timeout(Some(wait)).unwrap();
    let waits = std::io::Read::read(&mut newcomer.0, &mut [0]);
    assert_eq!(waits.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);

    // The slow request ends, and its connection is the idle one.
    newcomer.0.set_read_timeout(Some(PATIENCE)).unwrap();
    let start = Instant::now();
    answer_now.send(()).unwrap();
    assert!(asking.answer(2).ends_with("ok"));
    assert!(newcomer.answer(2).ends_with("ok"));
    assert!(start.elapsed() < AT_ONCE, "after {:?}", start.elapsed());
    assert_eq!(asking.rest_and_end(), (String::new(), false));
    begun.send("/1.1\r\nHost: a\r\n\r\n");
    assert!(begun.answer(2).ends_with("ok"));
    fresh.send(&GET[1..]);
    assert!(fresh.answer(2).ends_with("ok"));
}

#[test]
fn idle_connections_of_other_workers_make_room_too() {
    let backend = Backend::ok();
    let gateway = limited_to(2, 3, &backend);
    let mut clients: Vec<Client> = (0..12).map(|_| gets_in_at_once(&gateway)).collect();
    // Who has just come in stays.
    asks(clients.last_mut().unwrap());
}

#[test]
fn an_open_tunnel_keeps_its_place() {
    let backend = Backend::start(|mut peer| {
        while let Some(request) = peer.request() {
            if request.contains("upgrade: websocket") {
                peer.send(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                );
                let _ = peer.read();
                peer.send(b"\x81\x05Hello");
                peer.drain();
            }
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = limited_to(2, 1, &backend);
    let mut tunnel = gateway.connect();
    tunnel.send(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert!(tunnel.head().starts_with("HTTP/1.1 101 "));
    let _others = [(); 3].map(|()| gets_in_at_once(&gateway));
    tunnel.send(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    let mut frame = [0; 7];
    std::io::Read::read_exact(&mut tunnel.0, &mut frame).unwrap();
    assert_eq!(&frame, b"\x81\x05Hello");
}

#[test]
fn a_removed_listener_does_not_wait_for_room() {
    let backend = Backend::ok();
    let gateway = limited_to(1, 1, &backend);
    let mut busy = gateway.connect();
    busy.send("GET / HT");
    let mut waiting = gateway.connect();
    waiting.send(GET);
    one_waits(&gateway);
    // Publishing returns, and who had come gets an answer.
    let mut removed = Config::default();
    removed.limits.max_connections = Some(1);
    gateway.apply(&removed);
    assert!(waiting.answers_then_close().ends_with("ok"));
    busy.send("TP/1.1\r\nHost: a\r\n\r\n");
    assert!(busy.answers_then_close().ends_with("ok"));
}
