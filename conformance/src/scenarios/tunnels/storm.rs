//! A gateway dies with thousands of WebSockets open, and all of their clients come back: the backend gets
//! no more handshakes than the ramp allows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::harness::crowd::{Crowd, Order, affordable};
use crate::harness::document::{Document, idle_probe, plain_settings};
use crate::harness::gateway::Gateway;
use crate::harness::ports::free_port;
use crate::harness::site::explain;
use crate::harness::turnstile::Turnstile;
use crate::scenario::{self, Plot, Scenario, Stage, Told};

const CLIENTS: usize = 5_000;
/// Handshakes a second in the end, and how long the rate grows to it from a tenth.
const RATE: u32 = 800;
const RAMP: Duration = Duration::from_secs(6);
/// In which arrivals are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// A busy machine may take so long from the gate to the backend: then those come together with others
/// that were let through later.
const DELAY: Duration = Duration::from_millis(300);
/// How long the first opening and the coming back may take.
const ALL_OPEN: Duration = Duration::from_secs(40);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        group: super::GROUP,
        name: "five thousand clients come back after a crash, and never above the ramp".to_owned(),
        clause: "issue 4",
        // It takes the whole machine, and judges by times.
        plot: Plot::Alone(scenario::story(come_back)),
    }]
}

async fn come_back(stage: Stage) -> Result<Told> {
    let count = affordable(CLIENTS)?;
    let backend = Turnstile::start()?;
    let port = free_port()?;
    let mut settings = plain_settings("idle");
    let document = Document::new()
        .with("probes", "idle", idle_probe())
        .with(
            "backendHttpSettingsCollection",
            "settings",
            settings.clone(),
        )
        .pool("pool", &[backend.address])
        .http(port, "pool", "settings");
    let mut gateway = Gateway::with_state(&stage.programs, document).await?;
    let log = gateway.log().clone();
    let front = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let told = async {
        let seed = stage.random("storm").u64(..);
        let clients = Crowd::start(Order::quiet(front, count).coming_back(seed));
        clients.all_open(ALL_OPEN).await?;
        settings["webSocket"] = json!({
            "maxHandshakesPerSecond": RATE,
            "handshakeRampInSec": RAMP.as_secs(),
        });
        let body = json!({ "name": "settings", "properties": settings });
        let path = "/v1/backendHttpSettingsCollection/settings";
        gateway.admin.put(path, &body).await?;

        backend.take();
        let died = Instant::now();
        gateway.kill_and_restart().await?;
        clients.all_open(ALL_OPEN).await?;
        let back = died.elapsed();
        let arrivals = backend.take();
        ensure!(
            arrivals.len() == count,
            "{} handshakes for {count} clients",
            arrivals.len()
        );
        let most = judge(&arrivals, died)?;
        let book = clients.look();
        ensure!(
            book.refusals.iter().all(|refusal| refusal.status == 503),
            "other refusals than 503: {:?}",
            book.refusals.iter().find(|refusal| refusal.status != 503)
        );
        let waits = book.refusals.iter().map(|refusal| refusal.retry_after);
        let waits: Option<std::collections::BTreeSet<u64>> = waits.collect();
        let waits = waits.context("a 503 without Retry-After")?;
        ensure!(!waits.is_empty(), "nobody was refused: there was no storm");
        Ok(Told::Measured(format!(
            "{count} back after {:.1} s, {most} at most within a second; {} answers 503 with Retry-After {waits:?}",
            back.as_secs_f64(),
            book.refusals.len(),
        )))
    };
    told.await.map_err(|error| explain(&log, error))
}

/// How many arrivals the ramp allows up to a time after its start: the area below the rate, and what
/// may come at once.
fn allowed(until: Duration) -> f64 {
    let (ramp, until) = (RAMP.as_secs_f64(), until.as_secs_f64());
    let growing = until.min(ramp);
    let area = 0.1 * growing + 0.9 * growing * growing / (2.0 * ramp);
    f64::from(RATE) * (area + until - growing)
}

/// Handshakes a second, so long after the ramp's start.
fn rate_at(since: Duration) -> f64 {
    let grown = (since.as_secs_f64() / RAMP.as_secs_f64()).min(1.0);
    f64::from(RATE) * (0.1 + 0.9 * grown)
}

/// Fails where more came than the ramp allows after `start`, a moment before it began: in sum, which
/// delays on the way can only lower, and in any window, where delays may push some together. The most in
/// one window.
fn judge(arrivals: &[Instant], start: Instant) -> Result<usize> {
    let mut most = 0;
    for (index, at) in arrivals.iter().enumerate() {
        let since = at.duration_since(start);
        let so_far = index + 1;
        ensure!(
            so_far as f64 <= allowed(since) + 1.0,
            "{so_far} had come after {since:?}, where the ramp allows {:.0}",
            allowed(since)
        );
        let begin = arrivals.partition_point(|other| at.duration_since(*other) > WINDOW);
        let within = so_far - begin;
        let rate = rate_at(since);
        ensure!(
            within as f64 <= rate * (WINDOW + DELAY).as_secs_f64(),
            "{within} came in the second before {since:?}, where the ramp has come to {rate:.0}"
        );
        most = most.max(within);
    }
    Ok(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_ramp_is_seen() {
        assert!((allowed(RAMP) - 0.55 * f64::from(RATE) * RAMP.as_secs_f64()).abs() < 1.0);
        let start = Instant::now();
        let every = |micros: u64| -> Vec<Instant> {
            let times = (0..4_000).map(|number| number * micros);
            times.map(|at| start + Duration::from_micros(at)).collect()
        };
        assert!(judge(&every(100_000), start).is_ok());
        assert!(judge(&every(1_000), start).is_err());
        // In sum it is not too much, but all at once it is.
        let late = vec![start + RAMP; 1_100];
        assert!(judge(&late, start).is_err());
    }
}
