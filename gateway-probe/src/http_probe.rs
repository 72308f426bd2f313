//! The probe that sends one `GET` and judges status and body.

use std::pin::pin;

use bytes::Bytes;
use gateway_core::config::ProbeMatch;
use gateway_core::health::{ProbeFailure, ProbeOutcome};
use gateway_net::dial::BackendStream;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::probe::{
    Allowance, Clock, Driven, MAX_HEAD_BYTES, Metered, Question, exchange_failure, not_to_be_sent,
    request,
};

/// The most of a body that is read in search of the text: what comes later is not found.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Of a body's framing (chunk sizes), so much is allowed on top of [`MAX_BODY_BYTES`]: as much again.
const MAX_BODY_BYTES_ON_THE_WIRE: usize = 2 * MAX_BODY_BYTES;

/// Asks over `stream`, which nobody else uses.
pub(crate) async fn ask(
    question: &Question,
    matches: &ProbeMatch,
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
            connection.alongside(sender.send_request(head(question)?)),
        )
        .await?
        .map_err(|error| exchange_failure(&error))?;
    allowance.raise(MAX_BODY_BYTES_ON_THE_WIRE);
    let status = response.status().as_u16();
    matches.judge_status(status)?;
    if !matches.needs_body() {
        return Ok(matches.judge(status, b""));
    }
    clock
        .within(
            "reading the body of the answer",
            connection.alongside(search_body(matches, response)),
        )
        .await?
}

fn head(question: &Question) -> Result<Request<Empty<Bytes>>, ProbeFailure> {
    request(question)
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::new())
        .map_err(|error| not_to_be_sent(&error))
}

/// Reads until the text is found, the body ends, or too much of it has come.
async fn search_body(
    matches: &ProbeMatch,
    response: Response<Incoming>,
) -> Result<ProbeOutcome, ProbeFailure> {
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
