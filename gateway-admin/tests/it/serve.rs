//! The API on real sockets: bounded, and ended gracefully.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gateway_admin::{
    AdminOptions, Event, EventId, Happening, HealthChange, ServeLimits, Told, health_router,
    router, serve,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fake::Fake;

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Far longer than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(20);

struct Server {
    address: std::net::SocketAddr,
    shutdown: CancellationToken,
    served: tokio::task::JoinHandle<()>,
}

async fn start(limits: ServeLimits, tls: Option<TlsAcceptor>) -> Server {
    start_with(Fake::default(), limits, tls).await
}

async fn start_with(fake: Fake, limits: ServeLimits, tls: Option<TlsAcceptor>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let router = router(Arc::new(fake), AdminOptions::default());
    let served = TaskTracker::new().spawn(serve(listener, tls, router, limits, shutdown.clone()));
    Server {
        address,
        shutdown,
        served,
    }
}

/// Reads one answer to `GET`, leaving the connection open.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    while !text.ends_with("}\n") {
        let mut bytes = [0; 4096];
        let read = tokio::time::timeout(HANG, stream.read(&mut bytes)).await;
        let read = read.expect("no answer came").unwrap();
        assert_ne!(read, 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    text
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    stream.write_all(GET).await.unwrap();
    answer(stream).await
}

/// Waits for the other side to end the connection.
async fn ended(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    let _ = tokio::time::timeout(HANG, read).await.expect("still open");
    rest
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let server = start(ServeLimits::default(), None).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let limits = ServeLimits {
        head_timeout: Duration::from_millis(50),
        ..ServeLimits::default()
    };
    let server = start(limits, None).await;
    for beginning in [&b""[..], b"GET /hea"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        ended(&mut stream).await;
    }
}

#[tokio::test]
async fn connections_past_the_bound_wait_their_turn() {
    let limits = ServeLimits {
        connections: 1,
        patience: HANG,
        ..ServeLimits::default()
    };
    let server = start(limits, None).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    ask(&mut first).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(GET).await.unwrap();
    // The first is served while the second waits, and only its end lets the second in.
    ask(&mut first).await;
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(50), second.peek(&mut byte)).await;
    assert!(early.is_err(), "the second was served beside the first");
    drop(first);
    assert!(answer(&mut second).await.starts_with("HTTP/1.1 200"));
}

/// A request of which the server waits for the two bytes of the body.
async fn waits_for_its_body(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = b"PUT /v1/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\
        Expect: 100-continue\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn connections_that_ask_nothing_make_room() {
    let limits = ServeLimits {
        connections: 2,
        patience: Duration::from_millis(20),
        ..ServeLimits::default()
    };
    let server = start(limits, None).await;
    // A request that waits for its body, and the half of a head, which came later.
    let mut busy = waits_for_its_body(&server).await;
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET /hea").await.unwrap();

    let mut third = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(&mut third).await.starts_with("HTTP/1.1 200"));
    assert_eq!(ended(&mut half).await, b"");
    busy.write_all(b"{}").await.unwrap();
    let mut status = [0; 9];
    busy.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 ");
}

/// Begins to listen to events; returns when it does.
async fn listen(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b": listening\n\n\r\n") {
        let byte = tokio::time::timeout(HANG, stream.read_u8()).await;
        text.push(byte.expect("no events").unwrap());
    }
    stream
}

