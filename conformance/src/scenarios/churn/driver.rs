//! Does to the gateway what the plan says, and holds every answer against the model: status, revision,
//! receipt, tags, the document, and what the next connection meets.

mod at_once;
mod look;
mod wire_form;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde_json::Value;

use super::plan::{Bad, Guard, Operation};
use super::resources::{Kind, Name, by_name, document};
use super::scene::Scene;
use super::world::{Change, Verdict, World};
use crate::harness::admin::Admin;
use crate::harness::gateway::Gateway;
use crate::harness::wire::Answer;
use wire_form::{Receipt, WireForm};

/// How many operations the report shows.
const SHOWN: usize = 25;

/// What it takes until a write is live.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    /// From sending to the answer, less the time in the store.
    pub(super) whole: Vec<Duration>,
    /// `apply` in `Server-Timing`.
    pub(super) apply: Vec<Duration>,
    pub(super) store: Vec<Duration>,
}

/// The one writer.
pub(super) struct Driver {
    pub(super) scene: std::rc::Rc<Scene>,
    pub(super) gateway: Gateway,
    /// Certificates (DER) by the URI of their file.
    pub(super) leaves: BTreeMap<String, Vec<u8>>,
    pub(super) numbers: Vec<u16>,
    pub(super) latencies: Latencies,
    /// What was done, newest last.
    pub(super) log: VecDeque<String>,
    pub(super) done: usize,
    tags: BTreeMap<(Kind, Name), String>,
    /// A tag that each resource had before.
    stale: BTreeMap<(Kind, Name), String>,
    /// Only for what is looked at; what is done comes from the plan.
    random: Rng,
}

impl Driver {
    pub(super) fn new(
        scene: std::rc::Rc<Scene>,
        gateway: Gateway,
        leaves: BTreeMap<String, Vec<u8>>,
        numbers: Vec<u16>,
        random: Rng,
    ) -> Self {
        Self {
            scene,
            gateway,
            leaves,
            numbers,
            latencies: Latencies::default(),
            log: VecDeque::new(),
            done: 0,
            tags: BTreeMap::new(),
            stale: BTreeMap::new(),
            random,
        }
    }

    /// Reads all tags, and looks whether all is as the model has it.
    pub(super) async fn begin(&mut self) -> Result<()> {
        let world = self.scene.settled();
        for (kind, name) in world.resources.keys() {
            let tag = self.tag(*kind, name).await?;
            self.tags.insert((*kind, *name), tag);
        }
        self.verify(None).await
    }

    /// Does one thing.
    pub(super) async fn perform(&mut self, operation: Operation) -> Result<()> {
        self.done += 1;
        let before = self.scene.settled();
        match operation {
            Operation::Change(change, guard) => self.change(&change, guard).await?,
            Operation::DryRun(change) => self.dry_run(&change).await?,
            Operation::Stale(change) => self.stale(&change).await?,
            Operation::Bad(bad) => self.bad(&bad).await?,
            Operation::Pair(one, two) => self.pair(&one, &two).await?,
            Operation::Race(one, two, last) => self.race(&one, &two, &last).await?,
        }
        self.verify(Some(&before)).await
    }

    fn note(&mut self, line: String) {
        if self.log.len() == SHOWN {
            self.log.pop_front();
        }
        self.log.push_back(format!(
            "#{} revision {}: {line}",
            self.done,
            self.scene.revision.get()
        ));
    }

    /// Sends a request of the plan; the line in the log has its answer.
    async fn send(&mut self, form: &WireForm, fields: &str) -> Result<Answer> {
        let admin = self.gateway.admin;
        let started = Instant::now();
        let answer = request(admin, form, fields).await;
        self.noted(form, fields, answer, started.elapsed())
    }

    fn noted(
        &mut self,
        form: &WireForm,
        fields: &str,
        answer: Result<Answer>,
        took: Duration,
    ) -> Result<Answer> {
        let told = match &answer {
            Ok(answer) => {
                let wrong = if answer.status >= 400 {
                    answer.text()
                } else {
                    String::new()
                };
                let wrong: Value = serde_json::from_str(&wrong).unwrap_or_default();
                format!(
                    "{} {}",
                    answer.status,
                    wrong["error"]["code"].as_str().unwrap_or_default()
                )
            }
            Err(error) => format!("{error:#}"),
        };
        let millis = took.as_secs_f64() * 1e3;
        self.note(format!(
            "{form}{} -> {told} ({millis:.1} ms)",
            fields.replace("\r\n", "; ")
        ));
        answer
    }

