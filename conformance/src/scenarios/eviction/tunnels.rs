//! Open tunnels that echo all the time: what becomes of them when their backend dies.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::harness::frames::{CLOSE, TEXT, masked, unmasked};
use crate::harness::site::{backend_of, handshake};
use crate::harness::until;
use crate::harness::wire::Wire;

/// So many tunnels, shared by the backends.
pub(super) const COUNT: usize = 8;
/// Between an echo and the next message: people who talk, not a flood.
const PAUSE: Duration = Duration::from_millis(50);
/// Longer than any scenario.
const FOR_EVER: Duration = Duration::from_secs(60);

/// What is known of one tunnel.
#[derive(Debug, Clone)]
pub(super) struct Tunnel {
    pub(super) by: String,
    /// The message that waits for its echo was sent then.
    waits_since: Option<Instant>,
    /// The longest that an echo has taken.
    pub(super) slowest: Duration,
    pub(super) echoes: usize,
    /// When it ended, and how.
    pub(super) ended: Option<(Instant, String)>,
}

impl Tunnel {
    /// How long the oldest message has waited for its echo.
    pub(super) fn waits(&self) -> Duration {
        self.waits_since.map_or(Duration::ZERO, |at| at.elapsed())
    }
}

/// Tunnels in use. They are cut when this is dropped.
pub(super) struct Tunnels {
    all: Vec<Rc<RefCell<Tunnel>>>,
    _tasks: JoinSet<()>,
}

impl Tunnels {
    pub(super) async fn open(front: SocketAddr) -> Result<Self> {
        let (mut all, mut tasks) = (Vec::new(), JoinSet::new());
        for _ in 0..COUNT {
            let (wire, answer) = handshake(front, "/echo").await?;
            ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
            let tunnel = Rc::new(RefCell::new(Tunnel {
                by: backend_of(&answer)?,
                waits_since: None,
                slowest: Duration::ZERO,
                echoes: 0,
                ended: None,
            }));
            tasks.spawn_local(converse(wire, Rc::clone(&tunnel)));
            all.push(tunnel);
        }
        Ok(Self { all, _tasks: tasks })
    }

    /// How they are at this moment.
    pub(super) fn look(&self) -> Vec<Tunnel> {
        self.all
            .iter()
            .map(|tunnel| tunnel.borrow().clone())
            .collect()
    }

    /// Those of one backend.
    pub(super) fn of(&self, name: &str) -> Vec<Tunnel> {
        let mut all = self.look();
        all.retain(|tunnel| tunnel.by == name);
        all
    }

    /// Waits until every tunnel of `name` has ended.
    pub(super) async fn have_ended(&self, name: &str, limit: Duration) -> Result<()> {
        until("the tunnels end", limit, async || {
            let all = self.of(name);
            let ended = all.iter().all(|tunnel| tunnel.ended.is_some());
            Ok(ended.then_some(()))
        })
        .await
    }

    /// Waits until every tunnel of `name` has had an echo more than now.
    pub(super) async fn echo_on(&self, name: &str, limit: Duration) -> Result<()> {
        let before: Vec<usize> = self.of(name).iter().map(|tunnel| tunnel.echoes).collect();
        until("every tunnel echoes", limit, async || {
            let now = self.of(name);
            let more = now
                .iter()
                .zip(&before)
                .all(|(now, before)| now.echoes > *before);
            Ok(more.then_some(()))
        })
        .await
    }
}

async fn converse(mut wire: Wire, tunnel: Rc<RefCell<Tunnel>>) {
    let mut number = 0;
    let how = loop {
        let asked = Instant::now();
        tunnel.borrow_mut().waits_since = Some(asked);
        match echo(&mut wire, number).await {
            Ok(None) => {}
            Ok(Some(how)) => break how,
            Err(error) => break format!("{error:#}"),
        }
        {
            let mut tunnel = tunnel.borrow_mut();
            tunnel.waits_since = None;
            tunnel.slowest = tunnel.slowest.max(asked.elapsed());
            tunnel.echoes += 1;
        }
        number += 1;
        tokio::time::sleep(PAUSE).await;
    };
    let mut tunnel = tunnel.borrow_mut();
    tunnel.waits_since = None;
    tunnel.ended = Some((Instant::now(), how));
}

/// Sends a message and waits for its echo; how the tunnel ended, if it did.
async fn echo(wire: &mut Wire, number: usize) -> Result<Option<String>> {
    let text = format!("message {number:08}");
    if wire.send(&masked(TEXT, text.as_bytes())).await.is_err() {
        return Ok(Some("without a Close".to_owned()));
    }
    let Ok(head) = wire.exactly(2, FOR_EVER).await else {
        return Ok(Some("without a Close".to_owned()));
    };
    let payload = wire.exactly(usize::from(head[1] & 0x7f), FOR_EVER).await?;
    if head[0] & 0x0f == CLOSE {
        // As a client should (RFC 6455 section 5.5.1); nobody need be there to read it.
        let _ = wire.send(&masked(CLOSE, &payload)).await;
        let code = payload
            .first_chunk()
            .map_or(1005, |code| u16::from_be_bytes(*code));
        return Ok(Some(format!("Close {code}")));
    }
    let frame = [head, payload].concat();
    ensure!(
        frame == unmasked(TEXT, text.as_bytes()),
        "something else than message {number} came back"
    );
    Ok(None)
}
