//! What is wrong with a backend at the moment. Set through [`Faults`], or over HTTP (`control`).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Everything that can be wrong with a backend; the default is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FaultSet {
    /// Answers to `/health`.
    pub health: HealthFault,
    /// Answers to every other request.
    pub answer: AnswerFault,
    /// Answers to WebSocket handshakes.
    pub upgrade: UpgradeFault,
    /// The listening socket is closed, and with it every idle connection: clients are refused.
    /// Open WebSockets stay.
    pub refuse: bool,
    /// The listening socket stays and nobody accepts: the system completes connections that nobody
    /// serves. Those that were accepted before go on.
    pub deaf: bool,
    /// Every answer, to `/health` and to handshakes too, has this status.
    pub status: Option<u16>,
    /// Every answer, to `/health` and to handshakes too, waits so long.
    pub delay_ms: u64,
    /// New TLS connections are shown this certificate: chain and key as PEM text.
    pub certificate: Option<String>,
}

/// What `/health` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HealthFault {
    /// The status.
    pub status: u16,
    /// The body; a backend's own says that it is healthy, and its name.
    pub body: Option<String>,
    /// Wait so long before the answer.
    pub delay_ms: u64,
    /// Instead of an answer.
    pub mode: AnswerFault,
}

impl Default for HealthFault {
    fn default() -> Self {
        Self {
            status: 200,
            body: None,
            delay_ms: 0,
            mode: AnswerFault::None,
        }
    }
}

/// What comes instead of an HTTP answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerFault {
    /// Nothing is wrong.
    #[default]
    None,
    /// No answer, for as long as this is set; then the connection is closed.
    Hang,
    /// The connection is reset.
    Reset,
    /// The connection is closed without a byte.
    Empty,
    /// Bytes that are not HTTP.
    Garbage,
    /// A head, and less body than its Content-Length.
    Truncated,
    /// A chunked body without its last chunk.
    TruncatedChunked,
    /// A whole answer, and a second one that nobody asked for.
    ExtraBytes,
    /// 101 where no upgrade was asked for.
    UnaskedSwitch,
}

/// What comes instead of a correct 101.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeFault {
    /// Nothing is wrong.
    #[default]
    None,
    /// `Sec-WebSocket-Accept` for another key.
    WrongAccept,
    /// No `Sec-WebSocket-Accept`.
    NoAccept,
    /// A subprotocol that was not offered.
    WrongProtocol,
    /// No `Upgrade`.
    NoUpgrade,
    /// `Upgrade` with another token.
    OtherUpgrade,
    /// No `Connection`.
    NoConnection,
    /// 403, and after it a second answer that nobody asked for.
    RefusedWithExtraBytes,
    /// 401 with a challenge: a correct refusal.
    Refused,
    /// No answer.
    Hang,
    /// The connection is reset.
    Reset,
    /// Half a head, then the end.
    HalfHead,
}

/// The handle by which a backend's faults are set. Clones set the same backend's.
#[derive(Debug, Clone)]
pub struct Faults {
    current: watch::Sender<FaultSet>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Faults {
    pub(crate) fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            current: watch::Sender::new(FaultSet::default()),
            tasks,
            stop,
        }
    }

    /// What is wrong now.
    pub fn current(&self) -> FaultSet {
        self.current.borrow().clone()
    }

    /// Replaces what is wrong.
    pub fn set(&self, faults: FaultSet) {
        self.current.send_replace(faults);
    }

    /// Changes what is wrong.
    pub fn update(&self, change: impl FnOnce(&mut FaultSet)) {
        self.current.send_modify(change);
    }

    /// Nothing is wrong any more.
    pub fn clear(&self) {
        self.set(FaultSet::default());
    }

    /// Replaces what is wrong for a while; then everything is as it was when this was called.
    pub fn set_for(&self, faults: FaultSet, period: Duration) {
        let before = self.current.send_replace(faults);
        let (current, stop) = (self.current.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(period) => { current.send_replace(before); }
                () = stop.cancelled() => {}
            }
        });
    }

    /// Looks at what is wrong without a copy.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&FaultSet) -> T) -> T {
        look(&self.current.borrow())
    }

    /// Returns when `ended` holds of what is wrong.
    pub(crate) async fn until(&self, ended: impl FnMut(&FaultSet) -> bool) {
        let mut watch = self.current.subscribe();
        // The sender lives in `self`, so the wait cannot fail.
        let _ = watch.wait_for(ended).await;
    }
}
