//! One probe: one `GET` over a connection of its own, judged within a time limit.
//!
//! The backend is hostile: what is read of its answer is bounded, and so is the time for it.

mod failure;
mod metered;

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway_core::config::ProbeProtocol;
use gateway_core::health::{ProbeFailure, ProbeOutcome, ProbePlan, ProbeRequest};
use gateway_net::dial::{self, BackendStream, BackendTlsName};
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout_at};

use failure::{NoStream, exchange_failure};
use metered::{Allowance, Metered};

/// The most that an answer's head may take, interim answers (1xx) included.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most of a body that is read in search of the text: what comes later is not found.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Of a body's framing (chunk sizes), so much is allowed on top of [`MAX_BODY_BYTES`]: as much again.
const MAX_BODY_BYTES_ON_THE_WIRE: usize = 2 * MAX_BODY_BYTES;

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
    let outcome = exchange(question, stream, &clock).await;
    Probed::Asked(outcome.unwrap_or_else(ProbeOutcome::Failed))
}

/// The probe's time, all steps together.
struct Clock {
    limit: Duration,
    deadline: Instant,
}

impl Clock {
    async fn within<T>(
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
    match (question.plan.protocol, &question.tls) {
        (ProbeProtocol::Http, _) => Ok(BackendStream::Plain(tcp)),
        (ProbeProtocol::Https, Some(tls)) => clock
            .within("shaking hands for TLS", dial::handshake(address, tcp, tls))
            .await
            .map_err(NoStream::Failed)?
            .map_err(NoStream::from),
        // Never in the clear for want of a configuration.
        (ProbeProtocol::Https, None) => Err(NoStream::Failed(ProbeFailure::Tls {
            reason: "no configuration for it is loaded".to_owned(),
        })),
    }
}

async fn exchange(
    question: &Question,
    stream: BackendStream,
    clock: &Clock,
) -> Result<ProbeOutcome, ProbeFailure> {
    let allowance = Allowance::new(MAX_HEAD_BYTES);
    let io = TokioIo::new(Metered::new(stream, allowance.clone()));
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake::<_, Empty<Bytes>>(io)
        .await
        .map_err(|error| exchange_failure(&error))?;
    // Polled here and not in a task of its own: when the probe ends, so does its connection.
    let connection = pin!(connection);
    let mut connection = Driven::new(connection);
    let response = clock
        .within(
            "waiting for the head of the answer",
            connection.alongside(sender.send_request(head(&question.request, &question.plan)?)),
        )
        .await?
        .map_err(|error| exchange_failure(&error))?;
    allowance.raise(MAX_BODY_BYTES_ON_THE_WIRE);
    let status = response.status().as_u16();
    let matches = &question.plan.matches;
    matches.judge_status(status)?;
    if !matches.needs_body() {
        return Ok(matches.judge(status, b""));
    }
    clock
        .within(
            "reading the body of the answer",
            connection.alongside(search_body(question, response)),
        )
        .await?
}

fn head(request: &ProbeRequest, plan: &ProbePlan) -> Result<Request<Empty<Bytes>>, ProbeFailure> {
    Request::builder()
        .method(Method::GET)
        .uri(plan.path.as_str())
        .header(HOST, request.host.as_str())
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::new())
        .map_err(|error| ProbeFailure::Malformed {
            reason: format!("the probe itself cannot be sent: {error}"),
        })
}

/// Reads until the text is found, the body ends, or too much of it has come.
async fn search_body(
    question: &Question,
    response: Response<Incoming>,
) -> Result<ProbeOutcome, ProbeFailure> {
    let matches = &question.plan.matches;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut read: Vec<u8> = Vec::new();
    while read.len() < MAX_BODY_BYTES {
        let Some(frame) = body.frame().await else {
            break;
        };
        let frame = frame.map_err(|error| exchange_failure(&error))?;
        if let Some(data) = frame.data_ref() {
            // The text may have begun at the end of what came before.
            let from = read.len().saturating_sub(matches.body.len());
            read.extend_from_slice(&data[..data.len().min(MAX_BODY_BYTES - read.len())]);
            let outcome = matches.judge(status, &read[from..]);
            if matches!(outcome, ProbeOutcome::Healthy { .. }) {
                return Ok(outcome);
            }
        }
    }
    Ok(matches.judge(status, b""))
}

/// A connection that is polled while something else on it is waited for.
struct Driven<'c, C> {
    connection: Pin<&'c mut C>,
    ended: bool,
}

impl<'c, C: Future> Driven<'c, C> {
    fn new(connection: Pin<&'c mut C>) -> Self {
        Self {
            connection,
            ended: false,
        }
    }

    async fn alongside<T>(&mut self, work: impl Future<Output = T>) -> T {
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
