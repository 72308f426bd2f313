//! Open tunnels as the control side reaches them: lists, orders to all workers, and how far they
//! have come.

use std::rc::Rc;
use std::sync::Arc;

use gateway_core::snapshot::{DrainCell, TargetId};
use gateway_core::tunnels::{
    DrainKind, DrainReport, DrainState, ListQuery, Page, TunnelFacts, TunnelId, TunnelReport,
};
use tokio::sync::oneshot;

use crate::proxy::Proxy;
use crate::tunnel::{Drain, DrainKey, DrainOrder, TunnelFilter, TunnelSet};
use crate::worker::Command;

/// What a worker is told or asked of its tunnels. The sender answers; dropped, it answers too.
pub(crate) enum TunnelCommand {
    /// End those that the filter names, by this drain.
    End(Arc<Drain>, Arc<TunnelFilter>, oneshot::Sender<()>),
    /// Tell no more of them to close.
    Cancel(Arc<Drain>, oneshot::Sender<()>),
    /// Go on with those that stayed.
    Resume(Arc<Drain>, oneshot::Sender<()>),
    /// Show them.
    List(Arc<ListQuery>, oneshot::Sender<Page<TunnelReport>>),
    /// Show one.
    Find(TunnelId, oneshot::Sender<Option<TunnelReport>>),
}

impl TunnelCommand {
    /// Carries it out on a worker.
    pub(crate) async fn carry_out(self, tunnels: &Rc<TunnelSet>) {
        // Whoever asked may have given up waiting.
        match self {
            Self::End(drain, which, done) => {
                tunnels.end(&drain, &*which).await;
                let _ = done.send(());
            }
            Self::Cancel(drain, done) => {
                tunnels.cancel(&drain).await;
                let _ = done.send(());
            }
            Self::Resume(drain, done) => {
                tunnels.resume(&drain).await;
                let _ = done.send(());
            }
            Self::List(query, answer) => {
                let _ = answer.send(tunnels.list(&query).await);
            }
            Self::Find(id, answer) => {
                let _ = answer.send(tunnels.find(id).await);
            }
        }
    }
}

impl Proxy {
    /// The open tunnels that `query` asks for: one page, with the place to go on from.
    pub async fn tunnels(&self, query: ListQuery) -> Page<TunnelReport> {
        let mut page = Page::new(query.sort, query.limit, query.after);
        let query = Arc::new(query);
        let pages = self.ask_workers(|answer| TunnelCommand::List(Arc::clone(&query), answer));
        for of_worker in pages.await {
            page.merge(of_worker);
        }
        page
    }

    /// One tunnel, if it is open.
    pub async fn tunnel(&self, id: TunnelId) -> Option<TunnelReport> {
        let worker = self.workers().get(id.worker)?;
        let (answer, answered) = oneshot::channel();
        let command = Command::Tunnels(TunnelCommand::Find(id, answer));
        worker.send(command).ok()?;
        answered.await.ok()?
    }

    /// Ends one tunnel as `order` says; `None` if it is not open.
    pub async fn end_tunnel(&self, id: TunnelId, order: DrainOrder) -> Option<DrainReport> {
        self.tunnel(id).await?;
        Some(self.end_tunnels(order, move |tunnel| tunnel.id == id).await)
    }

