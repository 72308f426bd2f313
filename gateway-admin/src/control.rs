//! What the API needs of the process around it.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::Stream;
use gateway_core::config::{ConfigProblem, ConfigProblems};
use gateway_core::health::Health;
use gateway_core::resource::{ApplicationGateway, Edit};
use gateway_core::tunnels::{DrainReport, ListQuery, Page, TunnelFilter, TunnelId, TunnelReport};

use crate::events::{Since, Told};

/// The process, as the API sees it. `gateway` implements it; tests use a fake.
pub trait Control: Send + Sync + 'static {
    /// What is live.
    fn published(&self) -> Published;

    /// Applies one edit after all before it; answers when it is live and stored, or refused.
    ///
    /// The future is dropped when the client goes away; the edit must then be applied whole or not
    /// at all.
    fn apply(&self, write: Write) -> impl Future<Output = Result<Applied, ApplyError>> + Send;

    /// What is known of every target that a rule reaches.
    fn backend_health(&self) -> Vec<HealthReport>;

    /// The open tunnels that `query` asks for: one page.
    fn tunnels(&self, query: ListQuery) -> impl Future<Output = Page<TunnelReport>> + Send;

    /// One tunnel, if it is open.
    fn tunnel(&self, id: TunnelId) -> impl Future<Output = Option<TunnelReport>> + Send;

    /// Closes tunnels; answers when it is known how many. `None` where one was meant that is not
    /// open. What is begun goes on when the future is dropped.
    fn close_tunnels(
        &self,
        which: WhichTunnels,
        close: CloseTunnels,
    ) -> impl Future<Output = Option<DrainReport>> + Send;

    /// Gives the targets of `pool` that `member` names no new work, and closes their tunnels.
    fn drain_targets(
        &self,
        pool: &str,
        member: &str,
    ) -> impl Future<Output = Result<DrainReport, NoSuchTarget>> + Send;

    /// Gives them work again; tunnels that were not told to close yet stay.
    fn resume_targets(
        &self,
        pool: &str,
        member: &str,
    ) -> impl Future<Output = Result<(), NoSuchTarget>> + Send;

    /// Evens `pool` out once, so many tunnels a second. Answers with the drains that do it, one for
    /// each set of HTTP settings under which the pool is uneven.
    fn rebalance(
        &self,
        pool: &str,
        per_second: Option<NonZeroU32>,
    ) -> impl Future<Output = Result<Vec<DrainReport>, CannotRebalance>> + Send;

    /// All drains that run, and the last ones that are over.
    fn drains(&self) -> Vec<DrainReport>;

    /// Has a drain close no more tunnels. `None` for one that is not known.
    fn cancel_drain(&self, id: u64) -> impl Future<Output = Option<DrainReport>> + Send;

    /// Has a cancelled drain go on. `None` for one that is not known.
    fn resume_drain(&self, id: u64) -> impl Future<Output = Option<DrainReport>> + Send;

    /// `Err` says why the process should get no traffic: starting, draining.
    fn ready(&self) -> Result<(), String>;

    /// All metrics, as OpenMetrics text.
    fn metrics(&self) -> String;

    /// What happens, for one reader. Ends when the process does, or behind [`Told::TooSlow`].
    fn events(&self, since: Since) -> impl Stream<Item = Told> + Send + 'static;
}

/// What is live now.
#[derive(Debug, Clone)]
pub struct Published {
    /// Counts what users changed; 0 before the first document.
    pub revision: u64,
    /// Counts every publication.
    pub generation: u64,
    /// The document in its canonical form; `None` before the first.
    pub document: Option<Arc<ApplicationGateway>>,
    /// What the document asks for and is not served.
    pub warnings: Arc<[ConfigProblem]>,
}

/// One write.
#[derive(Debug, Clone)]
pub struct Write {
    /// What to change.
    pub edit: Edit,
    /// `If-Match` and `If-None-Match`, judged when it is this write's turn.
    pub precondition: Precondition,
    /// Check, compile and bind, but change nothing.
    pub dry_run: bool,
}

