//! The one writer: applies changes one after another, each whole or not at all.
//!
//! A change is checked, resolved, loaded, compiled and bound, then stored, then published. What can
//! fail comes before the store, so that what is stored is always published. DNS answers and
//! certificates that change publish a new generation of the same revision. Whoever asked is answered
//! when every worker serves by the change; what no request waits for comes after that.
//!
//! It has a thread of its own, so that parsing, loading and storing need no other one: each thread
//! that takes part must be woken, which on a busy machine costs more than the work.

mod reload;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_admin::{Applied, ApplyError, Write};
use gateway_core::config::ConfigProblems;
use gateway_core::resource::{ApplicationGateway, Edit, EditError, apply_edit};
use gateway_core::snapshot::Revision;
use gateway_net::material::MaterialError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::apply::{Candidate, DataPlane, Plan};
use crate::config_file::ConfigFile;
use crate::document::{Sent, chain, material_problems};
use crate::events::{Publications, Published};
use crate::live::Live;
use crate::metrics::ConfigMetrics;
use crate::precondition;
use crate::service_manager;
use crate::store::{EmbeddedStore, Store, StoreError};
use crate::stored;
use reload::Refusals;

/// Where the configuration comes from.
pub(crate) enum Source {
    /// A file is the truth; the API only reads.
    File(Box<ConfigFile>),
    /// The API is the truth, and the store its memory.
    Store(EmbeddedStore),
}

impl Source {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::File(file) => Some(file.path()),
            Self::Store(_) => None,
        }
    }
}

/// What the supervisor can be asked for.
pub(crate) enum Command {
    /// One write of the API.
    Write(Box<Write>, oneshot::Sender<Result<Applied, ApplyError>>),
    /// Read the configuration file, the certificates and DNS anew (SIGHUP).
    Reload,
}

/// Owns what is live.
pub(crate) struct Supervisor {
    plane: DataPlane,
    source: Source,
    metrics: ConfigMetrics,
    live: watch::Sender<Arc<Live>>,
    refusals: Refusals,
    publications: Publications,
}

/// Why there is nothing to start with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The document is refused.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored document is not one.
    #[error("the stored document of revision {} cannot be read", revision.0)]
    Stored {
        /// Which.
        revision: Revision,
        /// What is wrong with it.
        #[source]
        source: stored::ReadError,
    },
}

impl Supervisor {
    /// Steers `plane`; nothing is live yet.
    pub(crate) fn new(
        plane: DataPlane,
        source: Source,
        metrics: ConfigMetrics,
        publications: Publications,
    ) -> Self {
        Self {
            plane,
            source,
            metrics,
            live: watch::Sender::new(Arc::default()),
            refusals: Refusals::default(),
            publications,
        }
    }

    /// Sees what is live.
    pub(crate) fn live(&self) -> watch::Receiver<Arc<Live>> {
        self.live.subscribe()
    }

