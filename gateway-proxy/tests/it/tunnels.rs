//! Open tunnels from the control side: seen, ended, and drained with their target.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_core::name::PoolName;
use gateway_core::snapshot::{DrainCell, TargetId};
use gateway_core::tunnels::{
    DrainKind, DrainReport, DrainState, ListQuery, TunnelReport, TunnelStatus,
};
use gateway_proxy::{DrainOrder, Pace};

use crate::harness::{Backend, Client, Gateway, config, eventually, settings};

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: chat.example:81\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// "Hello", masked and not (RFC 6455 section 5.7).
const HELLO_MASKED: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
const HELLO: &[u8] = b"\x81\x05Hello";

/// Grants handshakes, answers frames with Hello, and a Close with a Close and the end. Other requests
/// get 200.
fn chat() -> Backend {
    gated_chat(Arc::default())
}

/// The same, but its 101s wait for the lock.
fn gated_chat(gate: Arc<Mutex<()>>) -> Backend {
    Backend::start(move |mut peer| {
        while let Some(head) = peer.until("\r\n\r\n") {
            if !head.to_lowercase().contains("upgrade: websocket") {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                continue;
            }
            drop(gate.lock());
            peer.send(ACCEPTED);
            while let Some(bytes) = peer.read() {
                if bytes[0] == 0x88 {
                    peer.send([0x88, 2, bytes[6] ^ bytes[2], bytes[7] ^ bytes[3]]);
                    return;
                }
                peer.send(HELLO);
            }
        }
    })
}

fn open(gateway: &Gateway) -> Client {
    let mut client = gateway.connect();
    client.send(HANDSHAKE);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    client
}

/// Reads a Close of this code up to the FIN, answering it; nothing else comes.
fn expect_close(client: &mut Client, code: u16) {
    let mut head = [0; 4];
    std::io::Read::read_exact(&mut client.0, &mut head).unwrap();
    assert_eq!(
        (head[0], u16::from_be_bytes([head[2], head[3]])),
        (0x88, code)
    );
    client.send([0x88, 0x82, 0, 0, 0, 0, head[2], head[3]]);
    let mut reason = Vec::new();
    std::io::Read::read_to_end(&mut client.0, &mut reason).unwrap();
    assert_eq!(reason.len() + 2, usize::from(head[1]), "nothing behind it");
    client.finish();
}

fn says_hello(client: &mut Client) {
    client.send(HELLO_MASKED);
    let mut got = [0; HELLO.len()];
    std::io::Read::read_exact(&mut client.0, &mut got).unwrap();
    assert_eq!(got, HELLO);
}

fn list(gateway: &Gateway, parameters: &[(&str, &str)]) -> (Vec<TunnelReport>, Option<String>) {
    let query = ListQuery::parse(parameters.iter().copied()).unwrap();
    let (tunnels, next) = gateway.block_on(gateway.proxy.tunnels(query)).finish();
    (tunnels, next.map(|next| next.to_string()))
}

/// The one target at `backend`.
fn target(gateway: &Gateway, backend: &Backend) -> [(TargetId, Arc<DrainCell>); 1] {
    let (snapshot, member) = (gateway.snapshot(), backend.address.to_string());
    let found = snapshot.targets_named(&PoolName::from("pool"), &member);
    let [(_, id, cell)] = <[_; 1]>::try_from(found.unwrap()).unwrap();
    [(id, cell)]
}

fn order(kind: DrainKind, pace: Pace) -> DrainOrder {
    DrainOrder {
        kind,
        what: "somebody".into(),
        code: None,
        reason: "going away".into(),
        pace,
        time: None,
    }
}

/// An operator has `backend` drained.
pub(crate) fn drain(gateway: &Gateway, backend: &Backend) -> DrainReport {
    let order = order(DrainKind::TargetDrained, Pace::Settings);
    let targets = target(gateway, backend);
    gateway.block_on(gateway.proxy.drain_targets(order, &targets))
}

fn state_of(gateway: &Gateway, drain: &DrainReport) -> DrainReport {
    let drains = gateway.proxy.drains();
    drains
        .into_iter()
        .find(|known| known.id == drain.id)
        .unwrap()
}

