//! Runs one wire case: the steps, then a sentinel request, then the look at what the backend saw.
//!
//! The sentinel is what makes absence visible: when it is answered, every byte that the gateway had
//! accepted before has had its chance to reach the backend, and a connection to the backend that was
//! left in a wrong state has had its chance to be used again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustls::ClientConfig;

use crate::harness::front::Front;
use crate::harness::recorder::{Record, Recorder, Seen};
use crate::harness::wire::{Answer, Wire, escape};
use crate::harness::{PATIENCE, until};
use crate::scenario::{Saw, Stage, Step, Transport, WireCase};
use crate::tunnel_play::Ends;

/// The system under test before one recording backend.
pub(crate) struct Lane {
    pub(crate) front: Front,
    recorder: Recorder,
    client: Arc<ClientConfig>,
}

impl Lane {
    pub(crate) async fn open(stage: &Stage) -> Result<Self> {
        let recorder = Recorder::start().await?;
        Ok(Self {
            front: Front::open(stage, recorder.address).await?,
            recorder,
            client: Arc::clone(&stage.certificates.client),
        })
    }

    /// Runs `case`; the bytes are in the transcript of its scene.
    pub(crate) async fn run(&self, case: &WireCase) -> Result<()> {
        self.recorder.reset(case.reply.clone());
        let mut wire = match case.transport {
            Transport::Plain => Wire::plain(self.front.plain).await?,
            Transport::PlainToTls => Wire::plain(self.front.tls).await?,
            Transport::Tls => Wire::tls(self.front.tls, Arc::clone(&self.client)).await?,
        };
        let mut backend = None;
        let outcome = self.judge(case, &mut wire, &mut backend).await;
        self.recorder.forget();
        outcome
    }

    async fn judge(
        &self,
        case: &WireCase,
        wire: &mut Wire,
        backend: &mut Option<Wire>,
    ) -> Result<()> {
        let mut last = None;
        let mut attacked = None;
        for step in &case.steps {
            let taken = if let Step::Tunnel(end, what) = step {
                let client = &mut *wire;
                let mut ends = Ends { client, backend };
                ends.play(*end, what, &self.recorder).await
            } else if let Step::Attack(attack) = step {
                let played = attack.play(wire).await;
                played.map(|ended| attacked = Some((attack, ended)))
            } else {
                take(step, wire, &mut last).await
            };
            taken.with_context(|| format!("step {}", describe(step)))?;
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
        attacked.map_or(Ok(()), |(attack, ended)| attack.judge(&ended, &record))
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
        let mut wire = Wire::plain(self.front.plain).await?;
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
        Step::Tunnel(..) | Step::Attack(_) => bail!("it is no step of the client's alone"),
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
        Saw::Token(name, token) => {
            let values = first()?.values(name).join(",");
            let mut tokens = values.split(',').map(str::trim);
            ensure!(
                tokens.any(|found| found.eq_ignore_ascii_case(token)),
                "the backend got {name}: {values:?}, without {token:?}"
            );
        }
        Saw::List(name, list) => {
            let values = first()?.values(name).join(", ");
            ensure!(values == *list, "the backend got {name}: {values:?}");
        }
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
        Step::Tunnel(end, what) => format!("{end:?} {}", what.told()),
        Step::Attack(_) => "attack".to_owned(),
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
