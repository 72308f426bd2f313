//! Adds the workers' cells up, whenever somebody scrapes.

mod tunnels;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::{BUCKETS, CLASSES, Count, WorkerCounts};
use crate::error::Side;
use crate::proxy::Shared;

/// The names of status classes, in the order of their cells.
const CLASS_NAMES: [&str; CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

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
        let budget = &self.0.budget;
        for (name, help, value) in [
            (
                "gateway_connections_active",
                "Open client connections, tunnels included",
                budget.open(),
            ),
            (
                "gateway_connections_waiting",
                "Client connections that wait for room, but for those that the kernel holds",
                budget.waiting(),
            ),
        ] {
            let mut gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            gauge.encode_gauge(&i64::from(value))?;
        }
        let plain: [(&str, &str, u64); 3] = [
            (
                "gateway_connections_accepted",
                "Client connections that were accepted",
                self.sum(|counts| &counts.accepted),
            ),
            (
                "gateway_connections_made_room",
                "Idle client connections that were closed since others waited for room",
                self.sum(|counts| &counts.made_room),
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
            "Times that a request went on to another target, or went once more",
            self.sum(|counts| &counts.retries),
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
