//! How many tunnels there may be, and how many handshakes a second.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use gateway_core::config::HandshakeRate;
use gateway_core::health::Health;

use super::*;
use crate::harness::{eventually, free_port};

const PLAIN: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn rate(per_second: u32, ramp: u64) -> Option<HandshakeRate> {
    Some(HandshakeRate {
        per_second: NonZeroU32::new(per_second).unwrap(),
        ramp: Duration::from_secs(ramp),
    })
}

/// Seconds of a refusal's `Retry-After`.
fn retry_after(head: &str) -> u32 {
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let lines = head.lines();
    let value = lines
        .filter_map(|line| line.strip_prefix("retry-after: "))
        .next();
    value
        .unwrap_or_else(|| panic!("no Retry-After: {head}"))
        .parse()
        .unwrap()
}

fn refused(gateway: &Gateway) -> String {
    match shake(gateway, "") {
        Ok(_) => panic!("the handshake was not refused"),
        Err(head) => head,
    }
}

#[test]
fn a_listener_has_so_many_tunnels() {
    let backend = opener();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        web_socket(config).max_connections = Some(2);
    });
    let first = shake(&gateway, "").unwrap();
    let _second = shake(&gateway, "").unwrap();
    let seconds = retry_after(&refused(&gateway));
    assert!((5..=30).contains(&seconds), "{seconds}");
    // Others are not concerned.
    assert!(get(&gateway, PLAIN).ends_with("ok"));
    drop(first);
    eventually("a free place", || shake(&gateway, "").is_ok());
}

/// Keeps handshakes waiting until it is opened.
#[derive(Default)]
struct Door(Mutex<bool>, Condvar);

impl Door {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        let shut = self.0.lock().unwrap();
        drop(self.1.wait_while(shut, |open| !*open).unwrap());
    }
}

fn hesitant(door: &Arc<Door>) -> Backend {
    let door = Arc::clone(door);
    Backend::start(move |mut peer| {
        if peer.until("\r\n\r\n").is_some() {
            door.wait();
            peer.send(accepted(ACCEPT));
            peer.drain();
        }
    })
}

#[test]
fn handshakes_under_way_count() {
    let limits: [fn(&mut Config); 3] = [
        |config| web_socket(config).max_connections = Some(1),
        |config| web_socket(config).max_connections_per_client = Some(1),
        |config| settings(config).web_socket.max_connections = Some(1),
    ];
    for limit in limits {
        let door = Arc::<Door>::default();
        let backend = hesitant(&door);
        let gateway = Gateway::start_with(&[backend.address], limit);
        let mut first = gateway.connect();
        first.send(handshake(""));
        eventually("the first one at the backend", || backend.requests() == 1);
        refused(&gateway);
        // One that gives up leaves its place.
        drop(first);
        let target = Arc::clone(&gateway.snapshot().backends[0].targets[0]);
        eventually("the end of the first one", || target.load() == 0);
        let mut second = gateway.connect();
        second.send(handshake(""));
        eventually("the second one at the backend", || backend.requests() == 2);
        door.open();
        assert!(second.head().starts_with("HTTP/1.1 101 "));
    }
}

#[test]
fn many_at_once_at_several_workers_get_exactly_what_there_is() {
    let limits: [fn(&mut Config); 3] = [
        |config| web_socket(config).max_connections = Some(10),
        |config| web_socket(config).max_connections_per_client = Some(10),
        |config| settings(config).web_socket.max_connections = Some(10),
    ];
    for limit in limits {
        let door = Arc::<Door>::default();
        let backend = hesitant(&door);
        let gateway = Gateway::start_workers(4, &[backend.address], None, limit);
        let mut clients: Vec<Client> = (0..40).map(|_| gateway.connect()).collect();
        for client in &mut clients {
            client.send(handshake(""));
        }
        eventually("all places taken", || backend.requests() >= 10);
        door.open();
        let heads: Vec<String> = clients.iter_mut().map(Client::head).collect();
        let opened = heads
            .iter()
            .filter(|head| head.starts_with("HTTP/1.1 101 "));
        assert_eq!(opened.count(), 10);
        let refused = heads
            .iter()
            .filter(|head| head.starts_with("HTTP/1.1 503 "));
        assert_eq!(refused.count(), 30);
        assert_eq!(backend.requests(), 10);
    }
}

#[test]
fn each_client_has_its_own_bound_at_a_listener() {
    let backend = opener();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        web_socket(config).max_connections_per_client = Some(1);
    });
    let from = |last: u8| {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let own = SocketAddr::from(([127, 0, 0, last], 0));
        socket.bind(&own.into()).unwrap();
        socket.connect(&gateway.address.into()).unwrap();
        let mut client = Client(socket.into());
        client.send(handshake(""));
        let head = client.head();
        (client, head[9..12].to_owned())
    };
    let (_first, status) = from(2);
    assert_eq!(status, "101");
    assert_eq!(from(2).1, "503");
    assert_eq!(from(3).1, "101");
}

