//! Reading a request's body: bounded in size and time, and liberal about its declared type.

use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use gateway_core::resource::JsonTree;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::AdminError;

/// How long a body may take to arrive: a slow sender keeps nothing but its own connection, yet
/// should not keep that for good.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A body of so many bytes is parsed in less than a millisecond. Another thread would first have to be
/// woken, which takes longer where the machine is busy.
const PARSED_AT_ONCE: usize = 16 << 10;

/// The body as a tree that knows its places, within a turn that is to be kept until the write is
/// done: trees are many times larger than their text.
pub(crate) async fn read_json<'t>(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    turns: &'t Semaphore,
) -> Result<(JsonTree, SemaphorePermit<'t>), AdminError> {
    let text = read_text(headers, body, limit).await?;
    let turn = turns.acquire().await;
    let turn = turn.expect("the semaphore is never closed");
    if text.len() <= PARSED_AT_ONCE {
        return Ok((
            JsonTree::parse(&text).map_err(AdminError::InvalidJson)?,
            turn,
        ));
    }
    // A body of megabytes must not keep the runtime from probes and other requests.
    let parsing = tokio::task::spawn_blocking(move || JsonTree::parse(&text));
    match parsing.await {
        Ok(parsed) => Ok((parsed.map_err(AdminError::InvalidJson)?, turn)),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

pub(crate) async fn read_text(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<String, AdminError> {
    accepts(headers)?;
    if body.size_hint().lower() > limit as u64 {
        // Before it is read: a client that waits for 100 Continue need not send it at all.
        return Err(AdminError::BodyTooLarge { limit });
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, limit));
    let bytes = match read.await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) if is_over_limit(&error) => return Err(AdminError::BodyTooLarge { limit }),
        Ok(Err(_)) => return Err(AdminError::BodyBroken),
        Err(_) => {
            let seconds = BODY_TIMEOUT.as_secs();
            return Err(AdminError::BodyTimeout { seconds });
        }
    };
    String::from_utf8(bytes.into()).map_err(|error| AdminError::NotUtf8 {
        at: error.utf8_error().valid_up_to(),
    })
}

/// `curl -d` says `application/x-www-form-urlencoded`, `curl -T` says nothing: what matters is
/// whether the body is JSON, and its parser says that better. No safety lies in the type: a page
/// of another site is known by its `Origin`, and could not send a PUT or DELETE unasked anyway.
/// Types that can only be a mistake are refused by name.
fn accepts(headers: &HeaderMap) -> Result<(), AdminError> {
    if let Some(coding) = headers.get(CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let coding = String::from_utf8_lossy(coding.as_bytes()).into_owned();
        return Err(AdminError::UnsupportedContentCoding(coding));
    }
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let refused =
        || AdminError::UnsupportedMediaType(String::from_utf8_lossy(value.as_bytes()).into_owned());
    let value = value.to_str().map_err(|_| refused())?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    let taken = essence == "application/json"
        || essence.ends_with("+json")
        || essence.starts_with("text/")
        || essence == "application/x-www-form-urlencoded"
        || essence == "application/octet-stream";
    if taken { Ok(()) } else { Err(refused()) }
}

fn is_over_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}
