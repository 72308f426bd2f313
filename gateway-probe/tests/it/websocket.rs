//! WebSocket probes: the handshake, the Ping and its Pong, the goodbye; and backends that lie.

use std::time::Duration;

use gateway_core::health::{Health, ProbeFailure, ProbeOutcome};
use gateway_core::websocket::{encode_close, encode_ping, encode_pong};
use gateway_probe::Prober;

use crate::backend::{Backend, ECHO, HEALTHY, SWITCHING, Say, Seen, Then, WebSocket};
use crate::setup::{
    Setup, cells, expect_malformed, expect_timeout, first_outcome, first_probe, until,
};
use crate::tls::Authority;

const GOOD: &str = "status 101, and the Ping got its Pong";

const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;

fn says(websocket: WebSocket) -> Say {
    Say::WebSocket(websocket)
}

fn opens_with(head: &'static str) -> Say {
    says(WebSocket { head, ..ECHO })
}

fn greets_with(first: &'static [u8]) -> Say {
    says(WebSocket { first, ..ECHO })
}

fn answers_with(pong: fn(&[u8]) -> Vec<u8>) -> Say {
    says(WebSocket { pong, ..ECHO })
}

/// What a probe makes of each of these backends, in words; none of them keeps a connection.
async fn expect_outcomes<const N: usize>(rows: [(Say, &str); N]) {
    for (say, expected) in rows {
        let backend = Backend::start(say.clone()).await;
        let setup = Setup::new([backend.address]).by_websocket(None);
        assert_eq!(first_outcome(&setup).await, expected, "{say:?}");
        backend.until(|seen| seen.open == 0).await;
    }
}

/// The payloads of the frames of this kind.
fn payloads(seen: &Seen, opcode: u8) -> Vec<Vec<u8>> {
    let frames = seen.frames.iter().filter(|frame| frame.0 == opcode);
    frames.map(|frame| frame.2.clone()).collect()
}

#[tokio::test]
async fn a_probe_is_a_handshake_a_ping_and_a_close() {
    let backend = Backend::start(says(ECHO)).await;
    let prober = Prober::start();
    let setup = Setup::new([backend.address]).by_websocket(None);
    let snapshot = setup.apply(&prober, None);
    until(&prober, cells(&snapshot)[0], |report| {
        report.health == Health::Up
    })
    .await;
    let seen = backend.until(|seen| payloads(seen, CLOSE).len() >= 2).await;
    prober.stop().await;
    // None is left behind.
    backend.until(|seen| seen.open == 0).await;

    let key = seen.heads[0]
        .lines()
        .find_map(|line| line.strip_prefix("sec-websocket-key: "))
        .unwrap();
    assert_eq!(
        seen.heads[0],
        format!(
            "GET /health?deep=1 HTTP/1.1\r\nhost: www.contoso.com\r\n\
             user-agent: gateway-probe\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: {key}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
        )
    );
    assert_ne!(seen.heads[0], seen.heads[1], "10.3: a key for each");
    let kinds: Vec<u8> = seen.frames.iter().map(|frame| frame.0).collect();
    assert_eq!(kinds[..4], [PING, CLOSE, PING, CLOSE]);
    assert_eq!(seen.frames[1].2, 1000_u16.to_be_bytes());
    let pings = payloads(&seen, PING);
    assert_eq!(pings[0].len(), 16);
    assert_ne!(pings[0], pings[1], "a payload for each");
    assert_ne!(seen.frames[0].1, seen.frames[1].1, "5.3: a mask for each");
}