#[test]
fn a_tunnel_is_seen_with_what_it_is_and_carried() {
    let backend = chat();
    let gateway = Gateway::start(&[backend.address]);
    let mut client = open(&gateway);
    says_hello(&mut client);
    let (tunnels, next) = list(&gateway, &[]);
    let [tunnel] = <[_; 1]>::try_from(tunnels).unwrap();
    assert_eq!(next, None);
    let names = [
        &tunnel.listener,
        &tunnel.rule,
        &tunnel.pool,
        &tunnel.settings,
    ];
    assert_eq!(names, ["listener", "rule", "pool", "settings"]);
    assert_eq!(tunnel.client, client.0.local_addr().unwrap());
    assert_eq!(tunnel.target, backend.address);
    assert_eq!((&*tunnel.host, &*tunnel.path), ("chat.example", "/chat"));
    assert_eq!(tunnel.status, TunnelStatus::Open);
    assert_eq!((tunnel.received.messages, tunnel.received.bytes), (1, 11));
    assert_eq!((tunnel.sent.messages, tunnel.sent.bytes), (1, 7));
    assert!(tunnel.received.last_at >= tunnel.opened_at);
    let same = gateway.block_on(gateway.proxy.tunnel(tunnel.id));
    assert_eq!(same.as_ref(), Some(&tunnel));
    drop(client);
    eventually("no tunnel", || list(&gateway, &[]).0.is_empty());
    assert_eq!(gateway.block_on(gateway.proxy.tunnel(tunnel.id)), None);
}

