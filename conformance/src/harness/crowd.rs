//! WebSocket clients by the thousand, on a thread of their own, and a book of what became of each.
//!
//! They do what a page in a browser does: answer pings and Close frames, and come back when their
//! connection has ended or was refused, after a pause that is random and grows. How a connection ended
//! is told strictly: what is not a Close frame, our answer and the server's FIN is what a browser calls
//! 1006.

mod client;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ClientConfig;
use tokio::sync::{Semaphore, watch};
use tokio::task::LocalSet;

use super::until;

/// How many open at once, the first time. Coming back is nobody's to order.
const AT_ONCE: usize = 128;

/// Who is to come.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) front: SocketAddr,
    /// They come over TLS, if there is a configuration for it.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) count: usize,
    /// Whether they come back when their connection has ended, or was refused.
    pub(crate) comes_back: bool,
    /// How often each says something, and waits for the echo.
    pub(crate) talks_every: Option<Duration>,
    /// What their pauses follow from.
    pub(crate) seed: u64,
}

impl Order {
    /// They stay as long as they may, say nothing, and do not come back.
    pub(crate) fn quiet(front: SocketAddr, count: usize) -> Self {
        Self {
            front,
            tls: None,
            count,
            comes_back: false,
            talks_every: None,
            seed: 0,
        }
    }

    pub(crate) fn over(self, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { tls, ..self }
    }

    pub(crate) fn talking(self, every: Duration) -> Self {
        Self {
            talks_every: Some(every),
            ..self
        }
    }

    pub(crate) fn coming_back(self, seed: u64) -> Self {
        Self {
            comes_back: true,
            seed,
            ..self
        }
    }
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// A Close frame, our answer to it, the server's FIN, and nothing else.
    Closed { code: u16, reason: String },
    /// Otherwise, and in what way.
    Lost(String),
}

/// The end of a connection that was open.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    /// When its Close frame came, or what came instead.
    pub(crate) at: Instant,
    pub(crate) how: How,
    /// Where it was open.
    pub(crate) backend: String,
}

/// A handshake that was refused.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

/// What became of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    /// Those that are open now, by backend.
    open: BTreeMap<String, usize>,
    /// How often one has opened.
    pub(crate) opened: usize,
    pub(crate) endings: Vec<Ending>,
    pub(crate) refusals: Vec<Refusal>,
    /// Connections that never came to an answer.
    pub(crate) failures: usize,
    /// Echoes that came back as they should.
    pub(crate) echoes: usize,
}

impl Book {
    pub(crate) fn open(&self) -> usize {
        self.open.values().sum()
    }

    /// How many are open at that backend.
    pub(crate) fn open_at(&self, backend: &str) -> usize {
        self.open.get(backend).copied().unwrap_or_default()
    }

    /// From the first end to the last.
    pub(crate) fn spread(&self) -> Duration {
        let ends = self.endings.iter().map(|ending| ending.at);
        let (first, last) = (ends.clone().min(), ends.max());
        first
            .zip(last)
            .map_or(Duration::ZERO, |(first, last)| last - first)
    }

    /// How often each way to end was met.
    pub(crate) fn ways(&self) -> BTreeMap<How, usize> {
        let mut ways = BTreeMap::new();
        for ending in &self.endings {
            *ways.entry(ending.how.clone()).or_default() += 1;
        }
        ways
    }

    /// Fails unless every connection that has ended was closed with this code, and a reason.
    pub(crate) fn all_closed_with(&self, expected: u16) -> Result<()> {
        let ways = self.ways();
        let is_right = |how: &How| matches!(how, How::Closed { code, reason } if *code == expected && !reason.is_empty());
        ensure!(
            ways.keys().all(is_right),
            "not all were closed with {expected} and a reason: {ways:?}"
        );
        Ok(())
    }
}

/// The clients. They leave when this is dropped.
pub(crate) struct Crowd {
    book: Arc<Mutex<Book>>,
    count: usize,
    _stop: watch::Sender<()>,
}

impl Crowd {
    /// They begin to come.
    pub(crate) fn start(order: Order) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let (stop, stopped) = watch::channel(());
        let count = order.count;
        let notes = Arc::clone(&book);
        // Nobody waits for the thread: it ends soon after the sender is gone.
        std::thread::spawn(move || attend(order, &notes, stopped));
        Self {
            book,
            count,
            _stop: stop,
        }
    }

    /// Waits until all are open.
    pub(crate) async fn all_open(&self, limit: Duration) -> Result<()> {
        self.until("all clients are open", limit, |book| {
            book.open() == self.count
        })
        .await
    }

    /// Waits until none is open.
    pub(crate) async fn none_open(&self, limit: Duration) -> Result<()> {
        self.until("no client is open", limit, |book| book.open() == 0)
            .await
    }

    /// Waits until the book says so.
    pub(crate) async fn until(
        &self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&Book) -> bool,
    ) -> Result<()> {
        let waited = until(what, limit, async || Ok(holds(&self.read()).then_some(())));
        waited.await.with_context(|| {
            let book = self.read();
            format!(
                "of {} clients {} are open, {} connections have ended, {} were refused, {} failed",
                self.count,
                book.open(),
                book.endings.len(),
                book.refusals.len(),
                book.failures,
            )
        })
    }

    /// Those that are open now, by the name of their backend.
    pub(crate) fn by_backend(&self) -> BTreeMap<String, usize> {
        self.read().open.clone()
    }

    /// How many are open at that backend now.
    pub(crate) fn at(&self, backend: &str) -> usize {
        self.read().open_at(backend)
    }

    /// What became of them so far.
    pub(crate) fn look(&self) -> Book {
        self.read().clone()
    }

    fn read(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

fn attend(order: Order, book: &Arc<Mutex<Book>>, mut stopped: watch::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    // Without a runtime nobody comes, which the story sees.
    let Ok(runtime) = runtime else { return };
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let clients = LocalSet::new();
    for number in 0..order.count {
        let random = fastrand::Rng::with_seed(order.seed.wrapping_add(number as u64));
        let book = Arc::clone(book);
        clients.spawn_local(client::live(
            order.clone(),
            number,
            random,
            book,
            Arc::clone(&turns),
        ));
    }
    clients.block_on(&runtime, async {
        // An error: the sender is gone.
        let _ = stopped.changed().await;
    });
}

/// How many tunnels one story may have open, up to `wanted`: two descriptors each for the gateway, which
/// keeps some back for other work. Raises our own limit to what is allowed: clients need one each, and a
/// backend, which inherits it or is part of us, another.
pub(crate) fn affordable(wanted: usize) -> Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("the limit of descriptors cannot be raised")?;
    let most = limit
        .maximum
        .map_or(usize::MAX, |all| usize::try_from(all).unwrap_or(usize::MAX));
    Ok(wanted.min(most / 5 * 2))
}
