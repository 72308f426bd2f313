//! Tunnels as metrics, apart from requests: a tunnel that lives for days shows while it lives.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gateway_core::tunnels::{DrainKind, DrainState};
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::{Export, counter, gauge};
use crate::metrics::tunnels::{AGES, CLOSE_CODES, ENDED_BY, HANDSHAKE_FAILURES, TunnelCounts};
use crate::metrics::{Count, TUNNEL_ENDS, TunnelCells};
use crate::tunnel::{DirectionMeter, KINDS, ROUND_TRIPS, SIZES};

/// The directions of a tunnel, in the order of [`Export::directions`].
const DIRECTIONS: [&str; 2] = ["to_backend", "to_client"];

impl Export {
    pub(super) fn tunnels(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.0.tunnel_counts.all();
        gauge(
            encoder,
            "gateway_tunnels_active",
            "Open WebSocket tunnels",
            all.iter().map(|cells| (pair(cells), cells.open())),
        )?;
        counter(
            encoder,
            "gateway_tunnels_opened",
            "WebSocket tunnels that were opened",
            all.iter()
                .map(|cells| (pair(cells), cells.sum(|counts| &counts.opened))),
        )?;
        ends(encoder, &all)?;
        ages(encoder, &all)?;
        handshakes(encoder, &all)?;
        self.drains(encoder)?;
        self.traffic(encoder)?;
        self.round_trips(encoder)
    }

    /// What the tunnels of all workers carry, by direction.
    fn directions(&self) -> [Vec<&DirectionMeter>; 2] {
        let meters = || self.0.meters.iter();
        [
            meters().map(|meter| &meter.to_backend).collect(),
            meters().map(|meter| &meter.to_client).collect(),
        ]
    }

    fn traffic(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let directions = self.directions();
        let rows = |count: fn(&DirectionMeter, usize) -> &Count| {
            let mut rows = Vec::new();
            for (meters, direction) in directions.iter().zip(DIRECTIONS) {
                for (at, opcode) in KINDS.into_iter().enumerate() {
                    let sum = meters.iter().map(|meter| count(meter, at).get()).sum();
                    rows.push(([("direction", direction), ("opcode", opcode)], sum));
                }
            }
            rows
        };
        counter(
            encoder,
            "gateway_tunnel_messages",
            "Messages and control frames that passed through tunnels",
            rows(|meter, at| &meter.kinds[at].messages),
        )?;
        counter(
            encoder,
            "gateway_tunnel_bytes",
            "Payload that passed through tunnels, without frame headers",
            rows(|meter, at| &meter.kinds[at].bytes),
        )?;
        let mut family = encoder.encode_descriptor(
            "gateway_tunnel_message_size_bytes",
            "How long messages are",
            None,
            MetricType::Histogram,
        )?;
        for (meters, direction) in directions.iter().zip(DIRECTIONS) {
            let bounds = SIZES.map(|bound| bound as f64);
            let buckets = buckets(&bounds, |at| {
                meters.iter().map(|meter| meter.sizes[at].get()).sum()
            });
            // Text and binary.
            let bytes: u64 = meters
                .iter()
                .flat_map(|meter| &meter.kinds[..2])
                .map(|kind| kind.bytes.get())
                .sum();
            family
                .encode_family(&[("direction", direction)])?
                .encode_histogram::<NoLabelSet>(bytes as f64, total(&buckets), &buckets, None)?;
        }
        Ok(())
    }

    fn round_trips(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "gateway_tunnel_ping_round_trip_seconds",
            "From a Ping of the gateway to its Pong",
            None,
            MetricType::Histogram,
        )?;
        // A Pong comes the way that messages of its sender come.
        for (meters, side) in self.directions().iter().zip(["client", "backend"]) {
            let buckets = buckets(&ROUND_TRIPS, |at| {
                let counts = meters.iter().map(|meter| meter.round_trips[at].get());
                counts.sum()
            });
            let micros: u64 = meters
                .iter()
                .map(|meter| meter.round_trip_micros.get())
                .sum();
            family
                .encode_family(&[("side", side)])?
                .encode_histogram::<NoLabelSet>(
                    micros as f64 / 1e6,
                    total(&buckets),
                    &buckets,
                    None,
                )?;
        }
        Ok(())
    }

    fn drains(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut left: BTreeMap<&str, u64> = DrainKind::ALL
            .iter()
            .map(|kind| (kind.as_str(), 0))
            .collect();
        for drain in self.0.drains.reports() {
            if drain.state == DrainState::Running {
                *left.entry(drain.kind.as_str()).or_default() += drain.left() as u64;
            }
        }
        gauge(
            encoder,
            "gateway_drain_tunnels",
            "Tunnels that drains have yet to end",
            left.into_iter()
                .map(|(kind, left)| ([("kind", kind)], left)),
        )
    }
}

