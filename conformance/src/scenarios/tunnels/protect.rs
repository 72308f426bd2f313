//! Which handshakes are let in: by their origin, by their subprotocols, by how well they are made. And
//! what passes where nothing is looked at.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::house::{House, Plan};
use super::story;
use crate::harness::PATIENCE;
use crate::harness::wire::{Wire, escape};
use crate::scenario::{Scenario, Told};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        story(
            "allowedOrigins: pages from elsewhere get 403, and the backend never hears of them",
            || Plan::of(1).listener(json!({ "allowedOrigins": ALLOWED })),
            origins,
        ),
        story(
            "originPolicy ReportOnly: they pass, and are counted",
            || {
                let listener = json!({ "allowedOrigins": ALLOWED, "originPolicy": "ReportOnly" });
                Plan::of(1).listener(listener)
            },
            report_only,
        ),
        story(
            "allowedOrigins of HTTP settings hold besides the listener's",
            || {
                Plan::of(1)
                    .listener(json!({ "allowedOrigins": ALLOWED }))
                    .tunnels(json!({ "allowedOrigins": ["https://app.example.com"] }))
            },
            both_allow,
        ),
        story(
            "requiredSubprotocols: 400 unless one of them is offered",
            || Plan::of(1).listener(json!({ "requiredSubprotocols": ["chat", "v2.chat"] })),
            subprotocols,
        ),
        story(
            "Strict refuses what old clients get wrong",
            || Plan::of(1),
            strict,
        ),
        story(
            "Lenient forgives a key that is none and a missing Connection, and nothing else",
            || Plan::of(1).listener(json!({ "handshake": "Lenient" })),
            lenient,
        ),
        story(
            "Opaque: what is no frame of RFC 6455 passes, and the API says that nothing is known",
            || Plan::by_hand().tunnels(json!({ "frames": "Opaque" })),
            opaque,
        ),
    ]
}

const ALLOWED: [&str; 3] = [
    "https://app.example.com",
    "https://*.example.org",
    "http://localhost:3000",
];

/// Field lines, and whether they get in.
const ORIGINS: [(&str, bool); 21] = [
    ("", true),
    ("Origin: https://app.example.com\r\n", true),
    ("origin: https://APP.example.com\r\n", true),
    ("Origin: https://app.example.com:443\r\n", true),
    ("Origin: https://a.example.org\r\n", true),
    ("Origin: https://a.b.example.org\r\n", true),
    ("Origin: http://localhost:3000\r\n", true),
    ("Origin: https://evil.test\r\n", false),
    ("Origin: http://app.example.com\r\n", false),
    ("Origin: https://app.example.com:8443\r\n", false),
    ("Origin: http://localhost:3001\r\n", false),
    ("Origin: http://localhost\r\n", false),
    ("Origin: https://example.org\r\n", false),
    ("Origin: https://evilexample.org\r\n", false),
    ("Origin: https://evil-app.example.com\r\n", false),
    ("Origin: https://app.example.com.evil.test\r\n", false),
    ("Origin: https://a.example.org.evil.test\r\n", false),
    ("Origin: https://app.example.com@evil.test\r\n", false),
    ("Origin: null\r\n", false),
    (
        "Origin: https://app.example.com, https://evil.test\r\n",
        false,
    ),
    (
        "Origin: https://app.example.com\r\nOrigin: https://evil.test\r\n",
        false,
    ),
];

async fn origins(house: House) -> Result<Told> {
    let mut allowed = 0;
    for (fields, is_allowed) in ORIGINS {
        let (_, answer) = house.handshake(fields).await?;
        let expected = if is_allowed { 101 } else { 403 };
        ensure!(
            answer.status == expected,
            "{} gets {}, not {expected}",
            escape(fields.as_bytes()),
            answer.status
        );
        allowed += usize::from(is_allowed);
    }
    let seen = house.backends[0].requests().await?;
    let seen = seen.iter().filter(|target| *target == "/echo").count();
    ensure!(
        seen == allowed,
        "the backend saw {seen} handshakes, not {allowed}"
    );
    // A plain request is no WebSocket: who may make it is the backend's to say.
    let answer = house.get("/").await?;
    ensure!(answer.status == 200, "a request: {}", answer.status);
    Ok(Told::Whole)
}

