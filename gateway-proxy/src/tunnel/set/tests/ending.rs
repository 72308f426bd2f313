//! Ending some of the tunnels: who is told what, when, and how it is counted.

use std::num::NonZeroU32;

use gateway_core::tunnels::{DrainKind, DrainReport, DrainState, TunnelFacts};

use super::super::super::drains::DrainOrder;
use super::super::pace::Pace;
use super::*;

fn order(pace: Pace) -> DrainOrder {
    DrainOrder {
        kind: DrainKind::Closed,
        what: "some".into(),
        code: Some(4001),
        reason: "try elsewhere".into(),
        pace,
        time: None,
    }
}

/// One that would take ten minutes, and may take twenty.
fn slow_order() -> DrainOrder {
    DrainOrder {
        time: Some(Duration::from_secs(1200)),
        ..order(Pace::Over(Duration::from_secs(600)))
    }
}

/// Several tunnels of one set; their peers never say anything by themselves.
struct Many {
    set: Rc<TunnelSet>,
    book: Arc<DrainBook>,
    peers: Vec<(TcpStream, TcpStream)>,
}

impl Many {
    async fn open(count: usize) -> Self {
        let book = Arc::<DrainBook>::default();
        let set = Rc::new(TunnelSet::new(Arc::clone(&book)));
        let (load, mut peers) = (PerWorker::new(2), Vec::new());
        for _ in 0..count {
            let ((client, near), (backend, far)) = (pair().await, pair().await);
            let about = about(ListenerId(1), TargetId(2), &load);
            set.open(near.into(), b"", far.into(), b"", about);
            peers.push((client, backend));
        }
        Self { set, book, peers }
    }

    /// Starts a drain of those whose serial `which` likes.
    async fn end(&self, order: DrainOrder, which: fn(u64) -> bool) -> Arc<Drain> {
        let drain = self.book.begin(order, &[]);
        drain.expect_workers(1);
        let filter = move |facts: &TunnelFacts<'_>| which(facts.id.serial);
        self.set.end(&drain, &filter).await;
        drain
    }

    /// The client of tunnel `number` hears the Close and answers; the backend does, too.
    async fn answer(&mut self, number: usize) {
        let (client, backend) = &mut self.peers[number];
        expect(client, b"\x88\x0f\x0f\xa1try elsewhere").await;
        client
            .write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa1])
            .await
            .unwrap();
        let mut close = [0; 6 + 15];
        backend.read_exact(&mut close).await.unwrap();
        backend.write_all(&[0x88, 2, 0x0f, 0xa1]).await.unwrap();
        backend.shutdown().await.unwrap();
        client.shutdown().await.unwrap();
    }

    async fn until(&self, drain: &Drain, state: impl Fn(&DrainReport) -> bool) -> DrainReport {
        while !state(&drain.report()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drain.report()
    }

    async fn is_alive(&mut self, number: usize) {
        let (client, backend) = &mut self.peers[number];
        backend.write_all(&frame(b"alive")).await.unwrap();
        expect(client, &frame(b"alive")).await;
    }
}

#[test]
fn exactly_those_that_are_meant_end_with_the_code_and_the_reason_given() {
    run(async {
        let mut many = Many::open(3).await;
        let drain = many.end(order(Pace::AtOnce), |serial| serial != 1).await;
        let report = drain.report();
        assert_eq!((report.total, report.left()), (2, 2));
        many.answer(0).await;
        many.answer(2).await;
        let report = many.until(&drain, |report| report.left() == 0).await;
        assert_eq!((report.told, report.closed, report.cut), (2, 2, 0));
        assert_eq!(report.state, DrainState::Finished);
        many.is_alive(1).await;
    });
}

#[test]
fn a_look_at_all_tunnels_rests_between_slices_and_misses_none() {
    run(async {
        let many = Many::open(5).await;
        let query = gateway_core::tunnels::ListQuery::parse([]).unwrap();
        let mut listing = std::pin::pin!(many.set.list(&query));
        let mut rests = 0;
        let page = std::future::poll_fn(|cx| {
            let polled = listing.as_mut().poll(cx);
            rests += usize::from(polled.is_pending());
            polled
        })
        .await;
        assert!(rests >= 2, "others had {rests} turns");
        let serials: Vec<_> = page.finish().0.iter().map(|one| one.id.serial).collect();
        assert_eq!(serials, [0, 1, 2, 3, 4]);
    });
}

