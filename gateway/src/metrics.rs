//! The metrics of the process and its configuration; each crate has its own beside its code.

use std::fmt;
use std::fs;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tracing_appender::non_blocking::ErrorCounter;

/// What the supervisor counts.
#[derive(Debug, Clone)]
pub(crate) struct ConfigMetrics {
    /// The revision that is live.
    pub(crate) revision: Gauge<u64, AtomicU64>,
    /// The generation that is live.
    pub(crate) generation: Gauge<u64, AtomicU64>,
    /// From a change's turn to live, without the store, in seconds.
    pub(crate) apply_duration: Histogram,
    /// In the store, in seconds.
    pub(crate) store_duration: Histogram,
    /// New versions of the file or of certificates that were refused.
    pub(crate) reload_failures: Counter,
}

impl ConfigMetrics {
    /// Makes the metrics and puts them into `registry`.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        // 0.1 ms to 1.6 s.
        let durations = || Histogram::new(exponential_buckets(0.0001, 2.0, 15));
        let metrics = Self {
            revision: Gauge::default(),
            generation: Gauge::default(),
            apply_duration: durations(),
            store_duration: durations(),
            reload_failures: Counter::default(),
        };
        registry.register(
            "gateway_config_revision",
            "The revision that is live: counts what users changed",
            metrics.revision.clone(),
        );
        registry.register(
            "gateway_config_generation",
            "The generation that is live: also counts DNS answers and reloaded certificates",
            metrics.generation.clone(),
        );
        registry.register_with_unit(
            "gateway_config_apply_duration",
            "From a change's turn until it is live, without the store",
            Unit::Seconds,
            metrics.apply_duration.clone(),
        );
        registry.register_with_unit(
            "gateway_config_store_duration",
            "How long the store took to commit a change",
            Unit::Seconds,
            metrics.store_duration.clone(),
        );
        registry.register(
            "gateway_config_reload_failures",
            "New versions of the configuration file or of certificates that were refused",
            metrics.reload_failures.clone(),
        );
        metrics
    }
}

/// Puts what is known of the process into `registry`.
pub(crate) fn register_process(registry: &mut Registry, log_lines_dropped: ErrorCounter) {
    let labels = [("version", env!("CARGO_PKG_VERSION"))];
    registry.register("gateway_build", "Which gateway this is", Info::new(labels));
    registry.register_collector(Box::new(Process {
        started: SystemTime::now(),
        log_lines_dropped,
    }));
}

/// The process's resources, read when somebody looks.
#[derive(Debug)]
struct Process {
    started: SystemTime,
    log_lines_dropped: ErrorCounter,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut encode = |name: &str, help: &str, unit: Option<&Unit>, metric: &dyn Sample| {
            metric.encode_to(&mut encoder, name, help, unit)
        };
        encode(
            "process_start_time",
            "When the process started, since the epoch",
            Some(&Unit::Seconds),
            &ConstGauge::new(started.as_secs_f64()),
        )?;
        encode(
            "gateway_log_lines_dropped",
            "Log lines that found the queue full",
            None,
            &ConstCounter::new(self.log_lines_dropped.dropped_lines() as u64),
        )?;
        if let Some(bytes) = resident_bytes() {
            encode(
                "process_resident_memory",
                "Memory in use",
                Some(&Unit::Bytes),
                &ConstGauge::new(bytes),
            )?;
        }
        if let Some(seconds) = cpu_seconds() {
            encode(
                "process_cpu",
                "Processor time, user and system",
                Some(&Unit::Seconds),
                &ConstCounter::new(seconds),
            )?;
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            // One of them is the listing's own.
            let open = descriptors.count().saturating_sub(1) as u64;
            encode(
                "process_open_fds",
                "Open descriptors",
                None,
                &ConstGauge::new(open),
            )?;
        }
        Ok(())
    }
}

/// A metric of any type, so that one closure encodes them all.
trait Sample {
    fn encode_to(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
    ) -> fmt::Result;
}

impl<M: EncodeMetric> Sample for M {
    fn encode_to(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
    ) -> fmt::Result {
        self.encode(encoder.encode_descriptor(name, help, unit, self.metric_type())?)
    }
}

fn resident_bytes() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name, in parentheses, may hold anything; the times are the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let mut next = || times.next()?.parse::<u64>().ok();
    let ticks = next()? + next()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn everything_is_there_with_its_unit() {
        let mut registry = Registry::default();
        let metrics = ConfigMetrics::register(&mut registry);
        metrics.revision.set(7);
        metrics.reload_failures.inc();
        let (writer, _guard) = tracing_appender::non_blocking(std::io::sink());
        register_process(&mut registry, writer.error_counter());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "gateway_config_revision 7",
            "gateway_config_generation 0",
            "gateway_config_apply_duration_seconds_count 0",
            "gateway_config_store_duration_seconds_count 0",
            "gateway_config_reload_failures_total 1",
            "gateway_log_lines_dropped_total 0",
            "# TYPE process_resident_memory_bytes gauge",
            "# TYPE process_cpu_seconds counter",
            "# TYPE process_start_time_seconds gauge",
            "# TYPE process_open_fds gauge",
            "gateway_build_info{version=",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