async fn report_only(house: House) -> Result<Told> {
    for (fields, _) in ORIGINS {
        let (_, answer) = house.handshake(fields).await?;
        ensure!(
            answer.status == 101,
            "{} gets {}",
            escape(fields.as_bytes()),
            answer.status
        );
    }
    let foreign = ORIGINS.iter().filter(|(_, is_allowed)| !is_allowed).count();
    let name = "gateway_handshake_foreign_origins_total";
    let counted = house
        .admin()
        .metric_with(name, &[r#"listener="front""#])
        .await?;
    ensure!(
        counted == foreign as f64,
        "{counted} of {foreign} foreign origins are counted"
    );
    Ok(Told::Whole)
}

async fn both_allow(house: House) -> Result<Told> {
    for (origin, expected) in [
        ("https://app.example.com", 101),
        ("https://a.example.org", 403),
        ("https://evil.test", 403),
    ] {
        let (_, answer) = house.handshake(&format!("Origin: {origin}\r\n")).await?;
        ensure!(answer.status == expected, "{origin} gets {}", answer.status);
    }
    Ok(Told::Whole)
}

async fn subprotocols(house: House) -> Result<Told> {
    for (offered, expected) in [
        (None, 400),
        (Some("superchat"), 400),
        (Some("xchat, chatx"), 400),
        (Some("superchat, chat"), 101),
        (Some("chat"), 101),
        (Some("v2.chat"), 101),
    ] {
        let fields = offered.map(|offered| format!("Sec-WebSocket-Protocol: {offered}\r\n"));
        let (_, answer) = house.handshake(&fields.unwrap_or_default()).await?;
        ensure!(
            answer.status == expected,
            "{offered:?} gets {}",
            answer.status
        );
    }
    Ok(Told::Whole)
}

/// What a handshake has, but for what is wrong with it.
const GOOD: [&str; 5] = [
    "Host: gateway.test",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

/// What is wrong: the number of the line, and what stands instead of it; then the answers of a strict
/// and of a lenient listener. 200: it is no handshake, and goes on as a plain request.
const WRONG: [(usize, &str, u16, u16); 7] = [
    (2, "Connection: keep-alive, Upgrade", 101, 101),
    (3, "Sec-WebSocket-Key: anything", 400, 101),
    (2, "Connection: keep-alive", 200, 101),
    (2, "X-Forwarded-For: 192.0.2.1", 200, 200),
    (3, "Sec-WebSocket-Key: two words", 400, 400),
    (3, "Sec-WebSocket-Keys: anything", 400, 400),
    (4, "Sec-WebSocket-Version: 8", 426, 426),
];

async fn strict(house: House) -> Result<Told> {
    for (line, instead, strict, _) in WRONG {
        is_answered(&house, line, instead, strict).await?;
    }
    Ok(Told::Whole)
}

async fn lenient(house: House) -> Result<Told> {
    for (line, instead, _, lenient) in WRONG {
        is_answered(&house, line, instead, lenient).await?;
    }
    Ok(Told::Whole)
}

async fn is_answered(house: &House, line: usize, instead: &str, expected: u16) -> Result<()> {
    let mut lines = GOOD;
    lines[line] = instead;
    let head = format!("GET /echo HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
    let mut wire = Wire::plain(house.front).await?;
    wire.send(head.as_bytes()).await?;
    let answer = wire.answer(false).await?.context("no answer")?;
    ensure!(
        answer.status == expected,
        "{instead:?} gets {}, not {expected}",
        answer.status
    );
    Ok(())
}

async fn opaque(house: House) -> Result<Told> {
    // A reserved opcode, a masked frame from a server, and what is not even the beginning of one.
    const ODD: [&[u8]; 3] = [
        b"\x83\x00",
        b"\x81\x80\x01\x02\x03\x04",
        b"\xff\xff\xff odd",
    ];
    let (mut client, mut backend) = house.tunnel().await?;
    for bytes in ODD {
        client.send(bytes).await?;
        let came = backend.exactly(bytes.len(), PATIENCE).await?;
        ensure!(came == bytes, "the backend got {}", escape(&came));
        backend.send(bytes).await?;
        let came = client.exactly(bytes.len(), PATIENCE).await?;
        ensure!(came == bytes, "the client got {}", escape(&came));
    }
    let list = house.admin().get("/v1/connections").await?;
    let told = list["value"].get(0).context("it is not listed")?;
    ensure!(told["frames"] == "Opaque", "{told}");
    Ok(Told::Whole)
}