#[test]
fn the_tunnels_of_all_workers_are_listed_page_by_page() {
    let backend = chat();
    let gateway = Gateway::start_workers(2, &[backend.address], None, |_| {});
    let mut clients: Vec<Client> = (0..20).map(|_| open(&gateway)).collect();
    eventually("all tunnels", || list(&gateway, &[]).0.len() == 20);
    let (mut seen, mut cursor) = (BTreeSet::new(), None);
    loop {
        let mut parameters = vec![("limit", "7"), ("client", "127.0.0.0/8")];
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let (tunnels, next) = list(&gateway, &parameters);
        if seen.is_empty() {
            // Who leaves between two pages hides nobody.
            drop(clients.pop());
            eventually("one less", || list(&gateway, &[]).0.len() == 19);
        }
        for tunnel in tunnels {
            assert!(seen.insert(tunnel.id), "{} twice", tunnel.id);
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    let (left, _) = list(&gateway, &[]);
    assert!(left.iter().all(|tunnel| seen.contains(&tunnel.id)));
    assert!(list(&gateway, &[("client", "192.0.2.0/24")]).0.is_empty());
}

#[test]
fn tunnels_on_all_workers_end_by_a_filter_and_are_counted_together() {
    let backend = chat();
    let gateway = Gateway::start_workers(2, &[backend.address], None, |_| {});
    let mut clients: Vec<Client> = (0..8).map(|_| open(&gateway)).collect();
    eventually("all tunnels", || list(&gateway, &[]).0.len() == 8);
    let kept = clients.pop().unwrap();
    let port = kept.0.local_addr().unwrap().port();
    let order = DrainOrder {
        code: Some(4321),
        ..order(DrainKind::Closed, Pace::PerSecond(100.try_into().unwrap()))
    };
    let ending = gateway
        .proxy
        .end_tunnels(order, move |tunnel| tunnel.client.port() != port);
    let report = gateway.block_on(ending);
    assert_eq!(report.total, 7);
    for client in &mut clients {
        expect_close(client, 4321);
    }
    eventually("the end of the drain", || {
        state_of(&gateway, &report).state == DrainState::Finished
    });
    assert_eq!(state_of(&gateway, &report).closed, 7);
    let mut kept = kept;
    says_hello(&mut kept);
}

#[test]
fn a_drained_target_gets_nothing_new_until_it_is_resumed_and_its_tunnels_close() {
    let (one, two) = (chat(), chat());
    let gateway = Gateway::start(&[one.address, two.address]);
    let mut clients = [open(&gateway), open(&gateway)];
    eventually("both tunnels", || list(&gateway, &[]).0.len() == 2);
    let at_one = |client: &Client| {
        let (tunnels, _) = list(&gateway, &[("target", &one.address.to_string())]);
        tunnels
            .iter()
            .any(|tunnel| tunnel.client == client.0.local_addr().unwrap())
    };
    clients.sort_by_key(|client| !at_one(client));
    let report = drain(&gateway, &one);
    assert_eq!((report.total, report.kind), (1, DrainKind::TargetDrained));
    expect_close(&mut clients[0], 1001);
    eventually("the end", || state_of(&gateway, &report).closed == 1);
    says_hello(&mut clients[1]);
    let before = (one.requests(), two.requests());
    for _ in 0..4 {
        open(&gateway);
        assert!(
            gateway
                .ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
                .ends_with("ok")
        );
    }
    assert_eq!((one.requests(), two.requests()), (before.0, before.1 + 8));
    gateway.block_on(gateway.proxy.resume_targets(&target(&gateway, &one)));
    open(&gateway);
    open(&gateway);
    assert_eq!(one.requests(), before.0 + 1, "its turn again");
}

#[test]
fn a_drain_survives_a_new_configuration_and_takes_in_a_handshake_that_was_under_way() {
    let gate = Arc::new(Mutex::new(()));
    let backend = gated_chat(Arc::clone(&gate));
    let gateway = Gateway::start(&[backend.address]);
    let held = gate.lock().unwrap();
    let mut late = gateway.connect();
    late.send(HANDSHAKE);
    eventually("the handshake at the backend", || backend.requests() == 1);
    let report = drain(&gateway, &backend);
    assert_eq!(report.total, 0, "the handshake is under way");
    // The same target under other settings is still drained.
    let mut changed = config(gateway.address.port(), &[backend.address]);
    settings(&mut changed).request_timeout = Duration::from_secs(7);
    gateway.apply(&changed);
    assert!(target(&gateway, &backend)[0].1.is_draining());
    let refused = gateway.ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.0 502 "), "{refused}");
    drop(held);
    assert!(late.head().starts_with("HTTP/1.1 101 "));
    expect_close(&mut late, 1001);
    eventually("the late one", || state_of(&gateway, &report).closed == 1);
    assert_eq!(gateway.proxy.drains().len(), 1, "it joined the drain");
}

#[test]
fn a_removed_target_drains_under_its_name_and_what_was_cancelled_stays() {
    let backend = chat();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        let tunnels = &mut settings(config).web_socket;
        tunnels.close_over = Some(Duration::from_secs(500));
        settings(config).drain_timeout = Duration::from_secs(1000);
    });
    let mut clients: Vec<Client> = (0..3).map(|_| open(&gateway)).collect();
    eventually("all tunnels", || list(&gateway, &[]).0.len() == 3);
    let spare = chat();
    let port = gateway.address.port();
    gateway.apply(&config(port, &[backend.address, spare.address]));
    gateway.apply(&config(port, &[spare.address]));
    let [report] = <[_; 1]>::try_from(gateway.proxy.drains()).unwrap();
    assert_eq!((report.kind, report.total), (DrainKind::TargetRemoved, 3));
    assert_eq!(report.what, format!("pool/{}", backend.address));
    let (tunnels, _) = list(&gateway, &[]);
    assert!(
        tunnels
            .iter()
            .all(|tunnel| tunnel.status == TunnelStatus::Draining)
    );
    let cancelled = gateway
        .block_on(gateway.proxy.cancel_drain(report.id))
        .unwrap();
    assert_eq!(
        (cancelled.state, cancelled.kept),
        (DrainState::Cancelled, 3)
    );
    // Another removal does not begin it again; one that takes the listener away is another drain.
    gateway.apply(&config(port, &[]));
    assert_eq!(state_of(&gateway, &report), cancelled);
    clients.iter_mut().for_each(says_hello);
    gateway.apply(&gateway_core::config::Config::default());
    let drains = gateway.proxy.drains();
    let last = drains.last().unwrap();
    assert_eq!((last.kind, last.total), (DrainKind::ListenerRemoved, 3));
    assert_eq!(last.what, "listener");
}

#[test]
fn a_drain_of_the_process_can_be_watched_to_its_end() {
    let backend = chat();
    let gateway = Gateway::start(&[backend.address]);
    let mut client = open(&gateway);
    let watch = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let runs = || {
                let drains = gateway.proxy.drains();
                drains.into_iter().find(|drain| drain.told == 1)
            };
            eventually("the drain", || runs().is_some());
            let query = ListQuery::parse([]).unwrap();
            let tunnels = futures_of(gateway.proxy.tunnels(query));
            expect_close(&mut client, 1001);
            (runs().unwrap(), tunnels.finish().0)
        });
        gateway.drain(Duration::from_secs(10));
        watch.join().unwrap()
    });
    assert_eq!((watch.0.kind, watch.0.total), (DrainKind::Shutdown, 1));
    assert_eq!(watch.1[0].status, TunnelStatus::Closing);
    assert_eq!(gateway.proxy.drains()[0].state, DrainState::Finished);
}

/// Waits on this thread: the gateway's own runtime waits for the drain.
fn futures_of<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}
