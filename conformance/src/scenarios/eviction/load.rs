//! Steady load from clients: an operation begins every so often, whatever became of those before it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::harness::frames::{CLOSE, TEXT, masked, unmasked};
use crate::harness::site::{HANDSHAKE, backend_of};
use crate::harness::until;
use crate::harness::wire::Wire;

/// An operation begins so often.
pub(super) const EVERY: Duration = Duration::from_millis(40);
/// Every backend takes so long for a `GET`, so that at any moment some are under way.
const GET_TAKES_MS: u64 = 60;
/// No client waits longer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(15);
/// What a client sends in the requests that may not be sent twice.
const BODY: &str = "once and no more";

/// What clients do over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Every other one on a connection of its own, the rest on kept ones; one in five is a `POST`.
    Requests,
    /// A WebSocket is opened, greeted, and closed.
    Handshakes,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    ServedBy(String),
    /// A status, or what happened instead of an answer.
    Failed(String),
}

/// One operation. Its number, by which backends know it, is its place in the list.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) began: Instant,
    pub(super) ended: Option<(Instant, Outcome)>,
}

impl Operation {
    fn was_served_by(&self, name: &str) -> bool {
        matches!(&self.ended, Some((_, Outcome::ServedBy(by))) if by == name)
    }
}

/// Clients at work. They stop when this is dropped.
pub(super) struct Load {
    shared: Rc<Shared>,
    driver: JoinSet<()>,
}

struct Shared {
    front: SocketAddr,
    kind: Kind,
    operations: RefCell<Vec<Operation>>,
    kept: RefCell<Vec<Wire>>,
    stopping: Cell<bool>,
}

impl Load {
    pub(super) fn start(front: SocketAddr, kind: Kind) -> Self {
        let shared = Rc::new(Shared {
            front,
            kind,
            operations: RefCell::default(),
            kept: RefCell::default(),
            stopping: Cell::new(false),
        });
        let mut driver = JoinSet::new();
        driver.spawn_local(drive(Rc::clone(&shared)));
        Self { shared, driver }
    }

    /// The number of the next operation.
    pub(super) fn next(&self) -> usize {
        self.shared.operations.borrow().len()
    }

    /// Waits until each of `names` has served so many operations from number `from` on.
    pub(super) async fn served(
        &self,
        names: &[&str],
        count: usize,
        from: usize,
        limit: Duration,
    ) -> Result<()> {
        let what = format!("{names:?} serve {count} operations each");
        until(&what, limit, async || {
            let operations = self.shared.operations.borrow();
            let served = |name: &&str| {
                let by = operations[from..]
                    .iter()
                    .filter(|op| op.was_served_by(name));
                by.count() >= count
            };
            Ok(names.iter().all(served).then_some(()))
        })
        .await
    }

    /// When the first operation from number `from` on ended that `name` served.
    pub(super) fn first_served(&self, name: &str, from: usize) -> Option<Instant> {
        let operations = self.shared.operations.borrow();
        let served = operations[from..]
            .iter()
            .filter(|op| op.was_served_by(name));
        let ends = served.filter_map(|op| op.ended.as_ref().map(|(at, _)| *at));
        ends.min()
    }

    /// Waits until every operation before number `before` has ended.
    pub(super) async fn ended(&self, before: usize, limit: Duration) -> Result<()> {
        until("the operations under way end", limit, async || {
            let operations = self.shared.operations.borrow();
            let ended = operations[..before].iter().all(|op| op.ended.is_some());
            Ok(ended.then_some(()))
        })
        .await
    }

    /// Begins no more, and waits for those under way.
    pub(super) async fn stop(mut self) -> Vec<Operation> {
        self.shared.stopping.set(true);
        while self.driver.join_next().await.is_some() {}
        self.shared.operations.take()
    }
}

