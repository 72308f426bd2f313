//! Runs one wire case: the steps, then a sentinel request, then the look at what the backend saw.
//!
//! The sentinel is what makes absence visible: when it is answered, every byte that the gateway had
//! accepted before has had its chance to reach the backend, and a connection to the backend that was
//! left in a wrong state has had its chance to be used again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::ClientConfig;

use crate::harness::document::{Document, idle_probe, plain_settings};
use crate::harness::gateway::Gateway;
use crate::harness::ports::free_port;
use crate::harness::recorder::{Record, Recorder, Seen};
use crate::harness::wire::{Answer, Wire, escape};
use crate::harness::{PATIENCE, until};
use crate::scenario::{Saw, Stage, Step, Transport, WireCase};

/// A gateway with a plain and a TLS listener before one recording backend.
pub(crate) struct Lane {
    pub(crate) gateway: Gateway,
    recorder: Recorder,
    plain: SocketAddr,
    tls: SocketAddr,
    client: Arc<ClientConfig>,
}

/// The bounds on heads, bodies and silence, which some cases wait for.
pub(crate) const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

impl Lane {
    pub(crate) async fn open(stage: &Stage) -> Result<Self> {
        let recorder = Recorder::start().await?;
        let (plain, tls) = (free_port()?, free_port()?);
        let seconds = CLIENT_TIMEOUT.as_secs();
        let limits = serde_json::json!({
            "requestHeadTimeoutInSec": seconds,
            "requestBodyTimeoutInSec": seconds,
            "maxRequestHeadBytes": 32768,
        });
        let document = Document::new()
            .set("limits", limits)
            .with("probes", "idle", idle_probe())
            .with(
                "backendHttpSettingsCollection",
                "settings",
                plain_settings("idle"),
            )
            .pool("pool", &[recorder.address])
            .http(plain, "pool", "settings")
            .https(tls, &stage.certificates.gateway(), "pool", "settings");
        let gateway = Gateway::with_file(&stage.programs, document).await?;
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self {
            gateway,
            recorder,
            plain: local(plain),
            tls: local(tls),
            client: Arc::clone(&stage.certificates.client),
        })
    }

    /// Runs `case`; a failure tells the bytes.
    pub(crate) async fn run(&self, case: &WireCase) -> Result<()> {
        self.recorder.reset(case.reply.clone());
        let mut wire = match case.transport {
            Transport::Plain => Wire::plain(self.plain).await?,
            Transport::PlainToTls => Wire::plain(self.tls).await?,
            Transport::Tls => Wire::tls(self.tls, Arc::clone(&self.client)).await?,
        };
        let outcome = self.judge(case, &mut wire).await;
        let record = self.recorder.take();
        outcome.map_err(|error| {
            error.context(format!(
                "client (> sent, < received)\n{}backend saw {} request(s)\n{}",
                wire.transcript,
                record.requests.len(),
                record.transcript,
            ))
        })
    }

    async fn judge(&self, case: &WireCase, wire: &mut Wire) -> Result<()> {
        let mut last = None;
        for step in &case.steps {
            take(step, wire, &mut last)
                .await
                .with_context(|| format!("step {}", describe(step)))?;
        }
        self.settle(case).await?;
        self.sentinel().await?;
        let record = self.recorder.look();
        ensure!(
            record.violations.is_empty(),
            "the backend got what no gateway may send: {}",
            record.violations.join("; ")
        );
        for saw in &case.saw {
            judge(saw, &record)?;
        }
        Ok(())
    }

    /// Bytes of an open tunnel are still under way when the client has its echo; nothing else is.
    async fn settle(&self, case: &WireCase) -> Result<()> {
        for saw in &case.saw {
            if matches!(saw, Saw::After(_)) {
                let seen = async || Ok(judge(saw, &self.recorder.look()).is_ok().then_some(()));
                let settled = until("the tunnel's bytes", PATIENCE, seen).await;
                settled.or_else(|_| judge(saw, &self.recorder.look()))?;
            }
        }
        Ok(())
    }

    async fn sentinel(&self) -> Result<()> {
        let mut wire = Wire::plain(self.plain).await?;
        let request = b"GET /sentinel HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n";
        wire.send(request).await?;
        let answer = wire
            .answer(false)
            .await?
            .context("the next client gets no answer")?;
        ensure!(
            answer.text() == "sentinel",
            "the next client gets somebody else's answer: {} {:?}",
            answer.status,
            answer.text()
        );
        Ok(())
    }
}

