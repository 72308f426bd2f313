//! What is known of tunnels: their records, and what is counted of them while they live.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_core::config::Config;
use gateway_proxy::AccessSink;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::Value;

use crate::harness::{Backend, Client, Gateway, eventually, settings};

const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: chat\r\n\r\n";

/// A good handshake (RFC 6455 section 1.3) in `version` of the protocol.
fn handshake(version: u8) -> String {
    format!(
        "GET /chat?room=1 HTTP/1.1\r\nHost: site.example:8080\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Version: {version}\r\n\r\n"
    )
}

/// A client's frame; a masking key of zeros changes nothing.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

/// Accepts every handshake, says "hello", and is silent for as long as it is listened to.
fn greeter() -> Backend {
    Backend::start(|mut peer| {
        if peer.until("\r\n\r\n").is_some() {
            peer.send([ACCEPTED.as_bytes(), b"\x81\x05hello"].concat());
            while peer.read().is_some() {}
        }
    })
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    /// The records of that name so far.
    fn records(&self, operation: &str) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines();
        let records = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records
            .filter(|record| record["operationName"] == operation)
            .collect()
    }

    /// The first of them, with the properties apart.
    fn first(&self, operation: &str) -> (Value, Value) {
        eventually(operation, || !self.records(operation).is_empty());
        let record = self.records(operation).swap_remove(0);
        let properties = record["properties"].clone();
        (record, properties)
    }
}

fn open(gateway: &Gateway) -> Client {
    let mut client = gateway.connect();
    client.send(handshake(13));
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    let mut greeting = [0; 7];
    client.0.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"\x81\x05hello");
    client
}

fn logging(backend: &Backend, change: impl FnOnce(&mut Config)) -> (Gateway, Kept) {
    let kept = Kept::default();
    let sink = AccessSink::to_writer(kept.clone()).unwrap();
    let gateway = Gateway::start_logging(&[backend.address], Some(sink), change);
    (gateway, kept)
}

#[test]
fn a_tunnel_leaves_records_when_it_opens_while_it_lives_and_when_it_ends() {
    let backend = greeter();
    let (gateway, kept) = logging(&backend, |config| {
        settings(config).web_socket.progress_interval = Some(Duration::from_secs(1));
    });
    let mut client = open(&gateway);
    client.send(masked(0x82, b"1234"));

    let (record, opened) = kept.first("TunnelOpen");
    assert_eq!(record["category"], "ApplicationGatewayAccessLog");
    assert_eq!(record["listenerName"], "listener");
    assert_eq!(record["backendSettingName"], "settings");
    assert_eq!(opened["host"], "site.example");
    assert_eq!(opened["requestUri"], "/chat");
    assert_eq!(opened["subprotocol"], "chat");
    assert_eq!(opened["tunnelId"], "0-0");
    assert_eq!(opened["clientIP"], "127.0.0.1");
    assert_eq!(opened["serverRouted"], backend.address.to_string());
    assert_eq!(opened["receivedBytes"], Value::Null);
    let (_, request) = kept.first("ApplicationGatewayAccess");
    assert_eq!(request["httpStatus"], 101);
    assert_eq!(request["transactionId"], opened["transactionId"]);

    eventually("two records of progress", || {
        kept.records("TunnelProgress").len() >= 2
    });
    let (_, progress) = kept.first("TunnelProgress");
    assert_eq!(progress["tunnelId"], "0-0");
    assert_eq!(progress["transactionId"], opened["transactionId"]);
    assert_eq!(progress["receivedMessages"], 1);
    assert_eq!(progress["sentMessages"], 1);
    assert!(progress["timeTaken"].as_f64().unwrap() >= 1.0);
    assert_eq!(progress["cause"], Value::Null);

    let reason = b"\x0f\xa1\"}\n\xff{\"cause\": \"none\"";
    client.send(masked(0x88, reason));
    drop(client);
    let (_, end) = kept.first("TunnelEnd");
    assert_eq!(end["tunnelId"], "0-0");
    assert_eq!(end["endedBy"], "client");
    assert_eq!(end["cause"], "close");
    assert_eq!(end["closeCode"], 4001);
    assert_eq!(end["closeReason"], "\"}\n\u{fffd}{\"cause\": \"none\"");
    assert_eq!(end["receivedMessages"], 1);
    assert_eq!(kept.records("TunnelEnd").len(), 1);
}

#[test]
fn without_an_interval_nothing_is_said_while_a_tunnel_lives() {
    let backend = greeter();
    let (gateway, kept) = logging(&backend, |_| {});
    let client = open(&gateway);
    drop(client);
    let (_, end) = kept.first("TunnelEnd");
    assert_eq!(end["endedBy"], "client");
    assert_eq!(end["closeCode"], Value::Null);
    assert_eq!(end["closeReason"], Value::Null);
    assert!(kept.records("TunnelProgress").is_empty());
}

