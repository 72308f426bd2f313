//! `gateway run`: from the command line to a process that serves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use gateway_core::snapshot::CompileOptions;
use gateway_net::files::FileWatcher;
use tokio::runtime::{Builder, Runtime};

use crate::access_log;
use crate::admin_listener::{AdminListenError, AdminListener};
use crate::cli::{LogFormat, RunArgs, ServingArgs, SourceArgs};
use crate::config_file::{ConfigFile, FileError};
use crate::demo::DemoError;
use crate::diagnostics::Style;
use crate::document::chain;
use crate::process::{Process, ProcessError, ProcessOptions, default_workers};
use crate::shutdown::Signals;
use crate::store::{EmbeddedStore, StoreError};
use crate::supervisor::Source;
use crate::telemetry::{LevelError, Telemetry};

/// Threads of the control runtime: the API, the prober, DNS and the supervisor. Requests have
/// workers of their own, so that load here cannot delay them, nor theirs a probe.
const CONTROL_THREADS: usize = 2;

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The logs cannot be set up.
    #[error(transparent)]
    Level(#[from] LevelError),
    /// The file is no good document.
    #[error(transparent)]
    File(#[from] FileError),
    /// The state cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The API cannot be offered.
    #[error(transparent)]
    Admin(#[from] AdminListenError),
    /// The process does not start.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The demo cannot be given.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// One port or address is mapped to two.
    #[error("{option} maps {from} to {} and to {}; keep one of them", to[0], to[1])]
    Ambiguous {
        /// Which option.
        option: &'static str,
        /// What is mapped.
        from: String,
        /// To what.
        to: [String; 2],
    },
    /// The system has no threads, signals or watches to give.
    #[error("cannot start {part}")]
    System {
        /// Which.
        part: &'static str,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

impl RunError {
    /// Makes one of the system's refusal to give `part`.
    pub(crate) fn system(part: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { part, source }
    }

    /// For people.
    pub(crate) fn report(&self, style: Style) -> String {
        if let Self::File(error) = self {
            error.report(style)
        } else {
            chain(self)
        }
    }
}

/// Serves until a signal ends it.
pub(crate) fn run(arguments: &RunArgs) -> ExitCode {
    let log = &arguments.log;
    to_the_end(log.format, &log.level, async |telemetry| {
        serve(arguments, telemetry).await
    })
}

/// Runs `serve` with logs and a runtime, and says what is wrong, if anything is.
pub(crate) fn to_the_end(
    format: Option<LogFormat>,
    level: &str,
    serve: impl AsyncFnOnce(&Telemetry) -> Result<(), RunError>,
) -> ExitCode {
    let outcome = Telemetry::start(format, level)
        .map_err(RunError::from)
        .and_then(|telemetry| {
            let runtime = control_runtime()?;
            let outcome = runtime.block_on(serve(&telemetry));
            runtime.shutdown_background();
            outcome
        });
    let Err(error) = outcome else {
        return ExitCode::SUCCESS;
    };
    let style = if io::stderr().is_terminal() {
        Style::Colour
    } else {
        Style::Plain
    };
    eprintln!("error: {}", error.report(style));
    ExitCode::FAILURE
}

/// The runtime of everything but requests.
fn control_runtime() -> Result<Runtime, RunError> {
    Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("gateway-control")
        .enable_all()
        .build()
        .map_err(RunError::system("threads"))
}

async fn serve(arguments: &RunArgs, telemetry: &Telemetry) -> Result<(), RunError> {
    let compile = compile_options(&arguments.serving)?;
    let signals = Signals::listen().map_err(RunError::system("listening to signals"))?;
    let files = FileWatcher::start().map_err(RunError::system("watching files"))?;
    let source = source(&arguments.source, &files)?;
    let admin = AdminListener::bind(&arguments.admin).await?;
    let access_log = access_log::start(&arguments.log.access);
    let process = Process::start(ProcessOptions {
        source,
        files,
        admin,
        compile,
        access_log: access_log.map_err(RunError::system("the access log"))?,
        drain_timeout: arguments.serving.drain_timeout,
        log_lines_dropped: telemetry.dropped(),
    })
    .await?;
    process.serve(signals).await;
    Ok(())
}

fn source(arguments: &SourceArgs, files: &FileWatcher) -> Result<Source, RunError> {
    match (&arguments.config, &arguments.state) {
        (Some(path), _) => {
            // Before it is read, so that no later version is missed.
            files.watch(&BTreeSet::from([path.clone()]));
            let file = ConfigFile::open(path.clone())?;
            Ok(Source::File(Box::new(file)))
        }
        (None, Some(directory)) => Ok(Source::Store(EmbeddedStore::open(directory)?)),
        (None, None) => unreachable!("the command line requires one of them"),
    }
}

fn compile_options(arguments: &ServingArgs) -> Result<CompileOptions, RunError> {
    let ports = arguments.map_port.iter();
    let ports = ports.map(|map| (map.from.get(), map.to.get()));
    let addresses = arguments.map_address.iter().map(|map| (map.from, map.to));
    Ok(CompileOptions {
        port_map: unambiguous("--map-port", ports)?,
        address_map: unambiguous("--map-address", addresses)?,
        workers: arguments.workers.unwrap_or_else(default_workers).get(),
    })
}

fn unambiguous<T: Copy + Ord + Display>(
    option: &'static str,
    mappings: impl Iterator<Item = (T, T)>,
) -> Result<BTreeMap<T, T>, RunError> {
    let mut map = BTreeMap::new();
    for (from, to) in mappings {
        let before = map.insert(from, to);
        if let Some(before) = before.filter(|before| *before != to) {
            return Err(RunError::Ambiguous {
                option,
                from: from.to_string(),
                to: [before.to_string(), to.to_string()],
            });
        }
    }
    Ok(map)
}
