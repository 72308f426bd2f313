//! Tunnels over real sockets on the loopback interface.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::super::machine::{EndCause, Side, TunnelEnd};
use super::*;
use gateway_core::snapshot::PerWorker;

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

/// One tunnel with both of its peers in the test's hands.
struct Rig {
    set: Rc<TunnelSet>,
    client: TcpStream,
    backend: TcpStream,
    load: PerWorker<gateway_core::snapshot::LoadCell>,
    ends: Rc<RefCell<Vec<TunnelEnd>>>,
}

impl Rig {
    async fn new() -> Self {
        Self::with_first(b"", b"").await
    }

    async fn with_first(client_first: &[u8], backend_first: &[u8]) -> Self {
        let (client, client_leg) = pair().await;
        let (backend, backend_leg) = pair().await;
        let rig = Self {
            set: Rc::new(TunnelSet::new()),
            client,
            backend,
            load: PerWorker::new(2),
            ends: Rc::default(),
        };
        let ends = Rc::clone(&rig.ends);
        let about = TunnelAbout {
            listener: ListenerId(1),
            target: TargetId(2),
            load: rig.load.clone(),
            worker: 1,
            client: "127.0.0.1:1".parse().unwrap(),
            permit: None,
            drain_timeout: Duration::from_secs(30),
            on_end: Box::new(move |end| ends.borrow_mut().push(end)),
        };
        rig.set.open(
            client_leg.into(),
            client_first,
            backend_leg.into(),
            backend_first,
            about,
        );
        assert_eq!((rig.set.len(), rig.load.of(1).tunnels()), (1, 1));
        rig
    }

    /// Waits until the tunnel has ended and says how.
    async fn end(&self) -> TunnelEnd {
        while !self.set.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.load.of(1).tunnels(), 0);
        self.ends.borrow()[0].clone()
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(20), test)
            .await
            .expect("within 20 s");
    });
}

async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
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