#[test]
fn what_we_say_at_a_drain_is_in_the_record() {
    let backend = greeter();
    let (gateway, kept) = logging(&backend, |_| {});
    let _client = open(&gateway);
    gateway.drain(Duration::from_secs(1));
    let (_, end) = kept.first("TunnelEnd");
    assert_eq!(end["endedBy"], "gateway");
    assert_eq!(end["cause"], "drain");
    assert_eq!(end["closeCode"], 1001);
    assert!(!end["closeReason"].as_str().unwrap().is_empty());
}

fn scraper(gateway: &Gateway) -> impl Fn() -> String {
    let mut registry = Registry::default();
    gateway.proxy.register_metrics(&mut registry);
    move || {
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }
}

/// Waits until all of `lines` are shown.
fn shows(scrape: &impl Fn() -> String, lines: &[&str]) {
    for line in lines {
        eventually(line, || scrape().contains(&format!("{line}\n")));
    }
}

const PAIR: &str = "listener=\"listener\",pool=\"pool\"";

#[test]
fn a_tunnel_is_counted_while_it_lives() {
    let backend = greeter();
    let gateway = Gateway::start_with(&[backend.address], |config| {
        settings(config).web_socket.ping_interval = Some(Duration::from_secs(1));
    });
    let scrape = scraper(&gateway);
    let mut client = open(&gateway);
    client.send(
        [
            masked(0x02, b"12"),
            masked(0x80, b"345"),
            masked(0x89, b"?"),
        ]
        .concat(),
    );
    shows(
        &scrape,
        &[
            &format!("gateway_tunnels_active{{{PAIR}}} 1"),
            &format!("gateway_tunnels_opened_total{{{PAIR}}} 1"),
            r#"gateway_tunnel_messages_total{direction="to_backend",opcode="binary"} 1"#,
            r#"gateway_tunnel_messages_total{direction="to_backend",opcode="ping"} 1"#,
            r#"gateway_tunnel_messages_total{direction="to_client",opcode="text"} 1"#,
            r#"gateway_tunnel_bytes_total{direction="to_backend",opcode="binary"} 5"#,
            r#"gateway_tunnel_bytes_total{direction="to_client",opcode="text"} 5"#,
            r#"gateway_tunnel_message_size_bytes_bucket{le="64.0",direction="to_backend"} 1"#,
            r#"gateway_tunnel_message_size_bytes_sum{direction="to_backend"} 5.0"#,
            r#"gateway_drain_tunnels{kind="Shutdown"} 0"#,
        ],
    );
    assert!(!scrape().contains("gateway_tunnels_ended_total"));

    // A Ping of the gateway's; its Pong is told by its payload.
    let mut ping = [0; 2];
    client.0.read_exact(&mut ping).unwrap();
    assert_eq!(ping[0], 0x89);
    let mut payload = vec![0; usize::from(ping[1])];
    client.0.read_exact(&mut payload).unwrap();
    client.send(masked(0x8a, &payload));
    shows(
        &scrape,
        &[r#"gateway_tunnel_ping_round_trip_seconds_count{side="client"} 1"#],
    );

    client.send(masked(0x88, &1000_u16.to_be_bytes()));
    drop(client);
    shows(
        &scrape,
        &[
            &format!("gateway_tunnels_active{{{PAIR}}} 0"),
            &format!("gateway_tunnels_ended_total{{{PAIR},by=\"client\",cause=\"close\"}} 1"),
            &format!("gateway_tunnels_closed_total{{{PAIR},by=\"client\",code=\"1000\"}} 1"),
            &format!("gateway_tunnel_age_seconds_count{{{PAIR}}} 1"),
        ],
    );
}

#[test]
fn handshakes_that_fail_are_counted_by_their_reason() {
    let backend = Backend::start(|mut peer| {
        if peer.until("\r\n\r\n").is_none() {
            return;
        }
        peer.send(match peer.index {
            0 => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned(),
            1 => ACCEPTED.replace("s3pPL", "wrong"),
            _ => ACCEPTED.to_owned(),
        });
        while peer.read().is_some() {}
    });
    let gateway = Gateway::start(&[backend.address]);
    let scrape = scraper(&gateway);
    let shake = |handshake: String, status: &str| {
        let mut client = gateway.connect();
        client.send(handshake);
        let head = client.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    };
    let bad_key = |text: String| text.replace("dGhl", "");
    shake(handshake(8), "426");
    shake(bad_key(handshake(13)), "400");
    shake(bad_key(handshake(13)), "400");
    shake(handshake(13), "403");
    shake(handshake(13), "502");
    shows(
        &scrape,
        &[
            &format!("gateway_handshake_failures_total{{{PAIR},reason=\"version\"}} 1"),
            &format!("gateway_handshake_failures_total{{{PAIR},reason=\"malformed\"}} 2"),
            &format!("gateway_handshake_failures_total{{{PAIR},reason=\"backend_status\"}} 1"),
            &format!("gateway_handshake_failures_total{{{PAIR},reason=\"backend_accept\"}} 1"),
        ],
    );
    let counted: u64 = gateway
        .proxy
        .handshake_failures()
        .iter()
        .map(|failures| failures.count)
        .sum();
    assert_eq!(counted, 5);
    // A plain request that fails is no handshake.
    gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(gateway.proxy.handshake_failures().len(), 4);
}