fn pair(cells: &TunnelCells) -> [(&'static str, &str); 2] {
    [
        ("listener", cells.listener.as_str()),
        ("pool", cells.pool.as_str()),
    ]
}

/// What has been counted at all: most combinations never are.
fn counted<'c, const N: usize>(
    cells: &'c TunnelCells,
    names: [&'static str; N],
    count: impl Fn(&TunnelCounts, usize) -> &Count + 'c,
) -> impl Iterator<Item = (&'static str, u64)> + 'c {
    names
        .into_iter()
        .enumerate()
        .map(move |(at, name)| (name, cells.sum(|counts| count(counts, at))))
        .filter(|(_, count)| *count > 0)
}

fn ends(encoder: &mut DescriptorEncoder<'_>, all: &[Arc<TunnelCells>]) -> fmt::Result {
    let mut by_cause = Vec::new();
    let mut by_code = Vec::new();
    for cells in all {
        let [listener, pool] = pair(cells);
        for (at, by) in ENDED_BY.into_iter().enumerate() {
            let by = ("by", by);
            for (cause, count) in counted(cells, TUNNEL_ENDS, move |it, cause| &it.ended[at][cause])
            {
                by_cause.push(([listener, pool, by, ("cause", cause)], count));
            }
            for (code, count) in counted(cells, CLOSE_CODES, move |it, code| &it.closed[at][code]) {
                by_code.push(([listener, pool, by, ("code", code)], count));
            }
        }
    }
    counter(
        encoder,
        "gateway_tunnels_ended",
        "WebSocket tunnels that ended, by who began it and how",
        by_cause,
    )?;
    counter(
        encoder,
        "gateway_tunnels_closed",
        "WebSocket tunnels that ended, by who began it and the code of the first Close frame",
        by_code,
    )
}

fn ages(encoder: &mut DescriptorEncoder<'_>, all: &[Arc<TunnelCells>]) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "gateway_tunnel_age_seconds",
        "How old tunnels were when they ended",
        None,
        MetricType::Histogram,
    )?;
    for cells in all {
        let buckets = buckets(&AGES, |at| cells.sum(|counts| &counts.ages[at]));
        let seconds = cells.sum(|counts| &counts.age_millis) as f64 / 1e3;
        family
            .encode_family(&pair(cells))?
            .encode_histogram::<NoLabelSet>(seconds, total(&buckets), &buckets, None)?;
    }
    Ok(())
}

fn handshakes(encoder: &mut DescriptorEncoder<'_>, all: &[Arc<TunnelCells>]) -> fmt::Result {
    let mut failures = Vec::new();
    for cells in all {
        let [listener, pool] = pair(cells);
        for (reason, count) in counted(cells, HANDSHAKE_FAILURES, |it, at| &it.handshakes[at]) {
            failures.push(([listener, pool, ("reason", reason)], count));
        }
    }
    counter(
        encoder,
        "gateway_handshake_failures",
        "WebSocket handshakes that did not become tunnels, by why",
        failures,
    )?;
    counter(
        encoder,
        "gateway_handshake_foreign_origins",
        "WebSocket handshakes from origins that are not allowed, which `ReportOnly` let pass",
        all.iter()
            .map(|cells| (pair(cells), cells.sum(|counts| &counts.foreign_origins))),
    )
}

/// Buckets with these upper bounds, and one without.
fn buckets(bounds: &[f64], count: impl Fn(usize) -> u64) -> Vec<(f64, u64)> {
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    bounds
        .enumerate()
        .map(|(at, bound)| (bound, count(at)))
        .collect()
}

fn total(buckets: &[(f64, u64)]) -> u64 {
    buckets.iter().map(|(_, count)| count).sum()
}
