//! Two writes at once: of different resources both go live, of one resource with one tag only one does.

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::super::plan::Guard;
use super::super::world::{Change, Verdict};
use super::wire_form::{Receipt, WireForm};
use super::{Driver, request, touched};
use crate::harness::wire::Answer;

impl Driver {
    /// Both at once: both go live, one after the other.
    pub(super) async fn pair(&mut self, one: &Change, two: &Change) -> Result<()> {
        let world = self.scene.settled();
        let (first, second) = (world.after(one), world.after(two));
        self.scene
            .may_become([first.after(two), second.after(one), first, second]);
        let answers = self.at_once([one, two], ["", ""]).await?;
        for (change, answer) in [one, two].into_iter().zip(&answers) {
            self.judge(change, Verdict::Live { created: false }, answer)?;
        }
        let [first, second] = &answers;
        if Receipt::read(first)?.revision < Receipt::read(second)?.revision {
            self.both_live([(one, first), (two, second)]).await
        } else {
            self.both_live([(two, second), (one, first)]).await
        }
    }

    async fn both_live(&mut self, [first, second]: [(&Change, &Answer); 2]) -> Result<()> {
        // Tags can be read only when both are live.
        let (before, revision) = (self.scene.settled(), self.scene.revision.get());
        for (step, (_, answer)) in [first, second].into_iter().enumerate() {
            let got = Receipt::read(answer)?.revision;
            ensure!(
                got == revision + 1 + step as u64,
                "revisions {revision}, then {got}"
            );
        }
        let between = before.after(first.0);
        let after = between.after(second.0);
        self.scene.settle(between);
        self.scene.settle(after.clone());
        self.scene.revision.set(revision + 2);
        for place in touched(&before, &after) {
            self.retag(&after, place).await?;
        }
        Ok(())
    }

    /// Both with one tag: one goes live, the other is refused.
    pub(super) async fn race(&mut self, one: &Change, two: &Change, last: &Change) -> Result<()> {
        let world = self.scene.settled();
        self.scene.may_become([world.after(one), world.after(two)]);
        let fields = self.guard(one, Guard::Current);
        let answers = self.at_once([one, two], [&fields, &fields]).await?;
        let winner = match (answers[0].status, answers[1].status) {
            (200, 412) => 0,
            (412, 200) => 1,
            statuses => bail!("two writes with one tag got {statuses:?}"),
        };
        self.is_live([one, two][winner], &answers[winner]).await?;
        self.change(last, Guard::Current).await
    }

    async fn at_once(&mut self, changes: [&Change; 2], fields: [&str; 2]) -> Result<[Answer; 2]> {
        let admin = self.gateway.admin;
        let forms = changes.map(|change| WireForm::of(change, false));
        let started = Instant::now();
        let (one, two) = tokio::join!(
            request(admin, &forms[0], fields[0]),
            request(admin, &forms[1], fields[1])
        );
        let took = started.elapsed();
        let one = self.noted(&forms[0], fields[0], one, took);
        let two = self.noted(&forms[1], fields[1], two, took);
        Ok([one?, two?])
    }
}
