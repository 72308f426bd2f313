//! Tunnels over real sockets on the loopback interface.

mod ending;
mod fairness;
mod many;
mod refresh;
mod timers;
mod tls;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalOptions;

use super::super::machine::{EndCause, Side, TunnelEnd};
use super::super::state::{Asked, TunnelIdentity};
use super::*;
use crate::forwarded_headers::TraceId;
use crate::metrics::TunnelBook;
use gateway_core::config::{Frames, HttpSettings, TargetHost, TunnelSettings};
use gateway_core::fixtures;
use gateway_core::health::HealthCell;
use gateway_core::snapshot::{ListenerId, LoadCell, PerWorker, Target, TargetId};

/// A connected pair of sockets.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(
        TcpStream::connect(listener.local_addr().unwrap()),
        listener.accept()
    );
    let (near, far) = (near.unwrap(), far.unwrap().0);
    near.set_nodelay(true).unwrap();
    (near, far)
}

fn about(listener: ListenerId, target: TargetId, load: &PerWorker<LoadCell>) -> TunnelAbout {
    let mut counts = TunnelBook::default().enter([(&"listener".into(), &"pool".into())], 2);
    TunnelAbout {
        listener,
        worker: 1,
        share: None,
        settings: Arc::new(settings()),
        identity: Arc::new(identity(target, load)),
        counts: counts.remove(0),
    }
}

fn settings() -> HttpSettings {
    fixtures::http_settings(80)
}

fn identity(target: TargetId, load: &PerWorker<LoadCell>) -> TunnelIdentity {
    let address = SocketAddr::from(([192, 0, 2, 1], 4711));
    let target = Target {
        id: target,
        host: TargetHost::Ip(address.ip()),
        address,
        weight: NonZeroU16::MIN,
        health: Arc::new(HealthCell::new(0)),
        load: load.clone(),
        drain: Arc::default(),
    };
    TunnelIdentity {
        trace_id: TraceId::random(),
        client: address,
        secure: false,
        asked: Asked::new("chat.example", "/chat", None),
        target: Arc::new(target),
        route: None,
        opened_at: SystemTime::now(),
    }
}

/// One tunnel with both of its peers in the test's hands.
struct Rig<C = TcpStream, B = TcpStream> {
    set: Rc<TunnelSet>,
    client: C,
    backend: B,
    load: PerWorker<LoadCell>,
    ends: Rc<RefCell<Vec<TunnelEnd>>>,
}

impl Rig {
    async fn new() -> Self {
        Self::with_first(b"", b"").await
    }

    /// A tunnel under settings that `change` has made.
    async fn under(change: impl FnOnce(&mut TunnelSettings)) -> Self {
        let ((client, near), (backend, far)) = (pair().await, pair().await);
        let mut settings = settings();
        change(&mut settings.web_socket);
        let legs = ((near.into(), b"".as_slice()), (far.into(), b"".as_slice()));
        Self::open_under(settings, client, legs.0, backend, legs.1)
    }

    async fn with_first(client_first: &[u8], backend_first: &[u8]) -> Self {
        let ((client, near), (backend, far)) = (pair().await, pair().await);
        Self::open(
            client,
            (near.into(), client_first),
            backend,
            (far.into(), backend_first),
        )
    }
}

impl<C, B> Rig<C, B> {
    /// Opens a tunnel of listener 1 to target 2 on worker 1.
    fn open(client: C, client_leg: (Leg, &[u8]), backend: B, backend_leg: (Leg, &[u8])) -> Self {
        Self::open_under(settings(), client, client_leg, backend, backend_leg)
    }

    fn open_under(
        settings: HttpSettings,
        client: C,
        client_leg: (Leg, &[u8]),
        backend: B,
        backend_leg: (Leg, &[u8]),
    ) -> Self {
        let load = PerWorker::new(2);
        let ends: Rc<RefCell<Vec<_>>> = Rc::default();
        let ends_too = Rc::clone(&ends);
        let set = TunnelSet::new(Arc::default()).telling(move |_, _, news| {
            if let TunnelNews::End(end) = news {
                ends_too.borrow_mut().push(end);
            }
        });
        let set = Rc::new(set);
        let about = TunnelAbout {
            settings: Arc::new(settings),
            ..about(ListenerId(1), TargetId(2), &load)
        };
        set.open(
            client_leg.0,
            client_leg.1,
            backend_leg.0,
            backend_leg.1,
            about,
        );
        assert_eq!((set.len(), load.of(1).tunnels()), (1, 1));
        Self {
            set,
            client,
            backend,
            load,
            ends,
        }
    }

