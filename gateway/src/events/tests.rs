use std::task::Poll;

use gateway_admin::ProcessChange;

use super::*;

fn happening(phase: &'static str) -> Happening {
    Happening::Process(ProcessChange { phase })
}

fn bus_of(count: u64) -> EventBus {
    let bus = EventBus::new();
    for _ in 0..count {
        bus.tell(happening("Serving"));
    }
    bus
}

/// What a reader is told in short: serials, and notes.
async fn all(mut reader: Reader) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(next) = reader.next().await {
        told.push(match next {
            Told::Event(event) => event.id.serial.to_string(),
            note @ (Told::Missed(_) | Told::TooSlow(_)) => format!("{note:?}"),
        });
    }
    told
}

#[tokio::test]
async fn a_reader_begins_where_it_says() {
    const ALL: u64 = KEPT as u64 + 10;
    let bus = bus_of(ALL);
    let ours = |serial| {
        Since::After(EventId {
            process: bus.shared.process,
            serial,
        })
    };
    let foreign = Since::After(EventId {
        process: bus.shared.process - 1,
        serial: ALL,
    });
    let missed = |count: Option<u64>| format!("{:?}", Told::Missed(count));
    let rows = [
        // Where it begins; what it is told first, and how much in all.
        (Since::Now, None, 0),
        (Since::Oldest, Some("11".to_owned()), KEPT),
        (ours(ALL), None, 0),
        (ours(ALL - 2), Some((ALL - 1).to_string()), 2),
        (ours(10), Some("11".to_owned()), KEPT),
        (ours(7), Some(missed(Some(3))), KEPT + 1),
        (ours(ALL + 1), Some(missed(None)), KEPT + 1),
        (foreign, Some(missed(None)), KEPT + 1),
    ];
    bus.close();
    for (since, first, count) in rows {
        let told = all(bus.read(since)).await;
        assert_eq!(
            (told.first(), told.len()),
            (first.as_ref(), count),
            "{since:?}"
        );
    }
}

#[tokio::test]
async fn a_reader_waits_for_what_comes_and_ends_when_all_is_told() {
    let bus = bus_of(3);
    let mut reader = bus.read(Since::Now);
    {
        let mut waiting = std::pin::pin!(reader.next());
        let early = std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx)));
        assert!(early.await.is_pending());
        bus.tell(happening("Draining"));
        let Some(Told::Event(event)) = waiting.await else {
            panic!("no event");
        };
        assert_eq!(event.id.serial, 4);
    }
    bus.tell(happening("Ended"));
    bus.close();
    assert_eq!(all(reader).await, ["5"]);
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_lost_and_holds_nothing_up() {
    let bus = bus_of(0);
    let slow = bus.read(Since::Now);
    for _ in 0..KEPT + 5 {
        bus.tell(happening("Serving"));
    }
    assert_eq!(bus.shared.ring().events.len(), KEPT);
    assert_eq!(all(slow).await, [format!("{:?}", Told::TooSlow(5))]);
}