    /// Ends those of the open tunnels that `which` names, as `order` says, on all workers. Tunnels
    /// that drain already go on as they were told, unless all are to end at once.
    ///
    /// Returns when every worker has looked at its tunnels, so that the total is known. The drain
    /// goes on without the caller; [`drains`](Self::drains) tells of it.
    pub async fn end_tunnels(
        &self,
        order: DrainOrder,
        which: impl Fn(&TunnelFacts<'_>) -> bool + Send + Sync + 'static,
    ) -> DrainReport {
        let drain = self.drain_book().begin(order, &[]);
        self.begin(&drain, which).await;
        drain.report()
    }

    /// Gives `targets` no new work, and ends their tunnels as `order` says: those that are open, and
    /// those whose handshakes are under way. A drain of them that runs already is gone on with.
    pub async fn drain_targets(
        &self,
        order: DrainOrder,
        targets: &[(TargetId, Arc<DrainCell>)],
    ) -> DrainReport {
        let keys: Vec<_> = targets
            .iter()
            .map(|(id, _)| DrainKey::Target(*id))
            .collect();
        let known = self.drain_book().hanging_on(order.kind, &keys);
        let known = known.map(|drain| drain.report());
        if let Some(running) = known.filter(|known| known.state == DrainState::Running)
            && targets.iter().all(|(_, cell)| cell.is_draining())
        {
            return running;
        }
        // Before any cell says so: a tunnel that opens finds its drain.
        let drain = self.drain_book().begin(order, &keys);
        targets.iter().for_each(|(_, cell)| cell.set(true));
        let ids: Vec<_> = targets.iter().map(|(id, _)| *id).collect();
        self.begin(&drain, move |tunnel| ids.contains(&tunnel.target_id))
            .await;
        drain.report()
    }

    /// Gives `targets` work again, and lets their tunnels stay that were not told to close yet.
    pub async fn resume_targets(&self, targets: &[(TargetId, Arc<DrainCell>)]) {
        for (id, cell) in targets {
            cell.set(false);
            let key = DrainKey::Target(*id);
            let drain = self
                .drain_book()
                .hanging_on(DrainKind::TargetDrained, &[key]);
            if let Some(drain) = drain.filter(|drain| drain.report().state == DrainState::Running) {
                self.cancel(&drain).await;
            }
        }
    }

    async fn begin(
        &self,
        drain: &Arc<Drain>,
        which: impl Fn(&TunnelFacts<'_>) -> bool + Send + Sync + 'static,
    ) {
        let which: Arc<TunnelFilter> = Arc::new(which);
        let end = |done| TunnelCommand::End(Arc::clone(drain), Arc::clone(&which), done);
        self.have_chosen(drain, end).await;
    }

    /// Stops a drain: tunnels that were not told to close yet stay. `None` for one that is not known.
    pub async fn cancel_drain(&self, id: u64) -> Option<DrainReport> {
        let drain = self.drain_book().find(id)?;
        self.cancel(&drain).await;
        Some(drain.report())
    }

    async fn cancel(&self, drain: &Arc<Drain>) {
        drain.cancel();
        self.ask_workers(|done| TunnelCommand::Cancel(Arc::clone(drain), done))
            .await;
    }

    /// Goes on with the tunnels that a cancelled drain left. `None` for a drain that is not known.
    pub async fn resume_drain(&self, id: u64) -> Option<DrainReport> {
        let drain = self.drain_book().find(id)?;
        if drain.is_cancelled() {
            drain.resume();
            let resume = |done| TunnelCommand::Resume(Arc::clone(&drain), done);
            self.have_chosen(&drain, resume).await;
        }
        Some(drain.report())
    }

    /// All drains that run, and the last ones that are over, the oldest first.
    pub fn drains(&self) -> Vec<DrainReport> {
        self.drain_book().reports()
    }

    /// Has every worker choose the tunnels that `drain` is about.
    async fn have_chosen(
        &self,
        drain: &Drain,
        command: impl Fn(oneshot::Sender<()>) -> TunnelCommand,
    ) {
        let workers = self.workers().len();
        drain.expect_workers(workers);
        let answers = self.ask_workers(command).await;
        // A worker that has ended has no tunnels.
        (answers.len()..workers).for_each(|_| drain.worker_has_chosen());
    }

    /// Tells every worker, and waits until each has answered or has ended.
    async fn ask_workers<T>(
        &self,
        command: impl Fn(oneshot::Sender<T>) -> TunnelCommand,
    ) -> Vec<T> {
        let asked = self.workers().iter().filter_map(|worker| {
            let (answer, answered) = oneshot::channel();
            let sent = worker.send(Command::Tunnels(command(answer)));
            sent.is_ok().then_some(answered)
        });
        let mut answers = Vec::new();
        for answered in asked.collect::<Vec<_>>() {
            answers.extend(answered.await);
        }
        answers
    }
}
