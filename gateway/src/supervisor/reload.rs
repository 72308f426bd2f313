//! What changes without the API: the configuration file, certificates, DNS answers.
//!
//! A new version that cannot be served is told and counted, and the one before goes on.

use std::sync::Arc;
use std::time::Instant;

use gateway_admin::ApplyError;
use gateway_core::config::{ConfigProblem, ConfigProblems, Parsed, Severity};
use gateway_core::snapshot::{Resolutions, Revision};

use super::{Source, Supervisor, unusable};
use crate::apply::Plan;
use crate::diagnostics::Style;
use crate::document::Sent;
use crate::live::Live;

/// Which newest versions are not live, and why.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    document: Option<ConfigProblem>,
    material: Option<ConfigProblem>,
}

impl Refusals {
    /// As the API tells it beside what is live.
    pub(super) fn told(&self) -> Option<ConfigProblem> {
        self.document.clone().or_else(|| self.material.clone())
    }
}

impl Supervisor {
    /// Keeps a stored document that nothing is served by: a file that it names has gone since it
    /// was put. The file may come back, and the API is there to put another document.
    pub(super) fn wait_for_files(&mut self, plan: Plan, problems: &ConfigProblems) {
        let reason = messages(problems);
        tracing::error!(reason, "the stored document cannot be served");
        let problem = ConfigProblem {
            code: "DocumentNotServed",
            message: format!("nothing is served, since the stored document cannot be: {reason}"),
            remedy: Some("put the file back, or PUT a document without it".to_owned()),
            ..refusal("")
        };
        self.refusals.material = Some(problem);
        self.live.send_replace(Arc::new(Live {
            revision: plan.revision,
            document: Some(plan.document),
            config: plan.config,
            warnings: plan.warnings,
            refused: self.refusals.told(),
            ..Live::default()
        }));
    }

    /// Takes up what DNS says now, if that changes anything.
    pub(super) async fn take_answers(&mut self, resolutions: Resolutions) {
        let live = self.current();
        let Some(plan) = Plan::again(&live) else {
            return;
        };
        if resolutions == live.resolutions || live.snapshot.is_none() {
            return;
        }
        let material = Arc::clone(&live.material);
        match self.plane.bind(&live, plan, resolutions, material) {
            Ok(candidate) => {
                self.publish_and_tell(candidate, "DNS answers changed")
                    .await
            }
            Err(error) => tracing::error!(%error, "new DNS answers are not taken up"),
        }
    }

    /// Reads the configuration file and the certificates anew; `forced` also what did not change.
    pub(super) async fn reload(&mut self, forced: bool) {
        let read = match &mut self.source {
            Source::File(file) => file.read_again(forced).await,
            Source::Store(_) => Ok(None),
        };
        match read {
            Ok(None) => {}
            Ok(Some(parsed)) => {
                let outcome = self.take_document(parsed).await;
                self.refusals.document = self.refused(outcome);
            }
            Err(error) => {
                // The problems are drawn over several lines, for whoever corrects them.
                tracing::error!("{}", error.report(Style::Plain));
                let outcome = Err(refusal(&error.to_string()));
                self.refusals.document = self.refused(outcome);
            }
        }
        let outcome = self.take_material(forced).await;
        self.refusals.material = self.refused(outcome);
        let told = self.refusals.told();
        self.live.send_if_modified(|live| {
            let changed = live.refused != told;
            if changed {
                Arc::make_mut(live).refused = told;
            }
            changed
        });
    }

    fn refused(&self, outcome: Result<(), ConfigProblem>) -> Option<ConfigProblem> {
        let problem = outcome.err()?;
        self.metrics.reload_failures.inc();
        tracing::error!(reason = problem.message, "a new version is refused");
        Some(problem)
    }

    async fn take_document(&mut self, parsed: Parsed) -> Result<(), ConfigProblem> {
        let live = self.current();
        if live.document.as_deref() == Some(&parsed.document) {
            return Ok(());
        }
        let turn = Instant::now();
        let plan = Plan::new(parsed, Revision(live.revision.0 + 1));
        let prepared = self.prepare(plan, true, Sent::Nothing).await;
        let candidate = prepared.map_err(|error| explain(&error))?;
        self.publish_and_tell(candidate, "file changed").await;
        let took = turn.elapsed().as_secs_f64();
        self.metrics.apply_duration.observe(took);
        Ok(())
    }

    async fn take_material(&mut self, forced: bool) -> Result<(), ConfigProblem> {
        let live = self.current();
        let Some(plan) = Plan::again(&live) else {
            return Ok(());
        };
        let loaded = self.plane.load(&live.config, &live.material);
        let material =
            loaded.map_err(|errors| explain(&unusable(&errors, &plan.document, Sent::Nothing)))?;
        let config = &live.config;
        let resolutions = self.plane.resolve(config, config, forced).await;
        let is_live = live.snapshot.is_some();
        if is_live && material.is_same(&live.material) && resolutions == live.resolutions {
            return Ok(());
        }
        let bound = self.plane.bind(&live, plan, resolutions, material);
        let candidate = bound.map_err(|error| explain(&error))?;
        self.publish_and_tell(candidate, "certificates reloaded")
            .await;
        Ok(())
    }
}

/// A refusal as the API tells it beside what is live.
fn explain(error: &ApplyError) -> ConfigProblem {
    if let ApplyError::Invalid(problems) = error {
        return refusal(&messages(problems));
    }
    refusal(&error.to_string())
}

/// What the errors among `problems` say, in one line.
fn messages(ConfigProblems(problems): &ConfigProblems) -> String {
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    let messages: Vec<_> = errors.map(|problem| problem.message.as_str()).collect();
    messages.join("; ")
}

fn refusal(reason: &str) -> ConfigProblem {
    ConfigProblem {
        severity: Severity::Warning,
        code: "NewVersionRefused",
        pointer: String::new(),
        span: None,
        position: None,
        message: format!("the newest version is refused, and the one before goes on: {reason}"),
        remedy: Some(
            "correct it; `gateway check FILE` shows every problem in its place".to_owned(),
        ),
    }
}
