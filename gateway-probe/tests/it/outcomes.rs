//! Each answer gives its outcome, and each outcome its words.

use std::time::{Duration, Instant};

use gateway_core::health::{Health, ProbeFailure, ProbeOutcome};
use gateway_probe::Prober;

use crate::backend::{BROKEN, Backend, HEALTHY, Say};
use crate::setup::{Setup, cells, expect_malformed, first_outcome, first_probe, until};

#[tokio::test]
async fn answers_are_told_in_words() {
    // What the backend says; the text that is looked for; the outcome.
    let rows: &[(Say, &str, &str)] = &[
        (HEALTHY, "", "status 204"),
        (Say::Bytes(b"HTTP/1.0 200 OK\r\n\r\nfine"), "fine", "status 200"),
        (BROKEN, "", "status 500, expected 200-399"),
        (
            Say::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsick"),
            "fine",
            "the body does not contain \"fine\"",
        ),
        (
            Say::Bytes(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
            "",
            "status 200",
        ),
        (
            Say::Bytes(
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n",
            ),
            "fine",
            "status 200",
        ),
        (
            Say::Bytes(b""),
            "",
            "the connection was closed before the answer was complete: end of stream",
        ),
        (
            Say::Bytes(b"HTTP/1.1 200 OK\r\ncontent-len"),
            "",
            "the connection was closed before the answer was complete: end of stream",
        ),
        (
            Say::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nfin"),
            "fine",
            "the connection was closed before the answer was complete: end of stream",
        ),
        (
            Say::Reset,
            "",
            "the connection was closed before the answer was complete: reset",
        ),
    ];
    for (say, text, expected) in rows {
        let backend = Backend::start(say.clone()).await;
        let setup = Setup::new([backend.address]).looks_for(text);
        assert_eq!(first_outcome(&setup).await, *expected, "{say:?}");
    }
}

#[tokio::test]
async fn answers_that_are_not_http_are_malformed() {
    let rows: &[(&[u8], &str)] = &[
        (b"SSH-2.0-OpenSSH_9.6\r\n", ""),
        (b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n", ""),
        (b"HTTP/1.1 99999 OK\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", ""),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nfine\r\n",
            "fine",
        ),
    ];
    for (bytes, text) in rows {
        let backend = Backend::start(Say::Bytes(bytes)).await;
        let setup = Setup::new([backend.address]).looks_for(text);
        expect_malformed(&setup, &bytes.escape_ascii().to_string()).await;
    }
}

#[tokio::test]
async fn a_refused_connection_is_told() {
    let backend = Backend::start(HEALTHY).await;
    let address = backend.address;
    drop(backend);
    assert_eq!(
        first_outcome(&Setup::new([address])).await,
        format!("{address} refused the connection")
    );
}

#[tokio::test]
async fn the_time_limit_covers_every_step_and_says_which() {
    let rows: &[(Say, &str, &str)] = &[
        (Say::Hang(b""), "", "waiting for the head of the answer"),
        (
            Say::Hang(b"HTTP/1.1 200 OK\r\n"),
            "",
            "waiting for the head of the answer",
        ),
        (
            Say::Hang(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"),
            "fine",
            "reading the body of the answer",
        ),
    ];
    for (say, text, doing) in rows {
        let backend = Backend::start(say.clone()).await;
        let setup = Setup::new([backend.address])
            .looks_for(text)
            .within(Duration::from_millis(250));
        let probe = first_probe(&setup).await;
        let expected = ProbeOutcome::Failed(ProbeFailure::Timeout {
            after: setup.probe.timeout,
            doing,
        });
        assert_eq!(probe.outcome, expected, "{say:?}");
        assert!(probe.took >= setup.probe.timeout, "{probe:?}");
        // The connection does not outlive its probe.
        backend.until(|seen| seen.open == 0).await;
    }
}

#[tokio::test]
async fn a_probe_is_a_plain_get_on_a_connection_of_its_own() {
    let backend = Backend::start(HEALTHY).await;
    let prober = Prober::start();
    Setup::new([backend.address]).apply(&prober, None);
    let seen = backend.until(|seen| seen.heads.len() >= 3).await;
    assert_eq!(
        seen.heads[0],
        "GET /health?deep=1 HTTP/1.1\r\nhost: www.contoso.com\r\n\
         user-agent: gateway-probe\r\nconnection: close\r\n\r\n"
    );
    assert!(seen.at.len() >= 3, "one connection for each");
    prober.stop().await;
    backend.until(|seen| seen.open == 0).await;
}

#[tokio::test]
async fn down_after_the_threshold_and_up_after_one_success() {
    let backend = Backend::start(HEALTHY).await;
    let mut setup = Setup::new([backend.address]);
    setup.probe.unhealthy_threshold = 3.try_into().unwrap();
    let prober = Prober::start();
    let mut events = prober.events();
    let snapshot = setup.apply(&prober, None);
    let cell = &snapshot.backends[0].targets[0].health;
    assert_eq!(cell.health(), Health::Unknown);
    until(&prober, cell.id, |report| report.health == Health::Up).await;
    let minute = Duration::from_secs(60);
    assert!(
        cell.serving_for(Instant::now() + minute) >= minute,
        "its slow start has begun, before any request"
    );

    backend.say(BROKEN);
    let report = until(&prober, cell.id, |report| report.failures == 2).await;
    assert_eq!(report.health, Health::Up, "a flap below the threshold");
    let report = until(&prober, cell.id, |report| report.health == Health::Down).await;
    assert_eq!(report.failures, 3);
    assert_eq!(cell.health(), Health::Down);

    // As if it had served for long before it went.
    cell.came_back(Instant::now() - minute);
    backend.say(HEALTHY);
    until(&prober, cell.id, |report| report.health == Health::Up).await;
    assert_eq!(cell.health(), Health::Up);
    assert!(
        cell.serving_for(Instant::now()) < minute,
        "its slow start begins anew"
    );

    let told: Vec<_> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|event| (event.health_cell, event.from, event.to, event.reason))
        .collect();
    let (up, down) = (
        "status 204".to_owned(),
        "status 500, expected 200-399".to_owned(),
    );
    assert_eq!(
        told,
        [
            (cell.id, Health::Unknown, Health::Up, up.clone()),
            (cell.id, Health::Up, Health::Down, down),
            (cell.id, Health::Down, Health::Up, up),
        ]
    );
}

#[tokio::test]
async fn metrics_show_health_and_failures() {
    let backend = Backend::start(HEALTHY).await;
    let broken = Backend::start(BROKEN).await;
    let prober = Prober::start();
    let mut registry = prometheus_client::registry::Registry::default();
    prober.register_metrics(&mut registry);
    let setup = Setup::new([backend.address, broken.address]);
    let snapshot = setup.apply(&prober, None);
    let cells = cells(&snapshot);
    until(&prober, cells[0], |report| report.health == Health::Up).await;
    until(&prober, cells[1], |report| report.health == Health::Down).await;

    let text = |registry| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    };
    let shown = text(&registry);
    for (address, value) in [(backend.address, 1), (broken.address, 0)] {
        let line = format!(
            "gateway_backend_health{{pool=\"pool\",settings=\"settings\",host=\"127.0.0.1\",\
             address=\"{address}\"}} {value}"
        );
        assert!(shown.contains(&line), "{line} in {shown}");
    }
    assert!(
        shown.contains("gateway_probe_duration_seconds_count{"),
        "{shown}"
    );
    assert!(
        shown.contains(
            "gateway_probe_failures_total{pool=\"pool\",settings=\"settings\",reason=\"status\"}"
        ),
        "{shown}"
    );

    // What leaves the configuration leaves the metrics.
    prober.stop().await;
    let nothing = gateway_core::config::Config::default();
    let empty = gateway_core::snapshot::compile(
        &nothing,
        &std::collections::BTreeMap::new(),
        &gateway_core::snapshot::CompileOptions::default(),
        None,
        gateway_core::snapshot::Generation(1),
        gateway_core::snapshot::Revision(1),
    );
    prober.update(empty.into(), std::sync::Arc::default());
    assert!(
        !text(&registry).contains("pool=\"pool\""),
        "{}",
        text(&registry)
    );
}
