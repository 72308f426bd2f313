//! Plays an attack, and compares what happened with what may happen.

use anyhow::{Context, Result, bail, ensure};

use super::{Attack, Claim, Expected, Outcome};
use crate::harness::PATIENCE;
use crate::harness::recorder::Record;
use crate::harness::wire::{Answer, Wire};

/// What the client has seen of an attack.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    answers: Vec<Expected>,
    closed: bool,
    last: Option<Answer>,
}

impl Attack {
    /// Sends the bytes, and reads answers for as long as one of the allowed outcomes has more to come.
    pub(crate) async fn play(&self, wire: &mut Wire) -> Result<Ended> {
        // That the gateway has had enough before the last byte is an outcome like others.
        let _ = wire.send(&self.send).await;
        let mut ended = Ended::default();
        loop {
            let mut possible = self
                .allowed
                .iter()
                .filter(|outcome| ended.may_become(outcome));
            ensure!(
                possible.clone().next().is_some(),
                "the client got {}; allowed {}",
                ended.told(),
                self.allowed()
            );
            if !possible.any(|outcome| ended.lacks(outcome)) {
                return Ok(ended);
            }
            let waits = || {
                format!(
                    "so far {}, of what is allowed: {}",
                    ended.told(),
                    self.allowed()
                )
            };
            match wire
                .answer_within(self.send.starts_with(b"HEAD "), PATIENCE)
                .await
            {
                Ok(Some(answer)) => ended.take(answer),
                Ok(None) => ended.closed = true,
                Err(error) => return Err(error.context(waits())),
            }
        }
    }

    /// Judges what the client and the backend have seen together.
    pub(crate) fn judge(&self, ended: &Ended, record: &Record) -> Result<()> {
        let requests: Vec<String> = record
            .requests
            .iter()
            .map(|seen| seen.line.trim_end_matches(" HTTP/1.1").to_owned())
            .collect();
        let allowed = self.allowed.iter().any(|outcome| {
            ended.may_become(outcome) && !ended.lacks(outcome) && outcome.requests == requests
        });
        ensure!(
            allowed,
            "the client got {} and the backend saw {requests:?}; allowed {}",
            ended.told(),
            self.allowed()
        );
        if let Some(answer) = &ended.last {
            for claim in &self.client {
                let body = answer.text();
                holds(claim, |name| answer.values(name), &body).context("the client's answer")?;
            }
        }
        if let Some(seen) = record.requests.first() {
            let body = String::from_utf8_lossy(&seen.body);
            for claim in &self.backend {
                holds(claim, |name| seen.values(name), &body).context("the backend's request")?;
            }
        }
        Ok(())
    }

    fn allowed(&self) -> String {
        let told = self.allowed.iter().map(|outcome| {
            let answers = told(&outcome.answers, outcome.closes);
            format!("{answers} with {:?}", outcome.requests)
        });
        format!("{} ({})", told.collect::<Vec<_>>().join(", or "), self.why)
    }
}

impl Ended {
    fn take(&mut self, answer: Answer) {
        self.answers.push(Expected {
            status: answer.status,
            broken: answer.broken.is_some(),
        });
        self.last = Some(answer);
    }

    fn may_become(&self, outcome: &Outcome) -> bool {
        if self.closed {
            return outcome.closes && outcome.answers == self.answers;
        }
        outcome.answers.starts_with(&self.answers)
    }

    fn lacks(&self, outcome: &Outcome) -> bool {
        !self.closed
            && self.may_become(outcome)
            && (outcome.answers.len() > self.answers.len() || outcome.closes)
    }

    fn told(&self) -> String {
        told(&self.answers, self.closed)
    }
}

/// As a file has it.
pub(super) fn told(answers: &[Expected], closes: bool) -> String {
    let mut words: Vec<String> = Vec::new();
    for answer in answers {
        let broken = if answer.broken { " broken" } else { "" };
        words.push(format!("{}{broken}", answer.status));
    }
    if closes {
        words.push("close".to_owned());
    }
    if words.is_empty() {
        words.push("nothing".to_owned());
    }
    words.join(" ")
}

fn holds<'a>(claim: &Claim, values: impl Fn(&str) -> Vec<&'a str>, body: &str) -> Result<()> {
    match claim {
        Claim::Field(name, value) => {
            let values = values(name);
            ensure!(
                values == [value.as_str()],
                "{name} is {values:?}, not {value:?}"
            );
        }
        Claim::NoField(name) => {
            let values = values(name);
            ensure!(
                values.is_empty(),
                "{name} is {values:?}, and should not be there"
            );
        }
        Claim::Body(text) if body == text => {}
        Claim::Body(text) => bail!("the body is {body:?}, not {text:?}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