    /// Publishes what the file or the store holds.
    pub(crate) async fn start(&mut self) -> Result<(), StartError> {
        match &mut self.source {
            Source::File(file) => {
                let Some(parsed) = file.take_first() else {
                    return Ok(());
                };
                let plan = Plan::new(parsed, Revision(1));
                let candidate = self.prepare(plan, true, Sent::Nothing).await?;
                self.publish_and_tell(candidate, "start").await;
            }
            Source::Store(store) => {
                let history = store.history().await?;
                tracing::info!(revisions = history.len(), "state opened");
                let Some(stored) = store.read(None).await? else {
                    tracing::info!("no configuration yet; PUT one to /v1/config");
                    return Ok(());
                };
                let revision = stored.revision;
                let parsed = stored::read(&stored)
                    .map_err(|source| StartError::Stored { revision, source })?;
                let plan = Plan::new(parsed, revision);
                match self.prepare(plan.clone(), true, Sent::Nothing).await {
                    Ok(candidate) => self.publish_and_tell(candidate, "start").await,
                    Err(ApplyError::Invalid(problems)) => self.wait_for_files(plan, &problems),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Applies what comes, until `stop`; what waits then is refused.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        stop: CancellationToken,
    ) {
        let mut answers = self.plane.dns.answers();
        let mut files = self.plane.files.changes();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                command = commands.recv() => match command {
                    Some(Command::Write(write, answer)) => self.answer(*write, answer).await,
                    Some(Command::Reload) => {
                        service_manager::reloading();
                        self.reload(true).await;
                        service_manager::ready();
                    }
                    None => break,
                },
                Ok(()) = answers.changed() => {
                    let resolutions = answers.borrow_and_update().clone();
                    self.take_answers(resolutions).await;
                }
                Ok(()) = files.changed() => self.reload(false).await,
            }
        }
        commands.close();
        while let Some(command) = commands.recv().await {
            if let Command::Write(_, answer) = command {
                // Whoever asked may have gone.
                let _ = answer.send(Err(ApplyError::ShuttingDown));
            }
        }
    }

    fn current(&self) -> Arc<Live> {
        Arc::clone(&self.live.borrow())
    }

    async fn answer(&mut self, write: Write, answer: oneshot::Sender<Result<Applied, ApplyError>>) {
        if answer.is_closed() {
            // The client left before its turn: nobody would learn what became of the write.
            return;
        }
        match self.write(&write).await {
            Ok((applied, published)) => {
                let _ = answer.send(Ok(applied));
                if let Some(published) = published {
                    self.tell(published).await;
                }
            }
            Err(error) => {
                tracing::info!(%error, "a change is refused");
                let _ = answer.send(Err(error));
            }
        }
    }

    /// Does what `write` asks; what was published, if anything, is not told yet.
    async fn write(&mut self, write: &Write) -> Result<(Applied, Option<Published>), ApplyError> {
        let store = match &self.source {
            Source::Store(store) => store.clone(),
            Source::File(file) => {
                return Err(ApplyError::ReadOnly {
                    file: file.path().display().to_string(),
                });
            }
        };
        let turn = Instant::now();
        let live = self.current();
        let before = live.document.clone();
        precondition::judge(before.as_deref(), &write.edit, &write.precondition)?;
        let edited = apply_edit(before.as_deref(), &write.edit).map_err(refused)?;
        let created = edited.created;
        let warnings = edited.parsed.warnings.clone();
        let plan = Plan::new(edited.parsed, Revision(live.revision.0 + 1));
        let after = Arc::clone(&plan.document);
        let answer = |published, store_time| Applied {
            published,
            before: before.clone(),
            after: Arc::clone(&after),
            created,
            warnings: warnings.clone(),
            apply_time: turn.elapsed().saturating_sub(store_time),
            store_time,
        };
        if live.snapshot.is_some() && before.as_deref() == Some(&*after) {
            return Ok((answer(live.published(), Duration::ZERO), None));
        }

        let refresh = matches!(write.edit, Edit::Replace(_));
        let config = Arc::clone(&plan.config);
        let candidate = self.prepare(plan, refresh, Sent::from(&write.edit)).await?;
        if write.dry_run {
            drop(candidate);
            self.plane.forget(&config, &live.config).await;
            return Ok((answer(live.published(), Duration::ZERO), None));
        }
        let storing = Instant::now();
        if let Err(error) = self.commit(&store, live.revision, &after).await {
            drop(candidate);
            self.plane.forget(&config, &live.config).await;
            return Err(error);
        }
        let store_time = storing.elapsed();
        let published = self.publish(candidate, "change").await;
        let applied = answer(published.after.published(), store_time);
        self.metrics
            .apply_duration
            .observe(applied.apply_time.as_secs_f64());
        Ok((applied, Some(published)))
    }

    /// Makes `document` the revision after `expected`.
    async fn commit(
        &self,
        store: &EmbeddedStore,
        expected: Revision,
        document: &ApplicationGateway,
    ) -> Result<(), ApplyError> {
        let begun = Instant::now();
        let committed = store.commit(expected, stored::draft(document)).await;
        let took = begun.elapsed().as_secs_f64();
        self.metrics.store_duration.observe(took);
        committed.map(|_revision| ()).map_err(|error| {
            let reason = chain(&error);
            tracing::error!(reason, "a change could not be stored");
            ApplyError::Store { reason }
        })
    }

    async fn prepare(
        &self,
        plan: Plan,
        refresh: bool,
        sent: Sent<'_>,
    ) -> Result<Candidate, ApplyError> {
        let live = self.current();
        // Before they are read, so that no later version is missed.
        self.plane
            .watch_files([&live.config, &plan.config], self.source.path());
        let loaded = self.plane.load(&plan.config, &live.material);
        let material = loaded.map_err(|errors| unusable(&errors, &plan.document, sent))?;
        let resolutions = self
            .plane
            .resolve(&plan.config, &live.config, refresh)
            .await;
        let config = Arc::clone(&plan.config);
        let bound = self.plane.bind(&live, plan, resolutions, material);
        if bound.is_err() {
            self.plane.forget(&config, &live.config).await;
        }
        bound
    }

    /// Makes `candidate` live: every worker serves by it when this returns.
    async fn publish(&mut self, candidate: Candidate, cause: &'static str) -> Published {
        let mut live = self.plane.publish(candidate).await;
        live.refused = self.refusals.told();
        self.metrics.revision.set(live.revision.0);
        self.metrics.generation.set(live.generation.0);
        let after = Arc::new(live);
        let before = self.live.send_replace(Arc::clone(&after));
        Published {
            before,
            after,
            cause,
        }
    }

    /// Tells the prober, the log and the events what is live. No request waits for that.
    async fn tell(&self, published: Published) {
        let live = &published.after;
        self.plane.probe(live);
        self.plane.watch_files([&live.config], self.source.path());
        tracing::info!(
            revision = live.revision.0,
            generation = live.generation.0,
            listeners = live.config.listeners.len(),
            warnings = live.warnings.len(),
            why = published.cause,
            "published"
        );
        self.publications.tell(published).await;
    }

    async fn publish_and_tell(&mut self, candidate: Candidate, cause: &'static str) {
        let published = self.publish(candidate, cause).await;
        self.tell(published).await;
    }
}

fn unusable(errors: &[MaterialError], document: &ApplicationGateway, sent: Sent<'_>) -> ApplyError {
    ApplyError::Invalid(ConfigProblems(material_problems(errors, document, sent)))
}

fn refused(error: EditError) -> ApplyError {
    match error {
        EditError::NotFound { collection, name } => ApplyError::NotFound { collection, name },
        EditError::Invalid(problems) => ApplyError::Invalid(problems),
    }
}
