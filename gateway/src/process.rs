//! The running process: what is started in which order, and how it ends.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::snapshot::CompileOptions;
use gateway_net::dns::DnsWatcher;
use gateway_net::files::FileWatcher;
use gateway_probe::Prober;
use gateway_proxy::{AccessSink, Proxy, ProxyOptions};
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_appender::non_blocking::ErrorCounter;

use crate::access_log::Reopen;
use crate::admin_listener::{AdminCertificate, AdminListener};
use crate::apply::DataPlane;
use crate::control::ProcessControl;
use crate::events::{EventBus, Feed};
use crate::metrics::{self, ConfigMetrics};
use crate::rebalance::Rebalancer;
use crate::recovery::tell_of_health;
use crate::shutdown::{Phase, Request, Signals};
use crate::supervisor::{Command, Source, StartError, Supervisor};
use crate::{descriptors, service_manager, unhealthy};

/// Writes that may wait for their turn; the API's clients wait beyond that.
const WAITING_COMMANDS: usize = 64;

/// How long the end waits for a change that had begun. It takes milliseconds, unless a disk or a
/// network file system hangs.
const LAST_CHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a process is made of.
pub(crate) struct ProcessOptions {
    /// Where the configuration comes from.
    pub(crate) source: Source,
    /// Watches the source's file already, so that no version of it is missed.
    pub(crate) files: FileWatcher,
    /// Where the API listens.
    pub(crate) admin: AdminListener,
    /// What the command line adds to the document; its workers are started.
    pub(crate) compile: CompileOptions,
    /// Where access records go; `None` writes none.
    pub(crate) access_log: Option<(AccessSink, Reopen)>,
    /// How long requests and tunnels may go on at the end.
    pub(crate) drain_timeout: Duration,
    /// Counts lost log lines.
    pub(crate) log_lines_dropped: ErrorCounter,
}

/// A process that serves.
pub(crate) struct Process {
    control: Arc<ProcessControl>,
    phase: watch::Sender<Phase>,
    commands: mpsc::Sender<Command>,
    proxy: Arc<Proxy>,
    prober: Prober,
    admin_certificate: Option<Arc<AdminCertificate>>,
    reopen_access_log: Option<Reopen>,
    drain_timeout: Duration,
    stop_supervisor: CancellationToken,
    stop_admin: CancellationToken,
    tasks: TaskTracker,
}

/// Why the process does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// Threads, sockets or watches cannot be had.
    #[error("cannot start {part}")]
    Part {
        /// Workers, DNS ...
        part: &'static str,
        /// The system's word.
        #[source]
        source: std::io::Error,
    },
    /// The configuration cannot be served.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Process {
    /// Starts everything; returns when the configuration is served.
    pub(crate) async fn start(options: ProcessOptions) -> Result<Self, ProcessError> {
        let part = |part| move |source| ProcessError::Part { part, source };
        descriptors::raise_limit();
        let mut registry = Registry::default();
        let config_metrics = ConfigMetrics::register(&mut registry);
        metrics::register_process(&mut registry, options.log_lines_dropped);

        let (access_log, reopen_access_log) = options.access_log.unzip();
        let prober = Prober::start();
        prober.register_metrics(&mut registry);
        let suspected = prober.clone();
        let proxy = Proxy::start(ProxyOptions {
            workers: options.compile.workers,
            on_suspect: Arc::new(move |cell| suspected.suspect(cell)),
            access_log,
        });
        let proxy = Arc::new(proxy.map_err(part("workers"))?);
        proxy.register_metrics(&mut registry);
        let plane = DataPlane {
            proxy: Arc::clone(&proxy),
            prober: prober.clone(),
            dns: DnsWatcher::start().map_err(part("DNS"))?,
            files: options.files,
            options: options.compile,
        };
        let (phase, phase_seen) = watch::channel(Phase::Starting);
        let (feed, publications) = Feed::new(&prober, &proxy, phase_seen.clone());
        let mut supervisor = Supervisor::new(plane, options.source, config_metrics, publications);

        let (commands, incoming) = mpsc::channel(WAITING_COMMANDS);
        let rebalancer = Rebalancer::new(supervisor.live(), Arc::clone(&proxy), &mut registry);
        let rebalancer = Arc::new(rebalancer);
        let control = Arc::new(ProcessControl {
            live: supervisor.live(),
            commands: commands.clone(),
            phase: phase_seen,
            prober: prober.clone(),
            proxy: Arc::clone(&proxy),
            rebalancer: Arc::clone(&rebalancer),
            registry,
            events: EventBus::new(),
        });
        let tasks = TaskTracker::new();
        let (stop_supervisor, stop_admin) = (CancellationToken::new(), CancellationToken::new());
        tasks.spawn(feed.run(control.events.clone(), stop_admin.clone()));
        tasks.spawn(rebalancer.run(stop_admin.clone()));
        tasks.spawn(unhealthy::watch(
            prober.events(),
            supervisor.live(),
            Arc::clone(&proxy),
            stop_admin.clone(),
        ));
        let mut admin = options.admin;
        let admin_certificate = admin.certificate();
        admin.serve_health(&control, &tasks, &stop_admin);
        supervisor.start().await?;
        phase.send_replace(Phase::Serving);
        let (runtime, stop) = (Handle::current(), stop_supervisor.clone());
        tasks.spawn_blocking(move || runtime.block_on(supervisor.run(incoming, stop)));
        let changes = tell_of_health(prober.events(), Arc::clone(&proxy), stop_admin.clone());
        tasks.spawn(changes);
        // Last: before, it would tell that there is no configuration, or that all is starting.
        admin.serve(&control, &tasks, &stop_admin);
        service_manager::ready();
        Ok(Self {
            control,
            phase,
            commands,
            proxy,
            prober,
            admin_certificate,
            reopen_access_log,
            drain_timeout: options.drain_timeout,
            stop_supervisor,
            stop_admin,
            tasks,
        })
    }

    /// The process as the API sees it.
    pub(crate) fn control(&self) -> &ProcessControl {
        &self.control
    }

    /// Serves until a signal ends it, drains, and returns.
    pub(crate) async fn serve(self, mut signals: Signals) {
        while signals.next().await == Request::Reload {
            tracing::info!("SIGHUP: reading everything anew");
            if let Some(certificate) = &self.admin_certificate {
                certificate.reload();
            }
            if let Some(reopen) = &self.reopen_access_log {
                reopen.ask();
            }
            // The supervisor ends after this loop.
            let _ = self.commands.send(Command::Reload).await;
        }
        tracing::info!(
            timeout_seconds = self.drain_timeout.as_secs(),
            "draining; a second signal ends at once"
        );
        self.phase.send_replace(Phase::Draining);
        service_manager::stopping();
        self.stop_supervisor.cancel();
        tokio::select! {
            () = self.drain() => tracing::info!("drained"),
            () = signals.end() => tracing::warn!("ended at once; what was open is cut"),
        }
    }

    async fn drain(&self) {
        self.proxy.drain(self.drain_timeout).await;
        self.prober.stop().await;
        self.stop_admin.cancel();
        self.tasks.close();
        if timeout(LAST_CHANGE_TIMEOUT, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::error!("a change is stuck on a file or on the store; it is not waited for");
        }
    }
}

/// How many workers there are unless somebody says.
pub(crate) fn default_workers() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