#[test]
fn a_full_target_hands_over_to_the_least_loaded() {
    let backends = [opener(), opener(), opener()];
    let addresses = [
        backends[0].address,
        backends[1].address,
        backends[2].address,
    ];
    let gateway = Gateway::start_with(&addresses, |config| {
        settings(config).web_socket.max_connections = Some(2);
    });
    let open = || shake(&gateway, "").unwrap();
    let loads = || {
        let snapshot = gateway.snapshot();
        let targets = snapshot.backends[0].targets.iter();
        targets
            .map(|target| target.load.of(0).tunnels())
            .collect::<Vec<_>>()
    };
    // In turn: one each, and the first one's second.
    let mut open_ones = vec![open(), open(), open(), open()];
    eventually("the first one full", || loads() == [2, 1, 1]);
    drop(open_ones.remove(2));
    eventually("the third one empty", || loads() == [2, 1, 0]);
    // Two requests later it is the first one's turn again.
    for _ in 0..2 {
        assert!(get(&gateway, PLAIN).ends_with("ok"));
    }
    open_ones.push(open());
    eventually("one more at the least loaded", || loads() == [2, 1, 1]);
    open_ones.extend([open(), open()]);
    eventually("all full", || loads() == [2, 2, 2]);
    let head = refused(&gateway);
    assert!((5..=30).contains(&retry_after(&head)), "{head}");
    drop(open_ones.pop());
    eventually("a free place", || shake(&gateway, "").is_ok());
}

/// As if the refusing one were known to be down: not the 502 of a pool that is broken.
#[test]
fn where_one_target_refuses_and_the_others_are_full_there_is_a_time_to_come_back() {
    let (full, gone) = (opener(), free_port());
    let addresses = [full.address, SocketAddr::from(([127, 0, 0, 1], gone))];
    let gateway = Gateway::start_with(&addresses, |config| {
        settings(config).web_socket.max_connections = Some(1);
    });
    let _open = shake(&gateway, "").unwrap();
    // Whoever's turn it is: it is tried again each second, and passed over in between.
    for _ in 0..4 {
        let head = refused(&gateway);
        assert!((5..=30).contains(&retry_after(&head)), "{head}");
    }
    // A plain request finds room.
    assert!(get(&gateway, PLAIN).ends_with("ok"));
}

#[test]
fn limits_that_are_set_later_count_what_is_open() {
    let backend = opener();
    let gateway = Gateway::start(&[backend.address]);
    let mut open = shake(&gateway, "").unwrap();
    let limits: [fn(&mut Config); 2] = [
        |config| web_socket(config).max_connections = Some(1),
        |config| settings(config).web_socket.max_connections = Some(1),
    ];
    for limit in limits {
        let mut config = config(gateway.address.port(), &[backend.address]);
        limit(&mut config);
        gateway.apply(&config);
        refused(&gateway);
        // Who is there stays, also where no rule leads there for a while.
        let rules = std::mem::take(&mut config.rules);
        gateway.apply(&config);
        gateway.apply(&Config { rules, ..config });
        refused(&gateway);
    }
    const EMPTY_TEXT: &[u8] = b"\x81\x80\0\0\0\0";
    open.send(EMPTY_TEXT);
    let frame = String::from_utf8_lossy(EMPTY_TEXT);
    eventually("the frame", || backend.seen().concat().ends_with(&*frame));
}

#[test]
fn handshakes_over_a_rate_are_asked_to_come_back_at_different_times() {
    let limits: [fn(&mut Config); 3] = [
        |config| config.limits.max_handshakes_per_second = Some(NonZeroU32::MIN),
        // A slow ramp: one now, the next one in ten seconds.
        |config| web_socket(config).handshakes = rate(1, 3600),
        |config| settings(config).web_socket.handshakes = rate(1, 3600),
    ];
    for limit in limits {
        let backend = opener();
        let gateway = Gateway::start_workers(2, &[backend.address], None, limit);
        let _open = shake(&gateway, "").unwrap();
        let heads: Vec<_> = (0..60).filter_map(|_| shake(&gateway, "").err()).collect();
        assert!(heads.len() > 50);
        let mut seconds: Vec<u32> = heads.iter().map(|head| retry_after(head)).collect();
        seconds.sort_unstable();
        assert!(
            seconds[0] >= 1 && seconds[seconds.len() - 1] <= 10,
            "{seconds:?}"
        );
        seconds.dedup();
        assert!(seconds.len() > 3, "{seconds:?}");
        // Others are not concerned.
        assert!(get(&gateway, PLAIN).ends_with("ok"));
    }
}

#[test]
fn who_finds_no_room_takes_nothing_from_the_rate() {
    let backend = opener();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        let listener = web_socket(config);
        listener.max_connections = Some(1);
        listener.handshakes = rate(5, 0);
    });
    let open = shake(&gateway, "").unwrap();
    for _ in 0..20 {
        let seconds = retry_after(&refused(&gateway));
        assert!(seconds >= 5, "refused for its rate");
    }
    drop(open);
    eventually("a free place", || shake(&gateway, "").is_ok());
}

#[test]
fn a_pool_that_comes_back_is_not_overrun() {
    let backend = opener();
    let start = Instant::now();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        settings(config).web_socket.handshakes = rate(60, 1);
    });
    let ten = || {
        (0..10)
            .map(|_| shake(&gateway, "").is_ok())
            .filter(|open| *open)
    };
    let second = Duration::from_secs(1);
    eventually("the end of the start's ramp", || start.elapsed() > second);
    assert_eq!(ten().count(), 10);
    let health = |health| {
        gateway.snapshot().backends[0].targets[0].health.set(health);
        gateway.proxy.health_changed();
    };
    health(Health::Down);
    health(Health::Up);
    // There was room for more; but the ramp begins again, with six a second.
    assert!(ten().count() < 10);
}