    async fn change(&mut self, change: &Change, guard: Guard) -> Result<()> {
        let world = self.scene.settled();
        let verdict = world.verdict(change);
        let form = WireForm::of(change, false);
        let fields = self.guard(change, guard);
        if let Verdict::Live { .. } = verdict {
            self.scene.may_become([world.after(change)]);
        }
        let started = Instant::now();
        let answer = self.send(&form, &fields).await?;
        self.judge(change, verdict, &answer)?;
        if let Verdict::Live { .. } = verdict {
            self.measured(&answer, started.elapsed());
            self.is_live(change, &answer).await?;
        }
        Ok(())
    }

    /// The header fields of a precondition that holds.
    fn guard(&self, change: &Change, guard: Guard) -> String {
        let place = super::plan::resource_of(change);
        let tag = place.and_then(|place| self.tags.get(&place));
        match (guard, tag) {
            (Guard::Current, Some(tag)) => format!("If-Match: {tag}\r\n"),
            (Guard::Exists, Some(_)) => "If-Match: *\r\n".to_owned(),
            (Guard::Absent, None) => "If-None-Match: *\r\n".to_owned(),
            _ => String::new(),
        }
    }

    /// The change is acknowledged: it is the next revision, and only what it names has another tag.
    async fn is_live(&mut self, change: &Change, answer: &Answer) -> Result<()> {
        let before = self.scene.settled();
        let after = before.after(change);
        let receipt = Receipt::read(answer)?;
        let revision = self.scene.revision.get() + 1;
        ensure!(
            receipt.revision == revision,
            "revision {} follows {}",
            receipt.revision,
            revision - 1
        );
        self.scene.revision.set(revision);
        let touched = touched(&before, &after);
        if !matches!(change, Change::Delete(..)) {
            receipt.names(&touched)?;
        }
        self.scene.settle(after.clone());
        // At once: the answer says that it is live.
        self.look_where_it_differs(&before, &after).await?;
        for place in touched {
            self.retag(&after, place).await?;
        }
        Ok(())
    }

    /// What was touched has another tag, or none any more.
    async fn retag(&mut self, world: &World, (kind, name): (Kind, Name)) -> Result<()> {
        let old = self.tags.remove(&(kind, name));
        if world.get(kind, name).is_some() {
            let tag = self.tag(kind, name).await?;
            ensure!(
                old.as_ref() != Some(&tag),
                "the tag of {name} is still {tag}"
            );
            self.tags.insert((kind, name), tag);
        }
        if let Some(old) = old {
            self.stale.insert((kind, name), old);
        }
        Ok(())
    }

    async fn tag(&self, kind: Kind, name: Name) -> Result<String> {
        let path = format!("/v1/{}/{name}", kind.collection());
        let answer = self.gateway.admin.request("GET", &path, "", None).await?;
        ensure!(
            answer.status == 200,
            "GET {path}: {} {}",
            answer.status,
            answer.text()
        );
        answer
            .values("etag")
            .first()
            .map(|tag| (*tag).to_owned())
            .context("no ETag")
    }

    fn measured(&mut self, answer: &Answer, took: Duration) {
        if let Some((apply, store)) = wire_form::timing(answer) {
            self.latencies.apply.push(apply);
            self.latencies.store.push(store);
            self.latencies.whole.push(took.saturating_sub(store));
        }
    }

    /// Holds an answer against what the model says of its change.
    fn judge(&self, change: &Change, verdict: Verdict, answer: &Answer) -> Result<()> {
        let expected = match (verdict, change) {
            (Verdict::Refused(status, code, detail), _) => {
                return wire_form::is_refusal(answer, status, code, detail);
            }
            (_, Change::Delete(..)) => 204,
            (Verdict::Live { created: true }, _) => 201,
            _ => 200,
        };
        ensure!(
            answer.status == expected,
            "{} instead of {expected}: {}",
            answer.status,
            answer.text()
        );
        if verdict == Verdict::Nothing {
            let receipt = Receipt::read(answer)?;
            ensure!(
                receipt.revision == self.scene.revision.get(),
                "a revision for nothing"
            );
        }
        Ok(())
    }