async fn take(step: &Step, wire: &mut Wire, last: &mut Option<Answer>) -> Result<()> {
    match step {
        Step::Send(bytes) => wire.send(bytes).await,
        Step::Trickle { bytes, every } => trickle(wire, bytes, *every).await,
        Step::Finish => wire.finish().await,
        Step::Answer(statuses) => {
            let answer = expect(wire, statuses, false).await?;
            ensure!(
                answer.broken.is_none(),
                "the answer is not whole: {:?}",
                answer.broken
            );
            *last = Some(answer);
            Ok(())
        }
        Step::AnswerToHead(statuses) => {
            *last = Some(expect(wire, statuses, true).await?);
            Ok(())
        }
        Step::BrokenAnswer(statuses) => {
            let answer = expect(wire, statuses, false).await?;
            let told = answer.broken.is_some() || answer.status == 502;
            ensure!(told, "a truncated answer came out as a whole one");
            Ok(())
        }
        Step::AnswerOrEnd(statuses) => match wire.answer(false).await? {
            Some(answer) if statuses.contains(&answer.status) => Ok(()),
            Some(answer) => bail!("status {}", answer.status),
            None => Ok(()),
        },
        Step::Field(name, value) => has_values(last.as_ref(), name, &[value]),
        Step::Values(name, values) => has_values(last.as_ref(), name, values),
        Step::NoField(name) => has_values(last.as_ref(), name, &[]),
        Step::Body(text) => {
            let answer = last.as_ref().context("there was no answer")?;
            ensure!(
                answer.text().contains(text),
                "the body is {:?}",
                answer.text()
            );
            Ok(())
        }
        Step::Receive(expected) => {
            let received = wire.exactly(expected.len(), PATIENCE).await?;
            ensure!(&received == expected, "received {}", escape(&received));
            Ok(())
        }
        Step::Ends(limit) => wire.ends(*limit).await,
    }
}

fn has_values(answer: Option<&Answer>, name: &str, expected: &[&str]) -> Result<()> {
    let values = answer.context("there was no answer")?.values(name);
    ensure!(
        values == expected,
        "the answer has {name}: {values:?}, not {expected:?}"
    );
    Ok(())
}

async fn expect(wire: &mut Wire, statuses: &[u16], to_head: bool) -> Result<Answer> {
    let answer = wire.answer(to_head).await?;
    let answer = answer.context("the connection ended without an answer")?;
    ensure!(
        statuses.contains(&answer.status),
        "status {} ({:?}), expected {statuses:?}",
        answer.status,
        answer.text()
    );
    Ok(answer)
}

/// Stops where the gateway does not take more: that it has had enough is what the case wants to see.
async fn trickle(wire: &mut Wire, bytes: &[u8], every: Duration) -> Result<()> {
    for byte in bytes {
        if wire.send(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(every).await;
    }
    Ok(())
}

fn judge(saw: &Saw, record: &Record) -> Result<()> {
    let count = record.requests.len();
    let first = || {
        record
            .requests
            .first()
            .context("the backend saw no request")
    };
    match saw {
        Saw::Requests(expected) => {
            ensure!(
                count == *expected,
                "the backend saw {count} requests, not {expected}"
            );
        }
        Saw::AtMost(limit) => {
            ensure!(
                count <= *limit,
                "the backend saw {count} requests, more than {limit}"
            );
        }
        Saw::Line(line) => {
            ensure!(
                first()?.line == *line,
                "the request line is {:?}",
                first()?.line
            );
        }
        Saw::Field(name, value) => has(first()?, name, &[value])?,
        Saw::LastEntry(name, start) => {
            let values = first()?.values(name);
            let last = values.last().and_then(|value| value.rsplit(", ").next());
            let ours = values.len() == 1 && last.is_some_and(|entry| entry.starts_with(start));
            ensure!(
                ours,
                "the backend got {name}: {values:?}, not {start:?} in the end"
            );
        }
        Saw::NoField(name) => has(first()?, name, &[])?,
        Saw::Body(body) => {
            ensure!(
                first()?.body == *body,
                "the body is {}",
                escape(&first()?.body)
            );
        }
        Saw::NothingEarly => {
            let early = &first()?.early;
            ensure!(
                early.is_empty(),
                "before the 101 the backend got {}",
                escape(early)
            );
        }
        Saw::After(bytes) => {
            let after = &first()?.after;
            ensure!(
                after == bytes,
                "after the 101 the backend got {}",
                escape(after)
            );
        }
    }
    Ok(())
}

fn has(seen: &Seen, name: &str, expected: &[&str]) -> Result<()> {
    let values = seen.values(name);
    ensure!(
        values == expected,
        "the backend got {name}: {values:?}, not {expected:?}"
    );
    Ok(())
}

/// A step as the report names it: long bytes are cut.
fn describe(step: &Step) -> String {
    let text = format!("{step:?}");
    match step {
        Step::Send(bytes) | Step::Receive(bytes) => {
            let name = text.split('(').next().unwrap_or_default();
            format!("{name}({})", escape(bytes))
        }
        Step::Trickle { .. }
        | Step::Finish
        | Step::Answer(_)
        | Step::AnswerToHead(_)
        | Step::BrokenAnswer(_)
        | Step::AnswerOrEnd(_)
        | Step::Field(..)
        | Step::Values(..)
        | Step::NoField(_)
        | Step::Body(_)
        | Step::Ends(_) => text,
    }
}