    /// Waits until the tunnel has ended and says how.
    async fn end(&self) -> TunnelEnd {
        while !self.set.is_empty() {
            tokio::task::yield_now().await;
        }
        let load = self.load.of(1);
        assert_eq!((load.tunnels(), load.closing()), (0, 0));
        self.ends.borrow()[0].clone()
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), test)
            .await
            .expect("within 20 s");
    });
}

async fn expect(stream: &mut (impl AsyncRead + Unpin), bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, bytes);
}

/// A text frame to the client (not masked).
fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81, u8::try_from(text.len()).unwrap()];
    frame.extend(text);
    frame
}

/// The same to the backend, masked with zeros.
fn masked(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(text);
    frame
}

#[test]
fn bytes_go_both_ways_until_both_sides_end() {
    run(async {
        let mut rig = Rig::new().await;
        rig.client.write_all(&masked(b"ping")).await.unwrap();
        expect(&mut rig.backend, &masked(b"ping")).await;
        rig.backend.write_all(&frame(b"pong")).await.unwrap();
        expect(&mut rig.client, &frame(b"pong")).await;
        rig.client.shutdown().await.unwrap();
        rig.backend.shutdown().await.unwrap();
        let end = rig.end().await;
        assert_eq!((end.by, end.cause), (Some(Side::Client), EndCause::Fin));
        assert_eq!((end.to_backend.bytes, end.to_client.bytes), (10, 6));
    });
}

#[test]
fn what_came_with_the_heads_goes_first() {
    run(async {
        let mut rig = Rig::with_first(&masked(b"early"), &frame(b"hello")).await;
        rig.client.write_all(&masked(b"later")).await.unwrap();
        expect(
            &mut rig.backend,
            &[masked(b"early"), masked(b"later")].concat(),
        )
        .await;
        expect(&mut rig.client, &frame(b"hello")).await;
    });
}

#[test]
fn a_half_that_ends_leaves_the_other_open() {
    run(async {
        let mut rig = Rig::new().await;
        rig.client.write_all(&masked(b"all")).await.unwrap();
        rig.client.shutdown().await.unwrap();
        let mut got = Vec::new();
        rig.backend.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, masked(b"all"));
        rig.backend.write_all(&frame(b"answer")).await.unwrap();
        expect(&mut rig.client, &frame(b"answer")).await;
        assert_eq!(rig.set.len(), 1);
        rig.backend.shutdown().await.unwrap();
        assert_eq!(rig.client.read(&mut [0]).await.unwrap(), 0);
        rig.end().await;
    });
}

