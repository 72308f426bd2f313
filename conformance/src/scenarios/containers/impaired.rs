//! Networks that are slow or lose packets: tunnels do not notice, and probes have the patience that
//! their settings give them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use super::{scenario, tunnel_to_first};
use crate::harness::containers::Impairment;
use crate::harness::frames::{masked, unmasked};
use crate::harness::site::Site;
use crate::harness::wire::Wire;
use crate::harness::{PATIENCE, until};
use crate::scenario::{Scenario, Told};

const BINARY: u8 = 0x2;
/// An echo of [`MESSAGE`] bytes over the delayed network takes longer, whatever the means of delay.
const SLOW: Duration = Duration::from_millis(50);
const MESSAGE: usize = 4096;
/// What a probe of a lossy network needs: three SYNs in a row may be lost.
const PATIENT: Duration = Duration::from_secs(40);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        impaired(
            "a slow network: tunnels go on, and the probe is content",
            Impairment::Delay,
        ),
        impaired(
            "a network that loses packets: tunnels go on, and the probe is content",
            Impairment::Loss,
        ),
    ]
}

fn impaired(name: &str, how: Impairment) -> Scenario {
    scenario(name, "reference 5", move |stage| async move {
        let probe = json!({ "timeout": 5, "unhealthyThreshold": 3 });
        let site = Site::open(&stage, probe, false).await?;
        endures(&site, how).await
    })
}

async fn endures(site: &Site, how: Impairment) -> Result<Told> {
    let backend = &site.backends[0];
    let mut wire = tunnel_to_first(site).await?;
    let means = backend.impair(how).await?;
    let measured = match how {
        Impairment::Delay => {
            let took = echoes(&mut wire, 5).await?;
            ensure!(
                took > SLOW,
                "nothing is slow: an echo took {took:?} ({means})"
            );
            format!("an echo took {} ms", took.as_millis())
        }
        Impairment::Loss => {
            echoes(&mut wire, 60).await?;
            let dropped = backend.dropped().await?;
            ensure!(dropped > 0, "nothing was lost ({means})");
            format!("{dropped} packets were lost")
        }
    };
    let before = backend.probes().await?;
    until("three more probes", PATIENT, async || {
        Ok((backend.probes().await? >= before + 3).then_some(()))
    })
    .await?;
    let target = site.gateway.admin.target(backend.address.port()).await?;
    ensure!(target.health == "Up", "the probe lost patience: {target:?}");
    Ok(Told::Measured(format!("{measured}, by {means}")))
}

/// Messages there and back, one after another; how long the quickest took.
async fn echoes(wire: &mut Wire, count: u8) -> Result<Duration> {
    let mut quickest = Duration::MAX;
    for number in 0..count {
        let message = [number; MESSAGE];
        let started = Instant::now();
        wire.send(&masked(BINARY, &message)).await?;
        let echo = unmasked(BINARY, &message);
        let came = wire.exactly(echo.len(), PATIENCE).await?;
        ensure!(came == echo, "message {number} is not what was sent");
        quickest = quickest.min(started.elapsed());
    }
    Ok(quickest)
}
