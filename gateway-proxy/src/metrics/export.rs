//! Adds the workers' cells up, whenever somebody scrapes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gateway_core::snapshot::{LoadCell, TargetId};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::{BUCKETS, CLASSES, Count, TUNNEL_ENDS, WorkerCounts};
use crate::error::Side;
use crate::proxy::Shared;

/// The names of status classes, in the order of their cells.
const CLASS_NAMES: [&str; CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// The names of a tunnel's directions, in the order of their cells.
const DIRECTIONS: [&str; 2] = ["to_backend", "to_client"];

/// Shows what a proxy counts.
pub(crate) struct Export(pub(crate) Arc<Shared>);

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Export")
    }
}

impl Collector for Export {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.requests(&mut encoder)?;
        self.connections(&mut encoder)?;
        self.backends(&mut encoder)?;
        self.tunnels(&mut encoder)
    }
}

impl Export {
    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let published = self.0.published();
        let mut family = encoder.encode_descriptor(
            "http_server_request_duration_seconds",
            "From a request's head to the end of its answer, without tunnels",
            None,
            MetricType::Histogram,
        )?;
        for (route, cells) in published.snapshot.routes.iter().zip(&published.requests) {
            for (class, class_name) in CLASS_NAMES.iter().enumerate() {
                let histograms = || cells.iter().map(|cell| &cell.classes()[class]);
                let mut buckets = Vec::with_capacity(BUCKETS.len() + 1);
                for at in 0..=BUCKETS.len() {
                    let bound = BUCKETS.get(at).copied().unwrap_or(f64::INFINITY);
                    let count = histograms().map(|histogram| histogram.buckets()[at].get());
                    buckets.push((bound, count.sum()));
                }
                let count = buckets.iter().map(|(_, count)| count).sum();
                if count == 0 {
                    continue;
                }
                let seconds = histograms().map(super::Histogram::seconds).sum();
                let labels = [
                    ("listener", route.listener.as_str()),
                    ("rule", route.rule.as_str()),
                    ("pool", route.backend.pool.as_str()),
                    ("status", class_name),
                ];
                family
                    .encode_family(&labels)?
                    .encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
            }
        }
        let failures = [Side::Client, Side::Gateway, Side::Backend];
        counter(
            encoder,
            "gateway_request_failures",
            "Requests that the gateway answered by itself or could not finish, by whose fault it was",
            failures.map(|side| {
                let count = self.sum(|counts| counts.failures(side));
                ([("side", side.as_str())], count)
            }),
        )
    }

    fn connections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut active = encoder.encode_descriptor(
            "gateway_connections_active",
            "Open client connections, tunnels included",
            None,
            MetricType::Gauge,
        )?;
        active.encode_gauge(&i64::from(self.0.budget.open()))?;
        let plain: [(&str, &str, u64); 2] = [
            (
                "gateway_connections_accepted",
                "Client connections that were accepted",
                self.sum(|counts| &counts.accepted),
            ),
            (
                "gateway_accept_errors",
                "Failed accepts: out of descriptors or memory",
                self.sum(|counts| &counts.accept_errors),
            ),
        ];
        for (name, help, count) in plain {
            total(encoder, name, help, count)?;
        }
        let dropped = self.0.options.access_log.as_ref();
        total(
            encoder,
            "gateway_access_log_dropped",
            "Access records that did not fit in the queue",
            dropped.map_or(0, crate::AccessSink::dropped),
        )
    }

    fn backends(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        counter(
            encoder,
            "http_client_requests",
            "Requests sent to backends, by whether their connection was new",
            [
                (
                    [("connection", "new")],
                    self.sum(|counts| &counts.backend_opened),
                ),
                (
                    [("connection", "reused")],
                    self.sum(|counts| &counts.backend_reused),
                ),
            ],
        )?;
        total(
            encoder,
            "gateway_request_retries",
            "Requests that were sent once more",
            self.sum(|counts| &counts.retries),
        )
    }

    fn tunnels(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let published = self.0.published();
        // Several settings may share a target, and its load with it.
        let mut pools: BTreeMap<&str, BTreeMap<TargetId, u64>> = BTreeMap::new();
        for backend in &published.snapshot.backends {
            let pool = pools.entry(backend.pool.as_str()).or_default();
            for target in &backend.targets {
                let open = target
                    .load
                    .iter()
                    .map(LoadCell::tunnels)
                    .map(u64::from)
                    .sum();
                pool.insert(target.id, open);
            }
        }
        gauge(
            encoder,
            "gateway_tunnels_active",
            "Open WebSocket tunnels to the pool's members",
            pools
                .iter()
                .map(|(pool, targets)| ([("pool", *pool)], targets.values().sum())),
        )?;
        total(
            encoder,
            "gateway_tunnels_opened",
            "WebSocket tunnels that were opened",
            self.sum(|counts| &counts.tunnels_opened),
        )?;
        let ends = TUNNEL_ENDS.iter().enumerate();
        counter(
            encoder,
            "gateway_tunnels_ended",
            "WebSocket tunnels that ended, by how",
            ends.map(|(at, end)| {
                (
                    [("cause", *end)],
                    self.sum(|counts| &counts.tunnels_ended[at]),
                )
            }),
        )?;
        let directions = || DIRECTIONS.iter().enumerate();
        counter(
            encoder,
            "gateway_tunnel_messages",
            "Messages that ended tunnels carried",
            directions().map(|(at, name)| {
                (
                    [("direction", *name)],
                    self.sum(|counts| &counts.tunnel_messages[at]),
                )
            }),
        )?;
        counter(
            encoder,
            "gateway_tunnel_bytes",
            "Bytes that ended tunnels carried, frame headers and all",
            directions().map(|(at, name)| {
                (
                    [("direction", *name)],
                    self.sum(|counts| &counts.tunnel_bytes[at]),
                )
            }),
        )
    }

    fn sum<'s>(&'s self, count: impl Fn(&'s WorkerCounts) -> &'s Count) -> u64 {
        self.0.counts.iter().map(|counts| count(counts).get()).sum()
    }
}

/// A counter without labels.
fn total(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    encoder
        .encode_descriptor(name, help, None, MetricType::Counter)?
        .encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn counter<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in values {
        family
            .encode_family(&labels)?
            .encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
    }
    Ok(())
}

fn gauge<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}