/// What must hold of the resource written, or of the document for a whole one (RFC 9110 section 13).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// `If-Match: *`.
    Exists,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match: "a", "b"`: one of these entity tags, without their quotes.
    Matches(Vec<String>),
}

/// A write that is live (or, for a dry run, would be).
#[derive(Debug, Clone)]
pub struct Applied {
    /// What is live now; for a dry run, unchanged by it.
    pub published: Published,
    /// The document that the write was judged against; `None` before the first.
    pub before: Option<Arc<ApplicationGateway>>,
    /// The document with the write in it: `published.document`, or for a dry run what it would be.
    pub after: Arc<ApplicationGateway>,
    /// The resource did not exist before.
    pub created: bool,
    /// Warnings of this write.
    pub warnings: Vec<ConfigProblem>,
    /// From the write's turn to live, without the store.
    pub apply_time: Duration,
    /// In the store.
    pub store_time: Duration,
}

/// Why a write is refused. What was live stays live.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// 400 with every problem.
    #[error("the document is not valid")]
    Invalid(#[from] ConfigProblems),
    /// 404.
    #[error("no {collection} named {name:?}")]
    NotFound {
        /// The collection's name on the wire.
        collection: &'static str,
        /// The name asked for.
        name: String,
    },
    /// 412.
    #[error("the precondition does not hold: {}", tag_now(current.as_deref()))]
    PreconditionFailed {
        /// The tag that would have matched; `None` where nothing exists.
        current: Option<String>,
    },
    /// 409: the configuration is a file.
    #[error("the configuration is read from {file}; change the file instead")]
    ReadOnly {
        /// Which file.
        file: String,
    },
    /// 409: an address cannot be bound.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// Which.
        address: String,
        /// Why.
        reason: String,
    },
    /// 500: the store does not take it.
    #[error("the change could not be stored: {reason}")]
    Store {
        /// Why.
        reason: String,
    },
    /// 503: the process is ending.
    #[error("the gateway is shutting down")]
    ShuttingDown,
}

fn tag_now(current: Option<&str>) -> String {
    current.map_or_else(
        || "there is nothing yet".to_owned(),
        |tag| format!("the current entity tag is \"{tag}\""),
    )
}

/// Which tunnels are meant.
#[derive(Debug, Clone, PartialEq)]
pub enum WhichTunnels {
    /// This one.
    One(TunnelId),
    /// Those that match.
    All(TunnelFilter),
}

/// How tunnels are closed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CloseTunnels {
    /// The Close frame's code; that of each tunnel's HTTP settings unless given.
    pub code: Option<u16>,
    /// The Close frame's reason.
    pub reason: Option<String>,
    /// How many a second; all at once unless given.
    pub per_second: Option<NonZeroU32>,
}

/// Nothing of that name has targets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSuchTarget {
    /// The pool.
    #[error("no pool {pool:?} has targets")]
    Pool {
        /// As asked for.
        pool: String,
    },
    /// The target.
    #[error("pool {pool} has no target {member:?}; it has {}", known.join(", "))]
    Target {
        /// The pool.
        pool: String,
        /// As asked for.
        member: String,
        /// The pool's targets.
        known: Vec<String>,
    },
}

/// Why a pool is not evened out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRebalance {
    /// No rule leads to a pool of that name.
    #[error("no rule leads to a pool {pool:?}")]
    NoPool {
        /// As asked for.
        pool: String,
    },
    /// Clients would come back to where they were.
    #[error(
        "the targets of pool {pool} are chosen by the client's address (IpHash): whoever is closed \
         comes back to the same one"
    )]
    Hashed {
        /// As asked for.
        pool: String,
    },
}

/// The members of one (pool, settings).
#[derive(Debug, Clone)]
pub struct HealthReport {
    /// The pool.
    pub pool: String,
    /// The HTTP settings.
    pub settings: String,
    /// Its members.
    pub members: Vec<MemberHealth>,
}

/// One member's health.
#[derive(Debug, Clone)]
pub struct MemberHealth {
    /// The member as written: address or FQDN.
    pub host: String,
    /// Where requests go; `None` where DNS has no answer.
    pub address: Option<std::net::SocketAddr>,
    /// What requests go by.
    pub health: Health,
    /// Served although down, for `minServers`.
    pub forced: bool,
    /// An operator drains it: it gets no new work, whatever its health.
    pub draining: bool,
    /// Why (`healthProbeLog`).
    pub reason: String,
    /// Since when.
    pub since: Option<SystemTime>,
    /// When the last probe was started, and how long it took.
    pub last_probe: Option<(SystemTime, Duration)>,
    /// When the next is due.
    pub next_probe_at: Option<SystemTime>,
    /// Requests in flight and open tunnels.
    pub load: u32,
}