#[tokio::test]
async fn a_reader_of_events_keeps_its_place_and_ends_with_its_events() {
    let limits = ServeLimits {
        connections: 2,
        patience: Duration::from_millis(20),
        head_timeout: Duration::from_millis(50),
        ..ServeLimits::default()
    };
    let fake = Fake::default();
    let ends = fake.ends.clone();
    let server = start_with(fake, limits, None).await;
    let mut reader = listen(server.address).await;
    // It is the one that sits longest; the idle one has to go for the third.
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    ask(&mut idle).await;
    let mut third = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(&mut third).await.starts_with("HTTP/1.1 200"));
    ended(&mut idle).await;

    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(100), reader.peek(&mut byte)).await;
    assert!(early.is_err(), "the head's time-out cut the events off");
    server.shutdown.cancel();
    let early = tokio::time::timeout(Duration::from_millis(50), reader.peek(&mut byte)).await;
    assert!(early.is_err(), "cut off before its end");
    ends.cancel();
    assert_eq!(ended(&mut reader).await, b"0\r\n\r\n");
    server.served.await.unwrap();
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let limits = ServeLimits {
        write_timeout: Duration::from_millis(50),
        ..ServeLimits::default()
    };
    // More than the kernel keeps for a reader.
    let reason = "x".repeat(8 << 20);
    let told = Told::Event(Arc::new(Event {
        id: EventId {
            process: 1,
            serial: 1,
        },
        at: SystemTime::now(),
        what: Happening::Health(HealthChange {
            pool: String::new(),
            settings: String::new(),
            address: String::new(),
            target: String::new(),
            from: "Up",
            to: "Down",
            reason,
        }),
    }));
    let fake = Fake {
        told: vec![told; 4].into(),
        ..Fake::default()
    };
    let server = start_with(
        fake,
        ServeLimits {
            connections: 1,
            ..limits
        },
        None,
    )
    .await;
    let stalled = listen(server.address).await;
    // Its place is the only one.
    let mut next = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(&mut next).await.starts_with("HTTP/1.1 200"));
    drop(stalled);
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_ends() {
    let server = start(ServeLimits::default(), None).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    ask(&mut idle).await;
    server.shutdown.cancel();
    assert_eq!(ended(&mut idle).await, b"");
    let served = tokio::time::timeout(HANG, server.served).await;
    served.expect("the server goes on").unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn shutdown_lets_a_request_in_flight_finish() {
    let server = start(ServeLimits::default(), None).await;
    // Half a head proves nothing, so: a whole one, and half a body.
    let mut stream = waits_for_its_body(&server).await;
    server.shutdown.cancel();
    stream.write_all(b"{}").await.unwrap();
    let rest = String::from_utf8(ended(&mut stream).await).unwrap();
    assert!(rest.starts_with("HTTP/1.1 "), "{rest}");
    assert!(rest.contains("connection: close\r\n"), "{rest}");
    server.served.await.unwrap();
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let limits = ServeLimits {
        shutdown_timeout: Duration::from_millis(50),
        ..ServeLimits::default()
    };
    let server = start(limits, None).await;
    let mut stream = waits_for_its_body(&server).await;
    server.shutdown.cancel();
    let served = tokio::time::timeout(HANG, server.served).await;
    served.expect("the server waits for the body").unwrap();
    ended(&mut stream).await;
}

#[tokio::test]
async fn a_body_past_the_limit_is_refused_before_it_is_sent() {
    let server = start(ServeLimits::default(), None).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = b"PUT /v1/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\
        Expect: 100-continue\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let answer = String::from_utf8(ended(&mut stream).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn unix_sockets_are_served_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let router = health_router(Arc::new(Fake::default()));
    let limits = ServeLimits::default();
    TaskTracker::new().spawn(serve(
        listener,
        None,
        router,
        limits,
        CancellationToken::new(),
    ));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn tls_is_served_and_its_handshake_bounded() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let limits = ServeLimits {
        head_timeout: Duration::from_millis(500),
        ..ServeLimits::default()
    };
    let server = start(limits, Some(TlsAcceptor::from(Arc::new(config)))).await;

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(client.with_no_client_auth()));
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200"));

    let mut silent = TcpStream::connect(server.address).await.unwrap();
    ended(&mut silent).await;
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(GET).await.unwrap();
    let alert = ended(&mut plain).await;
    assert!(!alert.starts_with(b"HTTP/"), "{alert:?}");
}