async fn drive(shared: Rc<Shared>) {
    let mut under_way = JoinSet::new();
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !shared.stopping.get() {
        ticks.tick().await;
        let number = shared.operations.borrow().len();
        shared.operations.borrow_mut().push(Operation {
            began: Instant::now(),
            ended: None,
        });
        under_way.spawn_local(operate(Rc::clone(&shared), number));
    }
    while under_way.join_next().await.is_some() {}
}

async fn operate(shared: Rc<Shared>, number: usize) {
    let attempt = async {
        match shared.kind {
            Kind::Requests => request(&shared, number).await,
            Kind::Handshakes => open_and_close(shared.front, number).await,
        }
    };
    let outcome = match tokio::time::timeout(CLIENT_PATIENCE, attempt).await {
        Ok(Ok(name)) => Outcome::ServedBy(name),
        Ok(Err(error)) => Outcome::Failed(format!("{error:#}")),
        Err(_) => Outcome::Failed(format!("no answer within {CLIENT_PATIENCE:?}")),
    };
    shared.operations.borrow_mut()[number].ended = Some((Instant::now(), outcome));
}

/// The name of the backend that answered.
async fn request(shared: &Shared, number: usize) -> Result<String> {
    let keeps = number.is_multiple_of(2);
    let kept = keeps.then(|| shared.kept.borrow_mut().pop()).flatten();
    let mut wire = match kept {
        Some(wire) => wire,
        None => Wire::plain(shared.front).await?,
    };
    let writes = number % 5 == 4;
    wire.send(head_and_body(number, writes, keeps).as_bytes())
        .await?;
    let answer = wire.answer_within(false, CLIENT_PATIENCE).await?;
    let answer = answer.context("closed without an answer")?;
    if keeps && answer.values("connection").is_empty() {
        shared.kept.borrow_mut().push(wire);
    }
    ensure!(answer.status == 200, "{}", answer.status);
    ensure!(answer.broken.is_none(), "the answer is cut off");
    ensure!(!writes || answer.text() == BODY, "another body came back");
    backend_of(&answer)
}

fn head_and_body(number: usize, writes: bool, keeps: bool) -> String {
    let connection = if keeps { "keep-alive" } else { "close" };
    let fields = format!("Host: gateway.test\r\nConnection: {connection}\r\n");
    if writes {
        let length = BODY.len();
        format!("POST /echo?op={number} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n{BODY}")
    } else {
        format!("GET /slow/{GET_TAKES_MS}?op={number} HTTP/1.1\r\n{fields}\r\n")
    }
}

/// The name of the backend that granted the WebSocket.
async fn open_and_close(front: SocketAddr, number: usize) -> Result<String> {
    let mut wire = Wire::plain(front).await?;
    let head = format!("GET /ws?op={number} HTTP/1.1\r\n{HANDSHAKE}");
    wire.send(head.as_bytes()).await?;
    let answer = wire.answer_within(false, CLIENT_PATIENCE).await?;
    let answer = answer.context("closed without an answer")?;
    ensure!(answer.status == 101, "{}", answer.status);
    let name = backend_of(&answer)?;
    let greeting = unmasked(TEXT, format!("hello from {name}").as_bytes());
    let came = wire.exactly(greeting.len(), CLIENT_PATIENCE).await;
    ensure!(
        came.context("101 and no greeting")? == greeting,
        "another greeting"
    );
    let close = 1000_u16.to_be_bytes();
    wire.send(&masked(CLOSE, &close)).await?;
    Ok(name)
}

/// The numbers of the operations that a backend saw, by the targets of its requests.
pub(super) fn numbers(targets: &[String]) -> Vec<usize> {
    let numbers = targets
        .iter()
        .filter_map(|target| target.split_once("op=")?.1.parse().ok());
    numbers.collect()
}

/// Whether operation `number` of [`Kind::Requests`] may not be sent twice.
pub(super) fn writes(target: &str) -> bool {
    target.starts_with("/echo")
}
