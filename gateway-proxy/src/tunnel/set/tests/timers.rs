//! When tunnels have a timer, what it does when it rings, and what that costs the neighbours.

use super::*;

/// Lets tasks run that can.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_tunnel_without_deadlines_has_no_timer() {
    run(async {
        let mut rig = Rig::new().await;
        rig.client.write_all(&masked(b"hello")).await.unwrap();
        expect(&mut rig.backend, &masked(b"hello")).await;
        assert_eq!(rig.set.timers().len(), 0);
    });
}

#[test]
fn a_tunnel_that_ends_before_its_deadline_takes_its_timer_along() {
    run(async {
        let mut rig = Rig::new().await;
        rig.client.write_all(&frame(b"not masked")).await.unwrap();
        let mut head = [0; 2];
        rig.backend.read_exact(&mut head).await.unwrap();
        settle().await;
        assert_eq!(rig.set.timers().len(), 1);
        drop(rig.backend);
        expect_close(&mut rig.client, 1002).await;
        drop(rig.client);
        while !rig.set.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(rig.set.timers().len(), 0);
    });
}

#[test]
fn a_message_costs_no_timer_operation() {
    run(async {
        let mut rig = Rig::under(|settings| {
            settings.ping_interval = Some(Duration::from_secs(60));
            settings.idle_timeout = Some(Duration::from_secs(90));
        })
        .await;
        for _ in 0..20 {
            rig.client.write_all(&masked(b"hello")).await.unwrap();
            expect(&mut rig.backend, &masked(b"hello")).await;
            settle().await;
        }
        let timers = rig.set.timers();
        assert_eq!((timers.len(), timers.operations()), (1, 1));
    });
}

/// Reads a Ping of eight bytes; returns its payload.
async fn expect_ping(stream: &mut TcpStream, is_masked: bool) -> [u8; 8] {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head, [0x89, if is_masked { 0x88 } else { 8 }]);
    let mut mask = [0; 4];
    if is_masked {
        stream.read_exact(&mut mask).await.unwrap();
    }
    let mut payload = [0; 8];
    stream.read_exact(&mut payload).await.unwrap();
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    payload
}

#[test]
fn silent_legs_are_pinged_and_their_pongs_are_swallowed() {
    run(async {
        let interval = Duration::from_millis(50);
        let mut rig = Rig::under(|settings| settings.ping_interval = Some(interval)).await;
        for _ in 0..3 {
            let asked = expect_ping(&mut rig.backend, true).await;
            let pong = [[0x8a, 8].as_slice(), &asked].concat();
            rig.backend.write_all(&pong).await.unwrap();
            let asked = expect_ping(&mut rig.client, false).await;
            let pong = [[0x8a, 0x88, 0, 0, 0, 0].as_slice(), &asked].concat();
            rig.client.write_all(&pong).await.unwrap();
        }
        // Then the backend says nothing more, and the client is told.
        let mut pings = 0;
        let mut head = [0; 2];
        loop {
            rig.client.read_exact(&mut head).await.unwrap();
            if head[0] == 0x88 {
                break;
            }
            assert_eq!(head, [0x89, 8], "nothing else passes");
            let mut asked = [0; 8];
            rig.client.read_exact(&mut asked).await.unwrap();
            let pong = [[0x8a, 0x88, 0, 0, 0, 0].as_slice(), &asked].concat();
            rig.client.write_all(&pong).await.unwrap();
            pings += 1;
        }
        assert!(pings >= 1, "it answers, and stays");
        rig.client
            .write_all(&[0x88, 0x80, 0, 0, 0, 0])
            .await
            .unwrap();
        rig.client.shutdown().await.unwrap();
        let end = rig.end().await;
        assert_eq!(
            (end.by, end.cause),
            (Some(Side::Backend), EndCause::Unanswered)
        );
        assert_eq!((end.to_backend.bytes, end.to_client.bytes), (0, 0));
    });
}

#[test]
fn an_idle_tunnel_ends_with_1001() {
    run(async {
        let timeout = Duration::from_millis(50);
        let mut rig = Rig::under(|settings| settings.idle_timeout = Some(timeout)).await;
        let mut head = [0; 2];
        rig.backend.read_exact(&mut head).await.unwrap();
        assert_eq!(head[0], 0x88);
        rig.client
            .write_all(&[0x88, 0x80, 0, 0, 0, 0])
            .await
            .unwrap();
        expect_close(&mut rig.client, 1001).await;
        drop((rig.client, rig.backend));
        while !rig.set.is_empty() {
            tokio::task::yield_now().await;
        }
        let end = &rig.ends.borrow()[0];
        assert_eq!((end.by, &end.cause), (None, &EndCause::Idle));
    });
}

#[test]
fn a_consumer_that_takes_nothing_is_reset_and_the_other_side_hears_1001() {
    run(async {
        let timeout = Duration::from_millis(300);
        let mut rig = Rig::under(|settings| settings.slow_consumer_timeout = Some(timeout)).await;
        let message = long_frame(100_000);
        let (mut hears, mut says) = rig.backend.into_split();
        let floods =
            tokio::task::spawn_local(
                async move { while says.write_all(&message).await.is_ok() {} },
            );
        // The client reads nothing.
        let mut told = Vec::new();
        let mut head = [0; 2];
        hears.read_exact(&mut head).await.unwrap();
        told.extend(head);
        assert_eq!(told, [0x88, 0x80 | told[1] & 0x7f]);
        floods.abort();
        // While the backend has yet to answer.
        let error = loop {
            match rig.client.read(&mut [0; 65_536]).await {
                Ok(0) => panic!("a FIN would look like the whole stream"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(rig.set.len(), 1);
        drop((floods.await, hears));
        while !rig.set.is_empty() {
            tokio::task::yield_now().await;
        }
        let end = &rig.ends.borrow()[0];
        assert_eq!(
            (end.by, &end.cause),
            (Some(Side::Client), &EndCause::SlowConsumer)
        );
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_is_told_how_long_silence_may_last() {
    run(async {
        let ((_client, near), (_backend, far)) = (pair().await, pair().await);
        let timeout = Duration::from_secs(7);
        let sockets = [&near, &far].map(|socket| {
            let socket = socket2::SockRef::from(socket);
            assert_eq!(socket.tcp_user_timeout().unwrap(), None, "off by default");
            socket.try_clone().unwrap()
        });
        let mut settings = settings();
        settings.web_socket.tcp_user_timeout = Some(timeout);
        let about = TunnelAbout {
            settings: Arc::new(settings),
            ..about(ListenerId(1), TargetId(2), &PerWorker::new(2))
        };
        let set = Rc::new(TunnelSet::new(Arc::default()));
        set.open(near.into(), b"", far.into(), b"", about);
        for socket in sockets {
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(timeout));
        }
    });
}

#[test]
fn an_opaque_tunnel_drains_by_a_fin_at_the_deadline() {
    run(async {
        let mut rig = Rig::under(|settings| settings.frames = Frames::Opaque).await;
        let deadline = Duration::from_millis(100);
        let set = Rc::clone(&rig.set);
        let drained = tokio::task::spawn_local(async move { set.drain_all(deadline).await });
        let started = std::time::Instant::now();
        let mut got = Vec::new();
        rig.client.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"", "no Close");
        assert!(started.elapsed() >= deadline, "{:?}", started.elapsed());
        assert_eq!(rig.backend.read(&mut [0]).await.unwrap(), 0);
        drop((rig.client, rig.backend));
        drained.await.unwrap();
        assert_eq!(rig.ends.borrow()[0].cause, EndCause::Cut);
    });
}
