//! The backend from outside: what it answers, and how it misbehaves.

use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use test_backend::{AnswerFault, Backend, BackendOptions, FaultSet, TlsIdentity, UpgradeFault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

async fn start(name: &str) -> Backend {
    let options = BackendOptions {
        name: name.to_owned(),
        ..BackendOptions::default()
    };
    Backend::start(options)
        .await
        .expect("loopback has a free port")
}

/// Everything that the backend sends until it closes.
async fn exchange(backend: &Backend, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(backend.address()).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

async fn get(backend: &Backend, path: &str) -> std::io::Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n");
    exchange(backend, &head).await
}

/// The handshake of RFC 6455 section 1.3.
const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[tokio::test]
async fn endpoints_answer_and_say_who_they_are() {
    let backend = start("b1").await;
    let rows = [
        ("/", "HTTP/1.1 200 OK", "b1 answers GET /"),
        ("/health", "HTTP/1.1 200 OK", "b1 is healthy"),
        ("/status/404", "HTTP/1.1 404 Not Found", "b1 answers 404"),
        (
            "/bytes/5",
            "Content-Length: 5",
            "\r\n\r\n\0\u{1}\u{2}\u{3}\u{4}",
        ),
        (
            "/headers?a=b",
            "application/json",
            "\"target\": \"/headers?a=b\"",
        ),
        ("/sse?count=1&every=1", "text/event-stream", "data: b1"),
        ("/trailers", "chunked", "a body, and a trailer"),
        (
            "/early-hints",
            "HTTP/1.1 103 Early Hints",
            "HTTP/1.1 200 OK",
        ),
    ];
    for (path, one, another) in rows {
        let answer = get(&backend, path).await.unwrap();
        assert!(
            answer.contains(one) && answer.contains(another),
            "{path}: {answer}"
        );
        assert!(answer.contains("X-Backend: b1\r\n"), "{path}: {answer}");
    }
    let targets: Vec<_> = backend
        .requests_seen()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    assert_eq!(targets, rows.map(|(path, _, _)| path));
}

#[tokio::test]
async fn echo_returns_the_body() {
    let backend = start("b1").await;
    let request =
        "POST /echo HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let answer = exchange(&backend, request).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn a_websocket_is_greeted_and_echoed() {
    let backend = start("b1").await;
    let url = format!("ws://{}/ws", backend.address());
    let (mut socket, response) = tokio_tungstenite::connect_async(url).await.unwrap();
    assert_eq!(response.headers()["x-backend"], "b1");
    let greeting = socket.next().await.unwrap().unwrap();
    assert_eq!(greeting, Message::text("hello from b1"));
    for message in [Message::text("text"), Message::binary(vec![7; 100_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_close());
}

#[tokio::test]
async fn the_rfcs_own_handshake_gets_the_rfcs_own_answer() {
    let backend = start("b1").await;
    let mut stream = TcpStream::connect(backend.address()).await.unwrap();
    // A frame in the handshake's segment: "Hello", masked (RFC 6455 section 5.7), then a close.
    let mut request = HANDSHAKE.replace("/chat", "/echo").into_bytes();
    request.extend([
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ]);
    request.extend([0x88, 0x80, 0, 0, 0, 0]);
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let expected: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\
        X-Backend: b1\r\n\r\n\
        \x81\x05Hello\x88\x00";
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn wrong_answers_are_wrong_in_the_way_asked_for() {
    let backend = start("b1").await;
    let rows = [
        (AnswerFault::Empty, ""),
        (AnswerFault::Garbage, "not HTTP"),
        (
            AnswerFault::Truncated,
            "Content-Length: 100\r\n\r\ntruncated\n",
        ),
        (
            AnswerFault::TruncatedChunked,
            "\r\n\r\na\r\ntruncated\n\r\n",
        ),
        (AnswerFault::ExtraBytes, "X-Backend: unasked"),
        (AnswerFault::UnaskedSwitch, "HTTP/1.1 101 "),
    ];
    for (answer, expected) in rows {
        backend.faults().update(|set| set.answer = answer);
        let got = get(&backend, "/").await.unwrap();
        assert!(got.contains(expected), "{answer:?}: {got}");
        assert!(
            get(&backend, "/health").await.unwrap().contains("200 OK"),
            "{answer:?}"
        );
    }
    backend
        .faults()
        .update(|set| set.answer = AnswerFault::Reset);
    let error = get(&backend, "/").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn wrong_handshakes_are_wrong_in_the_way_asked_for() {
    let backend = start("b1").await;
    let rows = [
        (UpgradeFault::WrongAccept, "Accept: AAAA", "Accept: s3pP"),
        (UpgradeFault::NoAccept, "101", "Accept:"),
        (UpgradeFault::WrongProtocol, "not-offered", "403"),
        (
            UpgradeFault::NoUpgrade,
            "Connection: Upgrade",
            "Upgrade: websocket",
        ),
        (
            UpgradeFault::OtherUpgrade,
            "Upgrade: h2c",
            "Upgrade: websocket",
        ),
        (
            UpgradeFault::NoConnection,
            "Upgrade: websocket",
            "Connection:",
        ),
        (
            UpgradeFault::RefusedWithExtraBytes,
            "X-Backend: unasked",
            "101",
        ),
        (UpgradeFault::Refused, "WWW-Authenticate", "101"),
        (UpgradeFault::HalfHead, "HTTP/1.1 101", "\r\n\r\n"),
    ];
    for (upgrade, has, lacks) in rows {
        backend.faults().update(|set| set.upgrade = upgrade);
        let got = exchange(&backend, HANDSHAKE).await.unwrap();
        assert!(
            got.contains(has) && !got.contains(lacks),
            "{upgrade:?}: {got}"
        );
    }
}

#[tokio::test]
async fn a_hanging_backend_answers_orders_and_nothing_else() {
    let backend = start("b1").await;
    let order = "POST /_fault/health?mode=hang HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
    let answer = exchange(&backend, order).await.unwrap();
    assert!(answer.contains("\"mode\": \"hang\""), "{answer}");
    let waited = tokio::time::timeout(Duration::from_millis(100), get(&backend, "/health")).await;
    assert!(waited.is_err(), "{waited:?}");
    backend.faults().clear();
    assert!(get(&backend, "/health").await.unwrap().contains("200 OK"));
}

#[tokio::test]
async fn an_ill_backend_is_ill_whatever_it_is_asked() {
    let backend = start("b1").await;
    let order =
        "POST /_fault?status=503&delayMs=50 HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
    let answer = exchange(&backend, order).await.unwrap();
    assert!(answer.contains("\"status\": 503"), "{answer}");
    for request in [
        "GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n",
        &HANDSHAKE.replace("Connection: Upgrade", "Connection: Upgrade, close"),
    ] {
        let asked = Instant::now();
        let answer = exchange(&backend, request).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503"), "{request}: {answer}");
        assert!(asked.elapsed() >= Duration::from_millis(50), "{request}");
    }
}

#[tokio::test]
async fn a_deaf_backend_serves_nobody_new() {
    let backend = start("b1").await;
    let url = format!("ws://{}/echo", backend.address());
    let (mut open, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    backend.faults().update(|set| set.deaf = true);
    // Its listening task has its turn before this answers.
    open.send(Message::text("still here")).await.unwrap();
    assert_eq!(
        open.next().await.unwrap().unwrap(),
        Message::text("still here")
    );
    let unheard = tokio::time::timeout(Duration::from_millis(100), get(&backend, "/")).await;
    assert!(unheard.is_err(), "{unheard:?}");
    backend.faults().clear();
    assert!(get(&backend, "/").await.unwrap().contains("200 OK"));
}

#[tokio::test]
async fn one_backend_can_look_like_many() {
    let with_three_more = async |listen| {
        let options = BackendOptions {
            listen,
            more: 3,
            ..BackendOptions::default()
        };
        Backend::start(options).await
    };
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let backend = with_three_more(anywhere).await.unwrap();
    let free = backend.more_addresses().to_vec();
    assert_eq!(free.len(), 3);
    for address in free {
        TcpStream::connect(address).await.unwrap();
    }

    // Another process may have one of four ports.
    let backend = loop {
        let before = start("b1").await;
        let first = before.address();
        before.stop().await;
        if let Ok(backend) = with_three_more(first).await {
            break backend;
        }
    };
    let first = backend.address().port();
    let ports = backend.more_addresses().iter().map(SocketAddr::port);
    assert!(ports.eq(first + 1..=first + 3), "{backend:?}");
    let said = format!("X-Backend-Port: {first}\r\n");
    let answer = get(&backend, "/").await.unwrap();
    assert!(answer.contains(&said), "{answer}");
    let mut stream = TcpStream::connect(backend.address()).await.unwrap();
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        assert!(stream.read_buf(&mut head).await.unwrap() > 0);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.contains(&said), "{head}");
}

#[tokio::test]
async fn a_refusing_backend_comes_back_by_itself() {
    let backend = start("b1").await;
    let faults = FaultSet {
        refuse: true,
        ..FaultSet::default()
    };
    backend.faults().set_for(faults, Duration::from_millis(200));
    while get(&backend, "/").await.is_ok() {}
    let error = TcpStream::connect(backend.address()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    while get(&backend, "/").await.is_err() {}
}

#[tokio::test]
async fn stop_closes_websockets_with_a_reason() {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = BackendOptions {
        control: Some(anywhere),
        ..BackendOptions::default()
    };
    let backend = Backend::start(options).await.unwrap();
    let url = format!("ws://{}/echo", backend.address());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    backend.stop().await;
    let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else {
        panic!("no Close frame");
    };
    assert_eq!(u16::from(frame.code), 1001);
}

#[tokio::test]
async fn a_certificate_can_be_changed_for_another() {
    let pem = |name: &str| {
        let pair = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (
            pair.cert.pem() + &pair.signing_key.serialize_pem(),
            pair.cert,
        )
    };
    let ((own, _), (other, shown)) = (pem("own.test"), pem("other.test"));
    let options = BackendOptions {
        tls: Some(TlsIdentity::from_pem(own.as_bytes()).unwrap()),
        ..BackendOptions::default()
    };
    let backend = Backend::start(options).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(shown.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let trusts_other = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(trusts_other));
    let shake = async || {
        let tcp = TcpStream::connect(backend.address()).await.unwrap();
        let name = rustls_pki_types::ServerName::try_from("other.test").unwrap();
        connector.connect(name, tcp).await.is_ok()
    };
    assert!(!shake().await);
    backend.faults().update(|set| set.certificate = Some(other));
    assert!(shake().await);
}

#[test]
fn an_identity_needs_certificate_and_key() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    assert!(TlsIdentity::from_pem((key.clone() + &chain).as_bytes()).is_ok());
    assert!(TlsIdentity::from_pem(chain.as_bytes()).is_err());
    assert!(TlsIdentity::from_pem(key.as_bytes()).is_err());
}
