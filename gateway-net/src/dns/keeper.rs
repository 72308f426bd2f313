//! The task that keeps answers fresh: which name is due, what its last answer was, who waits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gateway_core::snapshot::{Resolution, Resolutions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinSet};
use tokio::time::Instant;

use super::lookup::{self, Answer, Lookup};

/// Bounds on a TTL: no name is asked more than once a second, and none is forgotten for a day.
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(60 * 60);

/// A failed question is asked again after a second, then two, four ... at most this.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// So many questions at a time; the others wait their turn.
const MAX_UNDER_WAY: usize = 32;

/// Which names to watch, and whom to tell when they have answered.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) names: BTreeSet<Arc<str>>,
    pub(super) refresh: bool,
    pub(super) answered: oneshot::Sender<()>,
}

/// One name.
#[derive(Debug)]
struct Watched {
    /// When it is to be asked next.
    due: Instant,
    /// The question under way.
    asked: Option<task::Id>,
    /// A refresh came while it was under way: its answer may be old already.
    again: bool,
    /// Questions that failed since the last good answer.
    failures: u32,
}

#[derive(Debug)]
pub(super) struct Keeper {
    lookup: Lookup,
    publish: watch::Sender<Resolutions>,
    names: BTreeMap<Arc<str>, Watched>,
    under_way: JoinSet<Result<Answer, String>>,
    waiting: Vec<Waiting>,
}

/// Someone who waits until `open` is empty.
#[derive(Debug)]
struct Waiting {
    open: BTreeSet<Arc<str>>,
    answered: oneshot::Sender<()>,
}

impl Keeper {
    pub(super) fn new(lookup: Lookup, publish: watch::Sender<Resolutions>) -> Self {
        Self {
            lookup,
            publish,
            names: BTreeMap::new(),
            under_way: JoinSet::new(),
            waiting: Vec::new(),
        }
    }

    /// Runs until nobody can give orders any more; questions under way end with it.
    pub(super) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let next = self.ask_what_is_due();
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.take(order),
                    None => return,
                },
                Some(ended) = self.under_way.join_next_with_id() => match ended {
                    Ok((id, answer)) => self.note(id, answer),
                    Err(error) => self.note(error.id(), Err(error.to_string())),
                },
                () = sleep_until(next) => {}
            }
        }
    }

    fn take(&mut self, order: Order) {
        let now = Instant::now();
        self.names.retain(|name, _| order.names.contains(name));
        let mut open = BTreeSet::new();
        for name in &order.names {
            let answered = self.has_good_answer(name);
            let watched = self.names.entry(Arc::clone(name)).or_insert(Watched {
                due: now,
                asked: None,
                again: false,
                failures: 0,
            });
            if order.refresh || !answered {
                watched.due = now;
                watched.again |= watched.asked.is_some() && order.refresh;
                open.insert(Arc::clone(name));
            }
        }
        self.show_exactly(&order.names);
        if open.is_empty() {
            // The caller may have gone: nobody is left to be told.
            let _ = order.answered.send(());
        } else {
            self.waiting.push(Waiting {
                open,
                answered: order.answered,
            });
        }
        // Names that are watched no more will never answer.
        self.settle(|name, names| !names.contains_key(name));
    }

    /// Makes the published map hold exactly `names`. The one who ordered it knows, so it is no
    /// change that anybody needs to be told of.
    fn show_exactly(&self, names: &BTreeSet<Arc<str>>) {
        self.publish.send_if_modified(|answers| {
            answers.retain(|name, _| names.contains(name));
            for name in names {
                answers
                    .entry(Arc::clone(name))
                    .or_insert_with(|| Resolution::Failed("no answer yet".to_owned()));
            }
            false
        });
    }

    /// Asks what is due, as far as the bound allows; says when the next one will be.
    fn ask_what_is_due(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let mut next = None;
        for (name, watched) in &mut self.names {
            if watched.asked.is_some() {
                continue;
            }
            if watched.due > now {
                next = Some(next.map_or(watched.due, |at: Instant| at.min(watched.due)));
            } else if self.under_way.len() < MAX_UNDER_WAY {
                watched.again = false;
                let resolver = self.lookup.resolver();
                let name = Arc::clone(name);
                let question = async move { lookup::addresses(&resolver, &name).await };
                watched.asked = Some(self.under_way.spawn(question).id());
            }
        }
        next
    }

    fn note(&mut self, id: task::Id, answer: Result<Answer, String>) {
        let mut names = self.names.iter_mut();
        let Some((name, watched)) = names.find(|(_, watched)| watched.asked == Some(id)) else {
            // It is watched no more.
            return;
        };
        watched.asked = None;
        let wait = match &answer {
            Ok(answer) => {
                watched.failures = 0;
                answer.ttl.clamp(TTL_MIN, TTL_MAX)
            }
            Err(_) => {
                watched.failures += 1;
                retry_after(watched.failures)
            }
        };
        if !watched.again {
            watched.due = Instant::now() + wait;
            let name = Arc::clone(name);
            self.publish_answer(&name, answer);
            self.settle(|open, _| *open == name);
        }
    }

    /// A failure never takes the place of a good answer.
    fn publish_answer(&self, name: &Arc<str>, answer: Result<Answer, String>) {
        self.publish.send_if_modified(|answers| {
            let new = match answer {
                Ok(answer) => Resolution::Addresses(answer.addresses),
                Err(reason) if matches!(answers.get(name), Some(Resolution::Addresses(_))) => {
                    tracing::warn!(%name, reason, "keeping the last good answer");
                    return false;
                }
                Err(reason) => Resolution::Failed(reason),
            };
            if answers.get(name) == Some(&new) {
                return false;
            }
            tracing::info!(%name, answer = ?new, "DNS answer changed");
            answers.insert(Arc::clone(name), new);
            true
        });
    }

    fn has_good_answer(&self, name: &Arc<str>) -> bool {
        matches!(
            self.publish.borrow().get(name),
            Some(Resolution::Addresses(_))
        )
    }

    /// Strikes what `is_settled` off everybody's list; those with nothing left are told.
    fn settle(&mut self, is_settled: impl Fn(&Arc<str>, &BTreeMap<Arc<str>, Watched>) -> bool) {
        for mut waiting in std::mem::take(&mut self.waiting) {
            waiting.open.retain(|name| !is_settled(name, &self.names));
            if waiting.open.is_empty() {
                // The caller may have given up waiting.
                let _ = waiting.answered.send(());
            } else if !waiting.answered.is_closed() {
                self.waiting.push(waiting);
            }
        }
    }
}

pub(super) fn retry_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(5);
    Duration::from_secs(1 << doublings).min(RETRY_MAX)
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
