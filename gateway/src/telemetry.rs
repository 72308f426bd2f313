//! Events to standard error, through a bounded queue: a reader that stalls costs lines, never time.

use std::io::{self, IsTerminal};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::cli::LogFormat;

/// Lines that may wait to be written; more are dropped and counted.
const QUEUE_LINES: usize = 8192;

/// Running telemetry; what is queued is written out when this is dropped.
pub(crate) struct Telemetry {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

/// Why events cannot be written as asked.
#[derive(Debug, thiserror::Error)]
#[error("--log-level {level:?} is not understood")]
pub(crate) struct LevelError {
    level: String,
    #[source]
    source: ParseError,
}

impl Telemetry {
    /// Installs the process's subscriber; once per process.
    pub(crate) fn start(format: Option<LogFormat>, level: &str) -> Result<Self, LevelError> {
        let filter = EnvFilter::builder()
            .parse(level)
            .map_err(|source| LevelError {
                level: level.to_owned(),
                source,
            })?;
        let (writer, guard) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUE_LINES)
            .lossy(true)
            .thread_name("gateway-log")
            .finish(io::stderr());
        let telemetry = Self {
            dropped: writer.error_counter(),
            _writer: guard,
        };
        let on_terminal = io::stderr().is_terminal();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(writer)
            .with_ansi(on_terminal);
        match format {
            Some(LogFormat::Json) => subscriber.json().flatten_event(true).init(),
            None if !on_terminal => subscriber.json().flatten_event(true).init(),
            Some(LogFormat::Text) | None => subscriber.init(),
        }
        Ok(telemetry)
    }

    /// Counts the lines that were dropped.
    pub(crate) fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }
}