#[tokio::test]
async fn handshakes_are_judged() {
    let rows = [
        (
            Say::Bytes(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"),
            "status 403, expected 101",
        ),
        (HEALTHY, "status 204, expected 101"),
        (
            Say::Bytes(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\n\r\n"),
            "status 503, expected 101",
        ),
        (
            opens_with(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
            ),
            "the WebSocket handshake failed: the backend's Sec-WebSocket-Accept is not for this key",
        ),
        (
            opens_with(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n",
            ),
            "the WebSocket handshake failed: the backend's 101 does not upgrade to websocket",
        ),
        (
            opens_with(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n",
            ),
            "the WebSocket handshake failed: the backend's 101 has no Connection: upgrade",
        ),
        (
            opens_with(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\
                 Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            ),
            "the WebSocket handshake failed: the backend chose an extension that was not offered",
        ),
        (
            Say::Bytes(b"HTTP/1.1 101 Switching Pro"),
            "the connection was closed before the answer was complete: end of stream",
        ),
        (
            Say::Reset,
            "the connection was closed before the answer was complete: reset",
        ),
    ];
    expect_outcomes(rows).await;
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_malformed() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.6\r\n"[..],
        b"HTTP/1.1 101 Switching\r\nno colon\r\n\r\n",
    ] {
        let backend = Backend::start(Say::Bytes(bytes)).await;
        let setup = Setup::new([backend.address]).by_websocket(None);
        expect_malformed(&setup, &bytes.escape_ascii().to_string()).await;
    }
}

#[tokio::test]
async fn a_subprotocol_is_offered_and_has_to_be_agreed_to() {
    const CHAT: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
        Sec-WebSocket-Protocol: chat\r\n\r\n";
    let rows = [
        (Some("chat"), CHAT, GOOD),
        (
            Some("chat"),
            SWITCHING,
            "the WebSocket handshake failed: the backend did not agree to the subprotocol \"chat\"",
        ),
        (
            Some("superchat"),
            CHAT,
            "the WebSocket handshake failed: the backend chose a subprotocol that was not offered",
        ),
        (
            None,
            CHAT,
            "the WebSocket handshake failed: the backend chose a subprotocol that was not offered",
        ),
    ];
    for (subprotocol, head, expected) in rows {
        let backend = Backend::start(opens_with(head)).await;
        let setup = Setup::new([backend.address]).by_websocket(subprotocol);
        assert_eq!(first_outcome(&setup).await, expected, "{subprotocol:?}");
        let offered = subprotocol.map(|name| format!("sec-websocket-protocol: {name}\r\n"));
        let head = backend.seen().heads.remove(0);
        match offered {
            Some(line) => assert!(head.contains(&line), "{head}"),
            None => assert!(!head.contains("sec-websocket-protocol"), "{head}"),
        }
    }
}

#[tokio::test]
async fn what_comes_instead_of_the_pong_is_told() {
    let then = |then: Then| {
        says(WebSocket {
            pong: |_| vec![],
            then,
            ..ECHO
        })
    };
    let rows = [
        (greets_with(b"\x81\x05hello"), GOOD),
        // A Pong that answers nothing, and half of a message.
        (greets_with(b"\x8a\x00\x01\x03hel"), GOOD),
        (
            answers_with(|payload| [b"\x82\x02hi", &encode_pong(payload, None)[..]].concat()),
            GOOD,
        ),
        (
            answers_with(|_| encode_close(1013, "try later", None)),
            "no Pong: the backend closed the WebSocket with 1013 \"try later\"",
        ),
        (
            greets_with(b"\x88\x02\x03\xe9"),
            "no Pong: the backend closed the WebSocket with 1001",
        ),
        (
            answers_with(|payload| encode_pong(payload, Some([1, 2, 3, 4]))),
            "no Pong: what came is no valid frame: the mask bit is wrong for this direction",
        ),
        (
            greets_with(b"\x83\x00"),
            "no Pong: what came is no valid frame: reserved opcode 0x3",
        ),
        (
            greets_with(b"\xc1\x05hello"),
            "no Pong: what came is no valid frame: a reserved bit is set without an extension",
        ),
        (
            then(Then::End),
            "no Pong: the connection was closed: end of stream",
        ),
        (
            then(Then::Reset),
            "no Pong: the connection was closed: reset",
        ),
    ];
    expect_outcomes(rows).await;
}

#[tokio::test]
async fn a_flood_is_cut() {
    static FRAME: [u8; 4 + 0xfffc] = {
        let mut frame = [0; 4 + 0xfffc];
        [frame[0], frame[1], frame[2], frame[3]] = [0x82, 0x7e, 0xff, 0xfc];
        frame
    };
    let flood = answers_with(|_| FRAME.repeat(64));
    let backend = Backend::start(flood).await;
    let setup = Setup::new([backend.address])
        .by_websocket(None)
        .within(Duration::from_secs(20));
    assert_eq!(
        first_outcome(&setup).await,
        "no Pong: more than 1024 KiB of other frames came"
    );
    backend.until(|seen| seen.open == 0).await;
}

#[tokio::test]
async fn a_ping_of_the_backends_is_answered() {
    // It asks in turn, and never answers: the probe ends with its time.
    let asks = answers_with(|_| encode_ping(b"are you there", None));
    let backend = Backend::start(asks).await;
    let setup = Setup::new([backend.address])
        .by_websocket(None)
        .within(Duration::from_millis(500));
    expect_timeout(&setup).await;
    let pongs = payloads(&backend.seen(), PONG);
    assert_eq!(pongs, [b"are you there"]);
}

#[tokio::test]
async fn the_time_limit_covers_every_step_and_says_which() {
    let mute = |pong| {
        says(WebSocket {
            pong,
            then: Then::Mute,
            ..ECHO
        })
    };
    let limit = Duration::from_millis(250);
    let rows = [
        (
            Say::Hang(b""),
            "no answer within 0.25 s (while waiting for the answer to the handshake)",
        ),
        (
            Say::Hang(b"HTTP/1.1 101 Switching"),
            "no answer within 0.25 s (while waiting for the answer to the handshake)",
        ),
        (
            mute(|_| vec![]),
            "no answer within 0.25 s (while waiting for the Pong)",
        ),
        // Half of a Pong.
        (
            mute(|payload| encode_pong(payload, None)[..10].to_vec()),
            "no answer within 0.25 s (while waiting for the Pong)",
        ),
        (
            mute(|_| encode_pong(b"not yours", None)),
            "no Pong: 1 came in time, none with the payload of the Ping",
        ),
        // A Close that is not answered harms nobody.
        (mute(|payload| encode_pong(payload, None)), GOOD),
    ];
    for (say, expected) in rows {
        let backend = Backend::start(say.clone()).await;
        let setup = Setup::new([backend.address])
            .by_websocket(None)
            .within(limit);
        let probe = first_probe(&setup).await;
        assert_eq!(probe.outcome.to_string(), expected, "{say:?}");
        assert!(probe.took >= limit, "{probe:?}");
        backend.until(|seen| seen.open == 0).await;
    }
}

#[tokio::test]
async fn heads_without_end_are_cut() {
    let endless = Say::ForEver(
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"some-name: some value\r\n",
    );
    let backend = Backend::start(endless).await;
    let setup = Setup::new([backend.address])
        .by_websocket(None)
        .within(Duration::from_secs(20));
    expect_malformed(&setup, "a head without end").await;
    backend.until(|seen| seen.open == 0).await;
}

#[tokio::test]
async fn it_goes_over_tls_where_the_http_settings_do() {
    let (ours, other) = (Authority::new("Ours"), Authority::new("Other"));
    let rows = [
        (&ours, GOOD),
        (
            &other,
            "TLS: the certificate's issuer is unknown: it does not chain to a trusted root, or the \
             backend does not send its intermediates",
        ),
    ];
    for (authority, expected) in rows {
        let server = authority.server(&["www.contoso.com"], 2999);
        let backend = Backend::start_tls(says(ECHO), server).await;
        let setup = Setup::new([backend.address])
            .over_tls([ours.root()])
            .by_websocket(None);
        assert_eq!(first_outcome(&setup).await, expected);
    }
    // A Close goes by TLS, too, and ends in order.
    let server = ours.server(&["www.contoso.com"], 2999);
    let backend = Backend::start_tls(says(ECHO), server).await;
    let setup = Setup::new([backend.address])
        .over_tls([ours.root()])
        .by_websocket(None);
    first_probe(&setup).await;
    let seen = backend.until(|seen| seen.open == 0).await;
    assert_eq!(payloads(&seen, CLOSE), [1000_u16.to_be_bytes()]);
}

#[tokio::test]
async fn down_while_upgrades_fail_and_up_again() {
    let backend = Backend::start(says(ECHO)).await;
    let setup = Setup::new([backend.address]).by_websocket(None);
    let prober = Prober::start();
    let mut registry = prometheus_client::registry::Registry::default();
    prober.register_metrics(&mut registry);
    let snapshot = setup.apply(&prober, None);
    let cell = &snapshot.backends[0].targets[0].health;
    until(&prober, cell.id, |report| report.health == Health::Up).await;

    // Its pages are as well as ever.
    backend.say(HEALTHY);
    until(&prober, cell.id, |report| report.health == Health::Down).await;
    backend.say(answers_with(|_| encode_close(1011, "", None)));
    until(&prober, cell.id, |report| {
        let last = report.last_probe.as_ref().unwrap();
        matches!(last.outcome, ProbeOutcome::Failed(ProbeFailure::Pong(_)))
    })
    .await;
    assert_eq!(cell.health(), Health::Down);
    backend.say(opens_with("HTTP/1.1 101 Hello\r\n\r\n"));
    until(&prober, cell.id, |report| {
        let last = report.last_probe.as_ref().unwrap();
        matches!(
            last.outcome,
            ProbeOutcome::Failed(ProbeFailure::Handshake(_))
        )
    })
    .await;
    backend.say(says(ECHO));
    until(&prober, cell.id, |report| report.health == Health::Up).await;

    let mut shown = String::new();
    prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
    for reason in ["status", "pong", "handshake"] {
        let line = format!("settings=\"settings\",reason=\"{reason}\"}}");
        assert!(shown.contains(&line), "{line} in {shown}");
    }
}