#[test]
fn without_a_code_the_settings_of_the_tunnel_have_their_say() {
    run(async {
        let book = Arc::<DrainBook>::default();
        let set = Rc::new(TunnelSet::new(Arc::clone(&book)));
        let ((mut client, near), (_backend, far)) = (pair().await, pair().await);
        let mut own = settings();
        own.web_socket.close_code = gateway_core::config::DrainCode::ServiceRestart;
        let about = TunnelAbout {
            settings: Arc::new(own),
            ..about(ListenerId(1), TargetId(2), &PerWorker::new(2))
        };
        set.open(near.into(), b"", far.into(), b"", about);
        let order = DrainOrder {
            code: None,
            ..order(Pace::AtOnce)
        };
        set.end(&book.begin(order, &[]), &|_| true).await;
        expect(&mut client, b"\x88\x0f\x03\xf4").await;
    });
}

#[test]
fn who_does_not_answer_is_cut_when_the_time_is_up_with_a_fin() {
    run(async {
        let mut many = Many::open(1).await;
        let order = DrainOrder {
            time: Some(Duration::from_millis(50)),
            ..order(Pace::AtOnce)
        };
        let drain = many.end(order, |_| true).await;
        let deadline = drain.report().deadline.unwrap();
        assert!(deadline >= drain.report().started_at + Duration::from_millis(50));
        let (client, backend) = &mut many.peers[0];
        expect_close(client, 4001).await;
        backend.shutdown().await.unwrap();
        client.shutdown().await.unwrap();
        let report = many.until(&drain, |report| report.left() == 0).await;
        assert_eq!((report.told, report.closed, report.cut), (1, 0, 1));
    });
}

#[test]
fn so_many_a_second_are_told_the_oldest_first() {
    run(async {
        let mut many = Many::open(3).await;
        let rate = Pace::PerSecond(NonZeroU32::new(10).unwrap());
        let start = Instant::now();
        let drain = many.end(order(rate), |_| true).await;
        for number in 0..3 {
            many.answer(number).await;
            let least = Duration::from_millis(100) * u32::try_from(number).unwrap();
            assert!(start.elapsed() >= least, "{number} was told too early");
            assert_eq!(drain.report().told, number + 1, "one after another");
        }
        assert_eq!(drain.report().deadline, None);
    });
}

#[test]
fn a_cancelled_drain_keeps_who_was_not_told_until_it_is_resumed() {
    run(async {
        let mut many = Many::open(3).await;
        let rate = Pace::PerSecond(NonZeroU32::new(2).unwrap());
        let drain = many.end(order(rate), |_| true).await;
        many.answer(0).await;
        drain.cancel();
        many.set.cancel(&drain).await;
        let report = many.until(&drain, |report| report.left() == 0).await;
        assert_eq!((report.total, report.told, report.kept), (3, 1, 2));
        assert_eq!(report.state, DrainState::Cancelled);
        for kept in [1, 2] {
            many.is_alive(kept).await;
        }
        drain.resume();
        drain.expect_workers(1);
        many.set.resume(&drain).await;
        for kept in [1, 2] {
            many.answer(kept).await;
        }
        let report = many.until(&drain, |report| report.left() == 0).await;
        assert_eq!((report.told, report.closed, report.kept), (3, 3, 0));
        assert_eq!(report.state, DrainState::Finished);
    });
}

#[test]
fn a_tunnel_is_in_one_drain_unless_it_is_to_end_at_once() {
    run(async {
        let mut many = Many::open(2).await;
        let slow = many.end(slow_order(), |_| true).await;
        let second = many.end(slow_order(), |_| true).await;
        assert_eq!((slow.report().total, second.report().total), (2, 0));
        assert_eq!(second.report().state, DrainState::Finished);
        let now = many.end(order(Pace::AtOnce), |serial| serial == 1).await;
        assert_eq!((slow.report().total, now.report().total), (1, 1));
        many.answer(1).await;
        let report = many.until(&now, |report| report.left() == 0).await;
        assert_eq!(report.closed, 1);
        assert_eq!((slow.report().closed, slow.report().left()), (0, 1));
    });
}

#[test]
fn the_end_of_the_process_ends_what_drains_more_slowly() {
    run(async {
        let many = Many::open(2).await;
        let slow = many.end(slow_order(), |_| true).await;
        let told = many.end(order(Pace::AtOnce), |serial| serial == 1).await;
        many.until(&told, |report| report.told == 1).await;
        let Many { set, peers, .. } = many;
        let ended = async { set.drain_all(Duration::from_millis(100)).await };
        let clients = async {
            for (number, (mut client, backend)) in peers.into_iter().enumerate() {
                expect_close(&mut client, [1001, 4001][number]).await;
                drop((client, backend));
            }
        };
        tokio::join!(ended, clients);
        assert_eq!((slow.report().total, told.report().cut), (0, 1));
    });
}
