//! As many tunnels as a worker may have one day, without their sockets, which no machine for tests
//! has. They are registered as open ones are, and asked for as the API asks.

use std::future::Future;
use std::time::Instant as StdInstant;

use gateway_core::tunnels::{DrainKind, ListQuery, Page, TunnelReport};
use tokio::sync::oneshot;

use super::super::super::drains::DrainOrder;
use super::super::pace::Pace;
use super::*;
use crate::tunnel_control::TunnelCommand;

const MANY: u64 = 100_000;

/// Tunnels that have carried messages of different lengths, from clients of 10.0.0.0/8.
fn registered() -> Rc<TunnelSet> {
    let set = TunnelSet::new(Arc::default());
    let (settings, load) = (Arc::new(settings()), PerWorker::new(1));
    let target = identity(TargetId(2), &load).target;
    let counts = about(ListenerId(1), TargetId(2), &load).counts;
    for serial in 0..MANY {
        let opened = now();
        let mut machine =
            Machine::new(&settings.web_socket, Arc::clone(&set.meter), [0; 4], opened);
        // Neither sorted nor all different.
        let length = usize::try_from(serial * 7919 % 120).unwrap();
        let message = frame(&vec![b'x'; length]);
        assert_eq!(machine.receive(Side::Backend, &message, opened), message);
        let [_, high, middle, low] = u32::try_from(serial).unwrap().to_be_bytes();
        let identity = TunnelIdentity {
            client: SocketAddr::from(([10, high, middle, low], 4711)),
            target: Arc::clone(&target),
            ..identity(TargetId(2), &load)
        };
        let about = TunnelAbout {
            settings: Arc::clone(&settings),
            identity: Arc::new(identity),
            counts: Arc::clone(&counts),
            ..about(ListenerId(1), TargetId(2), &load)
        };
        set.entries.borrow_mut().insert(Entry {
            tunnel: Rc::new(TunnelState::new(serial, about, machine, opened)),
            standing: Standing::Open,
            order: None,
            waker: None,
        });
    }
    Rc::new(set)
}

/// What a neighbour on the worker waited for at most, from one turn of its own to the next.
#[derive(Debug, Default)]
struct Waited {
    tunnels: usize,
    time: Duration,
    /// From the first turn to the last.
    all: Duration,
}

/// Has the worker do something, in a task as it does, beside a neighbour that wants every turn.
async fn beside_a_neighbour<T: 'static>(
    set: &TunnelSet,
    work: impl Future<Output = T> + 'static,
) -> (T, Waited) {
    let mut waited = Waited::default();
    let begun = StdInstant::now();
    let working = tokio::task::spawn_local(work);
    let (mut looks, mut then) = (set.looks.get(), begun);
    while !working.is_finished() {
        yield_now().await;
        let now = StdInstant::now();
        waited.tunnels = waited.tunnels.max(set.looks.get() - looks);
        waited.time = waited.time.max(now - then);
        (looks, then) = (set.looks.get(), now);
    }
    waited.all = begun.elapsed();
    (working.await.unwrap(), waited)
}

/// One page, as `GET /v1/connections` asks each worker for its part.
async fn page(set: &Rc<TunnelSet>, query: &ListQuery) -> (Page<TunnelReport>, Waited) {
    let (answer, answered) = oneshot::channel();
    let command = TunnelCommand::List(Arc::new(query.clone()), answer);
    let worker = Rc::clone(set);
    let work = async move {
        command.carry_out(&worker).await;
        answered.await.unwrap()
    };
    beside_a_neighbour(set, work).await
}

#[test]
fn a_sorted_filtered_list_comes_page_by_page_and_a_slice_a_turn() {
    run(async {
        let set = registered();
        let asked = [
            ("client", "10.0.200.0/22"),
            ("sort", "-bytes"),
            ("limit", "400"),
        ];
        let mut query = ListQuery::parse(asked).unwrap();
        let mut listed = Vec::new();
        loop {
            let (page, waited) = page(&set, &query).await;
            assert_eq!(waited.tunnels, SLICE);
            let (reports, next) = page.finish();
            listed.extend(reports.iter().map(|one| (one.sent.bytes, one.id.serial)));
            query.after = next;
            if next.is_none() {
                break;
            }
        }
        let first = 200 << 8;
        let all = (first..first + 1024).map(|serial| (serial * 7919 % 120 + 2, serial));
        let mut all: Vec<_> = all.collect();
        all.sort_by(|one, other| other.cmp(one));
        assert_eq!(listed, all);
    });
}

/// Tells how long the worker is busy in one turn, too, which says something in a release build alone:
/// `cargo test --release --package gateway-proxy --lib -- --nocapture many`.
#[test]
fn no_turn_looks_at_more_than_a_slice_whatever_is_asked_of_many() {
    /// How often each is asked.
    const TIMES: usize = if cfg!(debug_assertions) { 1 } else { 40 };

    let tell = |what: &str, mut all: Vec<Waited>| {
        assert!(all.iter().all(|waited| waited.tunnels <= SLICE), "{what}");
        all.sort_by_key(|waited| waited.all);
        let page = all[all.len() / 2].all;
        all.sort_by_key(|waited| waited.time);
        let turns = [all.len() / 2, all.len() - 1].map(|place| all[place].time);
        println!(
            "{what}: {page:.2?}, its longest turn {:.3?} (median), {:.3?} (worst)",
            turns[0], turns[1]
        );
    };
    run(async {
        let set = registered();
        let rows: [(&str, &[(&str, &str)]); 4] = [
            ("first page", &[]),
            (
                "largest page by bytes",
                &[("sort", "-bytes"), ("limit", "1000")],
            ),
            ("the latest 1000", &[("sort", "-id"), ("limit", "1000")]),
            (
                "few of many",
                &[
                    ("client", "10.1.134.0/24"),
                    ("olderThan", "0"),
                    ("sort", "openedAt"),
                ],
            ),
        ];
        for (what, asked) in rows {
            let query = ListQuery::parse(asked.iter().copied()).unwrap();
            let mut all = Vec::new();
            for _ in 0..TIMES {
                all.push(page(&set, &query).await.1);
            }
            tell(what, all);
        }
        let order = DrainOrder {
            kind: DrainKind::Closed,
            what: "all".into(),
            code: None,
            reason: "".into(),
            pace: Pace::Over(Duration::from_secs(3600)),
            time: None,
        };
        let mut all = Vec::new();
        for _ in 0..TIMES {
            let drain = set.drains.begin(order.clone(), &[]);
            let worker = Rc::clone(&set);
            let (ends, cancels) = (Arc::clone(&drain), Arc::clone(&drain));
            let end = async move { worker.end(&ends, &|_| true).await };
            all.push(beside_a_neighbour(&set, end).await.1);
            cancels.cancel();
            set.cancel(&cancels).await;
        }
        tell("a drain of all", all);
    });
}