    async fn dry_run(&mut self, change: &Change) -> Result<()> {
        let world = self.scene.settled();
        let answer = self.send(&WireForm::of(change, true), "").await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        let receipt = Receipt::read(&answer)?;
        ensure!(receipt.dry_run, "not called a dry run");
        ensure!(
            receipt.revision == self.scene.revision.get(),
            "a dry run makes a revision"
        );
        receipt.names(&touched(&world, &world.after(change)))
    }

    async fn stale(&mut self, change: &Change) -> Result<()> {
        let place = super::plan::resource_of(change);
        let old = place.and_then(|place| {
            self.stale
                .get(&place)
                .filter(|old| self.tags.get(&place) != Some(old))
        });
        let tag = old.cloned().unwrap_or_else(|| "\"0\"".to_owned());
        let answer = self
            .send(
                &WireForm::of(change, false),
                &format!("If-Match: {tag}\r\n"),
            )
            .await?;
        wire_form::is_refusal(&answer, 412, "PreconditionFailed", None)?;
        let told = answer.values("etag").first().map(|tag| (*tag).to_owned());
        ensure!(
            told.as_ref() == place.and_then(|place| self.tags.get(&place)),
            "412 names {told:?}"
        );
        Ok(())
    }

    async fn bad(&mut self, bad: &Bad) -> Result<()> {
        let form = WireForm {
            method: bad.method,
            path: bad.path.to_owned(),
            body: bad.body.clone(),
        };
        let answer = self.send(&form, bad.fields).await?;
        let refused = wire_form::is_refusal(&answer, bad.status, bad.code, bad.detail);
        refused.with_context(|| format!("{}: {form}", bad.what))
    }

    /// `kill -9` while `change` is under way, and a start from what was stored.
    pub(super) async fn kill(&mut self, change: &Change) -> Result<()> {
        self.done += 1;
        let before = self.scene.settled();
        let after = before.after(change);
        let form = WireForm::of(change, false);
        self.scene.may_become([after.clone()]);
        self.scene.goes_down();
        let admin = self.gateway.admin;
        let delay = Duration::from_micros(self.random.u64(..15_000));
        let (answer, restarted) = tokio::join!(request(admin, &form, ""), async {
            // At any point of the change, by chance.
            tokio::time::sleep(delay).await;
            self.gateway.kill_and_restart().await
        });
        let acknowledged = answer.is_ok();
        // The answer may be lost with the gateway: that is what this is about.
        let _ = self.noted(
            &form,
            &format!(" and kill -9 after {delay:?}"),
            answer,
            delay,
        );
        restarted?;
        let (found, revision) = self.stored().await?;
        let is = |world: &World| found == by_name(document(&world.resources));
        let expected = self.scene.revision.get();
        let is_after = is(&after) && revision == expected + 1;
        ensure!(
            is_after || (is(&before) && revision == expected && !acknowledged),
            "after the kill (acknowledged: {acknowledged}) revision {revision} is live, {expected} was the last: {found}"
        );
        self.note(format!("back with revision {revision}"));
        if is_after {
            self.scene.revision.set(revision);
            self.scene.settle(after.clone());
            for place in touched(&before, &after) {
                self.retag(&after, place).await?;
            }
        } else {
            self.scene.settle((*before).clone());
        }
        self.scene.is_back();
        if !is_after {
            self.change(change, Guard::None).await?;
        }
        self.verify(None).await
    }

    /// The document as it is live, and its revision.
    async fn stored(&self) -> Result<(Value, u64)> {
        let answer = self
            .gateway
            .admin
            .request("GET", "/v1/config", "", None)
            .await?;
        ensure!(
            answer.status == 200,
            "GET /v1/config: {} {}",
            answer.status,
            answer.text()
        );
        let revision = wire_form::revision(&answer)?;
        Ok((by_name(serde_json::from_slice(&answer.body)?), revision))
    }
}

/// The resources that differ between two worlds.
fn touched(before: &World, after: &World) -> Vec<(Kind, Name)> {
    let mut places: Vec<_> = before
        .resources
        .keys()
        .chain(after.resources.keys())
        .copied()
        .collect();
    places.sort_unstable();
    places.dedup();
    places.retain(|(kind, name)| before.get(*kind, name) != after.get(*kind, name));
    places
}

async fn request(admin: Admin, form: &WireForm, fields: &str) -> Result<Answer> {
    admin
        .send(form.method, &form.path, fields, &form.body)
        .await
}
