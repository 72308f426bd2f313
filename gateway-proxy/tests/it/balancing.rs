//! Who is sent where: by the client's address, and by what is open already.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gateway_core::config::{Balancing, Config};
use gateway_core::health::Health;
use gateway_core::name::ListenerName;

use crate::harness::{Backend, Client, Gateway, eventually};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
/// RFC 6455 section 1.3.
const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn balance_by(balancing: Balancing) -> impl FnOnce(&mut Config) {
    move |config| {
        let rule = config.rules.values_mut().next().unwrap();
        rule.balancing = balancing;
    }
}

/// Answers with its name.
fn named(name: &str) -> Backend {
    let length = name.len();
    Backend::answering(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}"
    ))
}

/// Accepts every handshake, with its name in the head.
fn accepting(name: &'static str) -> Backend {
    Backend::start(move |mut peer| {
        if peer.until("\r\n\r\n").is_some() {
            peer.send(format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nX-At: {name}\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            ));
        }
        peer.drain();
    })
}

/// Who answers each of some clients; a PROXY header says who they are.
fn answers(gateway: &Gateway) -> BTreeMap<u8, String> {
    (0..40)
        .map(|last| {
            let header = format!("PROXY TCP4 192.0.2.{last} 192.0.2.1 4321 80\r\n");
            let answer = gateway.ask([header.as_bytes(), GET].concat());
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            (last, body.to_owned())
        })
        .collect()
}

#[test]
fn a_client_belongs_to_one_target_by_the_address_that_is_believed() {
    let backends = [named("a"), named("b"), named("c")];
    let gateway = Gateway::start_with(&backends.each_ref().map(|one| one.address), |config| {
        balance_by(Balancing::IpHash)(config);
        let listener = ListenerName::from("listener");
        config.listeners.get_mut(&listener).unwrap().proxy_protocol = true;
    });
    let before = answers(&gateway);
    assert_eq!(answers(&gateway), before);
    let who: BTreeSet<_> = before.values().map(String::as_str).collect();
    assert_eq!(who.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);

    let snapshot = gateway.snapshot();
    let of_b = &snapshot.backends[0].targets[1];
    of_b.health.set(Health::Down);
    for (client, answer) in answers(&gateway) {
        let home = &before[&client];
        assert_ne!(answer, "b");
        assert!(answer == *home || home == "b", "{client} was at {home}");
    }
    of_b.health.set(Health::Up);
    assert_eq!(answers(&gateway), before);
}

#[test]
fn a_target_that_came_back_gets_little_at_first() {
    let backends = [named("a"), named("b")];
    let gateway = Gateway::start_with(&backends.each_ref().map(|one| one.address), |config| {
        let rule = config.rules.values_mut().next().unwrap();
        rule.slow_start = Some(Duration::from_secs(3600));
    });
    let requests = || [backends[0].requests(), backends[1].requests()];
    let ask = || (0..100).for_each(|_| assert!(gateway.ask(GET).starts_with("HTTP/1.1 200 ")));
    ask();
    assert_eq!(requests(), [50, 50], "all are new");
    let hour_ago = Instant::now().checked_sub(Duration::from_secs(3600));
    let snapshot = gateway.snapshot();
    let [old, back] = &snapshot.backends[0].targets[..] else {
        panic!("there are two targets");
    };
    old.health.came_back(hour_ago.unwrap());
    back.health.came_back(Instant::now());
    ask();
    let [old, back] = requests();
    assert_eq!(old + back, 200);
    assert!((5..15).contains(&(back - 50)), "{back}");
}

/// Opens tunnels one after another, each when the one before is counted, until there are `total`.
fn open(gateway: &Gateway, clients: &mut Vec<(Client, bool)>, total: usize) {
    while clients.len() < total {
        let mut client = gateway.connect();
        client.send(HANDSHAKE);
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        clients.push((client, head.contains("heavy")));
        eventually("the tunnel is counted", || {
            tunnels(gateway).iter().sum::<u32>() as usize == clients.len()
        });
    }
}

fn tunnels(gateway: &Gateway) -> Vec<u32> {
    let snapshot = gateway.snapshot();
    let targets = snapshot.backends[0].targets.iter();
    targets
        .map(|target| target.load.iter().map(|cell| cell.tunnels()).sum())
        .collect()
}

#[test]
fn least_connections_counts_open_tunnels_by_weight() {
    let backends = [accepting("light"), accepting("heavy")];
    let addresses = backends.each_ref().map(|one| one.address);
    let gateway = Gateway::start_workers(2, &addresses, None, |config| {
        balance_by(Balancing::LeastConnections)(config);
        let pool = config.pools.values_mut().next().unwrap();
        pool.targets[1].weight = 3.try_into().unwrap();
    });
    let mut clients = Vec::new();
    open(&gateway, &mut clients, 16);
    assert_eq!(tunnels(&gateway), [4, 12]);

    clients.retain(|(_, at_heavy)| !at_heavy);
    eventually("its tunnels end", || tunnels(&gateway) == [4, 0]);
    // Who comes next goes there, until it is even again.
    open(&gateway, &mut clients, 10);
    assert_eq!(tunnels(&gateway), [4, 6]);
    open(&gateway, &mut clients, 16);
    assert_eq!(tunnels(&gateway), [4, 12]);
}
