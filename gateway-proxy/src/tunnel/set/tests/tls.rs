//! Tunnels with TLS on both legs.

use crate::tls::tests::{ClientStream, rig, shake};

use super::*;

type ServerStream = tokio_rustls::server::TlsStream<TcpStream>;

async fn tls_rig() -> Rig<ClientStream, Box<ServerStream>> {
    let tls = rig();
    let (client, near) = shake(tls.client(), "one.test", &tls.endpoint(None)).await;
    let (far, backend) = shake(tls.client(), "one.test", &tls.endpoint(None)).await;
    let near = Leg::from(near.unwrap());
    let far = Leg::BackendTls(Box::new(far.unwrap()));
    Rig::open(client.unwrap(), (near, b""), backend.unwrap(), (far, b""))
}

#[test]
fn a_close_notify_is_passed_on_and_the_other_direction_goes_on() {
    run(async {
        let mut rig = tls_rig().await;
        rig.client.write_all(&masked(b"all")).await.unwrap();
        rig.client.shutdown().await.unwrap();
        let mut got = Vec::new();
        rig.backend.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, masked(b"all"));
        rig.backend.write_all(&frame(b"answer")).await.unwrap();
        rig.backend.shutdown().await.unwrap();
        let mut got = Vec::new();
        rig.client.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, frame(b"answer"));
        let end = rig.end().await;
        assert_eq!((end.by, end.cause), (Some(Side::Client), EndCause::Fin));
    });
}

#[test]
fn tls_that_breaks_off_is_passed_on_as_a_reset() {
    run(async {
        let mut rig = tls_rig().await;
        rig.backend.write_all(&frame(b"last")).await.unwrap();
        rig.backend.get_mut().0.shutdown().await.unwrap();
        expect(&mut rig.client, &frame(b"last")).await;
        let error = rig.client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(rig.end().await.cause, EndCause::Reset);
    });
}

#[test]
fn what_a_slow_reader_leaves_is_bounded_and_arrives_whole() {
    run(async {
        let mut rig = tls_rig().await;
        let bytes = long_frame(16 << 20);
        let (mut sent, mut got) = (0, vec![0; bytes.len()]);
        // Until the reader is stalled, and everything between the two is full.
        while let Ok(written) = tokio::time::timeout(
            Duration::from_millis(300),
            rig.backend.write(&bytes[sent..]),
        )
        .await
        {
            sent += written.unwrap();
            assert!(sent < bytes.len(), "all of it is somewhere on the way");
        }
        let rest = async {
            rig.backend.write_all(&bytes[sent..]).await.unwrap();
            rig.backend.flush().await.unwrap();
        };
        tokio::join!(rest, async {
            rig.client.read_exact(&mut got).await.unwrap()
        });
        assert!(got == bytes);
    });
}

#[test]
fn a_drain_ends_both_legs_in_order() {
    run(async {
        let mut rig = tls_rig().await;
        let set = Rc::clone(&rig.set);
        let drained = tokio::task::spawn_local(async move {
            set.drain_all(Duration::from_secs(10)).await;
        });
        let client = async {
            rig.client
                .write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe9])
                .await
                .unwrap();
            expect_close(&mut rig.client, 1001).await;
            rig.client.shutdown().await.unwrap();
        };
        let backend = async {
            rig.backend.write_all(&[0x88, 2, 3, 0xe9]).await.unwrap();
            rig.backend.shutdown().await.unwrap();
            let mut got = Vec::new();
            rig.backend.read_to_end(&mut got).await.unwrap();
            got
        };
        let ((), got) = tokio::join!(client, backend);
        assert_eq!(got[0], 0x88);
        drained.await.unwrap();
    });
}
