//! FQDN members: resolved by TTL; the last good answer stays.

mod keeper;
mod lookup;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::snapshot::Resolutions;
pub use hickory_resolver::config::ResolverConfig;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use keeper::{Keeper, Order};
use lookup::Lookup;

/// How long [`DnsWatcher::watch`] waits for answers: a change of the configuration is not held up
/// by a name server that is silent.
const FIRST_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Keeps the answers for a set of names fresh, in a task of its own, which ends with the watcher.
#[derive(Debug)]
pub struct DnsWatcher {
    answers: watch::Receiver<Resolutions>,
    orders: mpsc::UnboundedSender<Order>,
    /// Owns the keeper's task: dropping it ends the task.
    _keeper: JoinSet<()>,
}

impl DnsWatcher {
    /// Starts on the current runtime with no names. Asks as the machine does: `/etc/hosts`, then
    /// the name servers of `/etc/resolv.conf`; both are read again when they change.
    ///
    /// # Errors
    /// When there is no runtime to start on.
    pub fn start() -> io::Result<Self> {
        Self::start_asking(Lookup::system())
    }

    /// Starts on the current runtime with no names, and asks the name servers of `config`.
    ///
    /// # Errors
    /// When there is no runtime to start on, or `config` cannot be used.
    pub fn start_with(config: ResolverConfig) -> io::Result<Self> {
        Self::start_asking(Lookup::fixed(config)?)
    }

    fn start_asking(lookup: Lookup) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let (publish, answers) = watch::channel(Resolutions::new());
        let (orders, incoming) = mpsc::unbounded_channel();
        let mut keeper = JoinSet::new();
        keeper.spawn_on(Keeper::new(lookup, publish).run(incoming), &runtime);
        Ok(Self {
            answers,
            orders,
            _keeper: keeper,
        })
    }

    /// Watches exactly `names` from now on. Those without an answer, and all of them when `refresh`
    /// (a PUT empties the cache), are asked at once; returns when they have answered or a second
    /// has passed, whichever is first. The last good answer of a name stays until a new one comes.
    ///
    /// Every one of `names` is in what this returns: one that has not answered yet as failed.
    pub async fn watch(&self, names: BTreeSet<Arc<str>>, refresh: bool) -> Resolutions {
        let (answered, all_answered) = oneshot::channel();
        let order = Order {
            names,
            refresh,
            answered,
        };
        if self.orders.send(order).is_ok() {
            // Whether all have answered or the time is up, what is known now is the result.
            let _ = tokio::time::timeout(FIRST_ANSWERS_WITHIN, all_answered).await;
        }
        self.answers.borrow().clone()
    }

    /// Sees every change of an answer. What a call of [`Self::watch`] adds or drops is no change;
    /// what a name then answers is.
    pub fn answers(&self) -> watch::Receiver<Resolutions> {
        self.answers.clone()
    }
}

#[cfg(test)]
mod tests;
