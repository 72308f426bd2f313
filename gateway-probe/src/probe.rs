//! One probe: one question over a connection of its own, judged within a time limit.
//!
//! Here is what all probes have in common; what is asked over the connection is in
//! [`http_probe`] and [`websocket_probe`]. The backend is
//! hostile: what is read of its answer is bounded, and so is the time for it.

mod failure;
mod metered;

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use gateway_core::config::ProbeAsks;
use gateway_core::health::{ProbeFailure, ProbeOutcome, ProbePlan, ProbeRequest};
use gateway_net::dial::{self, BackendStream, BackendTlsName};
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, request};
use tokio::time::{Instant, timeout_at};

use crate::{http_probe, websocket_probe};
use failure::NoStream;
pub(crate) use failure::{exchange_failure, io_failure};
pub(crate) use metered::{Allowance, Metered};

/// The most that an answer's head may take, interim answers (1xx) included.
pub(crate) const MAX_HEAD_BYTES: usize = 64 * 1024;

const AGENT: HeaderValue = HeaderValue::from_static("gateway-probe");

/// What a probe is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    pub(crate) plan: Arc<ProbePlan>,
    pub(crate) request: ProbeRequest,
    /// How TLS is spoken, where the plan wants it.
    pub(crate) tls: Option<BackendTlsName>,
}

/// What came of a probe.
#[derive(Debug)]
pub(crate) enum Probed {
    /// The target was asked.
    Asked(ProbeOutcome),
    /// It was not, for want of descriptors or memory here: says nothing of the target.
    NotAsked(io::Error),
}

/// Asks once.
pub(crate) async fn probe(question: &Question) -> Probed {
    let clock = Clock {
        limit: question.plan.timeout,
        deadline: Instant::now() + question.plan.timeout,
    };
    let stream = match connect(question, &clock).await {
        Ok(stream) => stream,
        Err(NoStream::Failed(failure)) => return Probed::Asked(ProbeOutcome::Failed(failure)),
        Err(NoStream::Exhausted(error)) => return Probed::NotAsked(error),
    };
    let outcome = match &question.plan.asks {
        ProbeAsks::Get(matches) => http_probe::ask(question, matches, stream, &clock).await,
        ProbeAsks::WebSocket { subprotocol } => {
            websocket_probe::ask(question, subprotocol.as_deref(), stream, &clock).await
        }
    };
    Probed::Asked(outcome.unwrap_or_else(ProbeOutcome::Failed))
}

/// The probe's time, all steps together.
pub(crate) struct Clock {
    limit: Duration,
    deadline: Instant,
}

impl Clock {
    pub(crate) async fn within<T>(
        &self,
        doing: &'static str,
        step: impl Future<Output = T>,
    ) -> Result<T, ProbeFailure> {
        timeout_at(self.deadline, step)
            .await
            .map_err(|_| ProbeFailure::Timeout {
                after: self.limit,
                doing,
            })
    }
}

async fn connect(question: &Question, clock: &Clock) -> Result<BackendStream, NoStream> {
    let address = question.request.address;
    let tcp = clock
        .within("connecting", dial::connect_tcp(address))
        .await
        .map_err(NoStream::Failed)?
        .map_err(NoStream::from)?;
    match (question.plan.tls, &question.tls) {
        (false, _) => Ok(BackendStream::Plain(tcp)),
        (true, Some(tls)) => clock
            .within("shaking hands for TLS", dial::handshake(address, tcp, tls))
            .await
            .map_err(NoStream::Failed)?
            .map_err(NoStream::from),
        // Never in the clear for want of a configuration.
        (true, None) => Err(NoStream::Failed(ProbeFailure::Tls {
            reason: "no configuration for it is loaded".to_owned(),
        })),
    }
}

/// The request of any probe, but for what makes it this one.
pub(crate) fn request(question: &Question) -> request::Builder {
    Request::builder()
        .method(Method::GET)
        .uri(question.plan.path.as_str())
        .header(HOST, question.request.host.as_str())
        .header(USER_AGENT, AGENT)
}

/// What the configuration has and HTTP does not: [`request()`] cannot be built.
pub(crate) fn not_to_be_sent(error: &http::Error) -> ProbeFailure {
    ProbeFailure::Malformed {
        reason: format!("the probe itself cannot be sent: {error}"),
    }
}

/// A connection that is polled while something else on it is waited for.
pub(crate) struct Driven<'c, C> {
    connection: Pin<&'c mut C>,
    ended: bool,
}

impl<'c, C: Future> Driven<'c, C> {
    pub(crate) fn new(connection: Pin<&'c mut C>) -> Self {
        Self {
            connection,
            ended: false,
        }
    }

    pub(crate) async fn alongside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                // How it ended, the work is told.
                _ = &mut self.connection, if !self.ended => self.ended = true,
            }
        }
    }
}