#[test]
fn a_reset_goes_through_as_a_reset_in_both_directions() {
    run(async {
        let mut rig = Rig::new().await;
        rig.client.write_all(&masked(b"last")).await.unwrap();
        rig.client.set_zero_linger().unwrap();
        expect(&mut rig.backend, &masked(b"last")).await;
        drop(rig.client);
        let error = rig.backend.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
    run(async {
        let mut rig = Rig::new().await;
        rig.backend.set_zero_linger().unwrap();
        drop(rig.backend);
        let error = rig.client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

/// A binary frame of `length` zeros to the client.
fn long_frame(length: usize) -> Vec<u8> {
    let mut bytes = vec![0x82, 127];
    bytes.extend((length as u64).to_be_bytes());
    bytes.resize(bytes.len() + length, 0);
    bytes
}

#[test]
fn a_reset_does_not_overtake_what_a_slow_reader_has_not_taken() {
    run(async {
        let mut rig = Rig::new().await;
        let bytes = long_frame(300_000);
        rig.backend.write_all(&bytes).await.unwrap();
        // All of it is at the gateway; most of it is unread by the client.
        let backend = Leg::Plain(rig.backend);
        std::future::poll_fn(|cx| backend.poll_sent(cx)).await;
        backend.reset_on_close();
        drop(backend);
        let mut got = vec![0; bytes.len()];
        for piece in got.chunks_mut(10_000) {
            tokio::task::yield_now().await;
            rig.client.read_exact(piece).await.unwrap();
        }
        let error = rig.client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

/// Writes zeros to the backend's side until nothing moves; returns how many went.
async fn flood(backend: &mut TcpStream) -> usize {
    let mut sent = 0;
    let zeros = [0; 16 * 1024];
    while let Ok(Ok(count)) =
        tokio::time::timeout(Duration::from_millis(300), backend.write(&zeros)).await
    {
        sent += count;
    }
    sent
}

#[test]
fn a_stalled_reader_holds_a_bounded_number_of_bytes_and_loses_none() {
    run(async {
        let mut rig = Rig::new().await;
        let mut head = long_frame(0);
        head[2..].copy_from_slice(&(1u64 << 40).to_be_bytes());
        rig.backend.write_all(&head).await.unwrap();
        let sent = flood(&mut rig.backend).await;
        assert!(
            sent < 64 << 20,
            "{sent} bytes: only the kernel's buffers and ours take any"
        );
        rig.client.write_all(&masked(b"other way")).await.unwrap();
        expect(&mut rig.backend, &masked(b"other way")).await;
        rig.backend.shutdown().await.unwrap();
        let mut got = Vec::new();
        rig.client.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len(), head.len() + sent);
    });
}

/// Reads to the end of the stream: a Close frame alone, then a FIN.
async fn expect_close(stream: &mut (impl AsyncRead + Unpin), code: u16) {
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got[0], 0x88);
    assert_eq!(got[2..4], code.to_be_bytes());
    assert_eq!(
        got.len(),
        2 + usize::from(got[1]),
        "nothing behind the Close"
    );
}

#[test]
fn a_drain_says_1001_waits_for_the_answer_and_ends_with_a_fin() {
    run(async {
        let mut rig = Rig::new().await;
        let set = Rc::clone(&rig.set);
        let drained = tokio::task::spawn_local(async move {
            set.drain_all(Duration::from_secs(10)).await;
        });
        // The backend answers and, as RFC 6455 section 7.1.1 wants of a server, ends TCP first.
        let mut head = [0; 6];
        rig.backend.read_exact(&mut head).await.unwrap();
        assert_eq!((head[0], head[1] & 0x80), (0x88, 0x80), "masked");
        let mut rest = vec![0; usize::from(head[1] & 0x7f)];
        rig.backend.read_exact(&mut rest).await.unwrap();
        let load = rig.load.of(1);
        assert_eq!((load.tunnels(), load.closing()), (1, 1));
        rig.backend.write_all(&[0x88, 2, 3, 0xe9]).await.unwrap();
        rig.backend.shutdown().await.unwrap();
        rig.client
            .write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe9])
            .await
            .unwrap();
        expect_close(&mut rig.client, 1001).await;
        rig.client.shutdown().await.unwrap();
        assert_eq!(rig.backend.read(&mut [0]).await.unwrap(), 0);
        drained.await.unwrap();
        let end = rig.end().await;
        assert_eq!(
            (end.by, end.cause, end.close_code),
            (None, EndCause::Drain, Some(1001))
        );
    });
}

#[test]
fn a_deadline_ends_what_does_not_answer_with_a_fin() {
    run(async {
        let mut rig = Rig::new().await;
        // In the middle of a frame, so that there is no place for a Close towards the client.
        rig.backend.write_all(&frame(b"hello")[..4]).await.unwrap();
        expect(&mut rig.client, &frame(b"hello")[..4]).await;
        let set = Rc::clone(&rig.set);
        let drain = tokio::task::spawn_local(async move {
            set.drain_all(Duration::from_millis(50)).await;
        });
        assert_eq!(
            rig.client.read(&mut [0]).await.unwrap(),
            0,
            "a FIN, not a reset"
        );
        drain.await.unwrap();
        assert_eq!(rig.end().await.cause, EndCause::Drain);
    });
}

#[test]
fn framing_that_is_not_rfc_6455_ends_with_1002_on_both_sides() {
    run(async {
        let mut rig = Rig::new().await;
        rig.client.write_all(&frame(b"not masked")).await.unwrap();
        expect_close(&mut rig.client, 1002).await;
        let mut head = [0; 2];
        rig.backend.read_exact(&mut head).await.unwrap();
        assert_eq!(head[0], 0x88);
        drop(rig.backend);
        drop(rig.client);
    });
}

#[test]
fn a_panic_in_a_tunnel_gives_back_its_count() {
    run(async {
        let (client, client_leg) = pair().await;
        let (_backend, backend_leg) = pair().await;
        let load = PerWorker::new(2);
        let set = Rc::new(TunnelSet::new(Arc::default()));
        let about = about(ListenerId(1), TargetId(2), &load);
        set.open(client_leg.into(), b"", backend_leg.into(), b"", about);
        // With the scratch buffer taken for good, the first turn panics.
        std::mem::forget(set.scratch());
        while !set.is_empty() {
            tokio::task::yield_now().await;
        }
        drop(client);
        assert_eq!(load.of(1).tunnels(), 0);
    });
}

#[test]
fn a_tunnel_that_opens_into_a_shutdown_is_drained_too() {
    run(async {
        let set = Rc::new(TunnelSet::new(Arc::default()));
        set.drain_all(Duration::from_millis(50)).await;
        let ((mut client, near), (_backend, far)) = (pair().await, pair().await);
        let load = PerWorker::new(2);
        let about = about(ListenerId(1), TargetId(2), &load);
        set.open(near.into(), b"", far.into(), b"", about);
        expect_close(&mut client, 1001).await;
        drop(client);
        set.drain_all(Duration::from_millis(50)).await;
        assert!(set.is_empty());
    });
}
