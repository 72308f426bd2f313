//! The backend's side of a request: a connection from the worker's pool or a new one, the request
//! sent, the answer's head awaited.

mod connection;
pub(crate) mod expect;
mod pool;
mod unreachable;

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use gateway_core::snapshot::Target;
use gateway_net::dial::{BackendTlsName, DialError};
use http::{HeaderMap, Method, Request, Response, Uri};
use hyper::body::Incoming;

use crate::body::{BodyFailure, RequestBody, Upload};
use crate::client_connection::Context;
use crate::error::ProxyError;

use connection::BackendConnection;
pub(crate) use connection::{BackendIo, BackendTls};
pub(crate) use pool::{Lease, Pool};
pub(crate) use unreachable::Unreachable;

/// How long a target may take to accept a connection, TLS included, within `requestTimeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that did not get an answer.
pub(crate) struct Unanswered {
    /// Why.
    pub(crate) error: ProxyError,
    /// The request, where it may go again: it never left, or it is idempotent, without a body, and
    /// the connection was an old one that closed before a byte of answer (RFC 9110 section 9.2.2).
    pub(crate) again: Option<Request<RequestBody>>,
    /// The target itself is in doubt, not only an old connection to it.
    pub(crate) suspect: bool,
}

/// Sends `request` to `target` and waits for the head of its answer. `fresh` passes the pool by.
pub(crate) async fn send(
    context: &Context,
    target: &Target,
    tls: Option<BackendTls<'_>>,
    mut request: Request<RequestBody>,
    upload: &Rc<Upload>,
    limit: Duration,
    fresh: bool,
) -> Result<(Response<Incoming>, Lease), Unanswered> {
    let pool = &context.worker.pool;
    let mut fresh = fresh;
    loop {
        let pooled = if fresh {
            None
        } else {
            pool.take(target.health.id, tls.as_ref())
        };
        let reused = pooled.is_some();
        let mut connection = match pooled {
            Some(connection) => connection,
            None => match connect_somehow(pool, target, tls.as_ref(), limit).await {
                Ok(connection) => connection,
                Err(error) => {
                    return Err(Unanswered {
                        suspect: !is_our_own_want(&error),
                        error,
                        again: Some(request),
                    });
                }
            },
        };
        let counts = context.worker.metrics();
        let count = if reused {
            &counts.backend_reused
        } else {
            &counts.backend_opened
        };
        count.add(1);
        let spare = reused.then(|| Spare::of(&request)).flatten();
        let asked = Instant::now();
        let answer = connection.send(request);
        match within(context, answer, asked, upload, limit).await {
            Some(Ok(response)) => {
                return Ok((response, pool.lease(target.health.id, connection)));
            }
            Some(Err(mut failed)) => match failed.take_message() {
                // It never left: an old connection had closed, which says nothing of the target.
                Some(unsent) if reused => {
                    request = unsent;
                    fresh = pool.is_empty(target.health.id);
                }
                unsent => {
                    let heard = connection.has_heard();
                    let error = judge(failed.error(), upload);
                    let closed = matches!(error, ProxyError::BackendClosed);
                    return Err(Unanswered {
                        again: unsent.or_else(|| match spare {
                            Some(spare) if closed && !heard => Some(spare.into_request(context)),
                            _ => None,
                        }),
                        suspect: closed && !reused && !heard,
                        error,
                    });
                }
            },
            None => {
                return Err(Unanswered {
                    error: ProxyError::RequestTimeout { after: limit },
                    again: None,
                    suspect: false,
                });
            }
        }
    }
}

/// Whether there was no connection for want of descriptors, ports or memory here, which says nothing
/// of the target.
fn is_our_own_want(error: &ProxyError) -> bool {
    let ProxyError::Connect { source, .. } = error else {
        return false;
    };
    matches!(source, DialError::Exhausted { .. })
}

/// Connects, if need be at the cost of what lies idle.
async fn connect_somehow(
    pool: &Pool,
    target: &Target,
    tls: Option<&BackendTls<'_>>,
    limit: Duration,
) -> Result<BackendConnection, ProxyError> {
    match connect(target, tls.map(BackendTls::to_name), limit).await {
        Err(error) if is_our_own_want(&error) => {
            pool.close_idle();
            // Their tasks close the sockets when they get a turn.
            tokio::task::yield_now().await;
            connect(target, tls.map(BackendTls::to_name), limit).await
        }
        done => done,
    }
}

async fn connect(
    target: &Target,
    tls: Option<BackendTlsName>,
    limit: Duration,
) -> Result<BackendConnection, ProxyError> {
    let connecting = BackendConnection::open(target.address, tls);
    match tokio::time::timeout(CONNECT_TIMEOUT.min(limit), connecting).await {
        Ok(done) => done,
        Err(_) => Err(ProxyError::ConnectTimeout {
            target: target.address,
        }),
    }
}

/// Waits for `answer`, at most `limit` after the request's body last moved on.
async fn within<F: Future>(
    context: &Context,
    answer: F,
    asked: Instant,
    upload: &Upload,
    limit: Duration,
) -> Option<F::Output> {
    let mut answer = pin!(answer);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        let since = asked.max(upload.moved_at.get());
        ready!(context.poll_answer_deadline(cx, since + limit));
        Poll::Ready(None)
    })
    .await
}

/// Whose fault it was that no head came.
fn judge(error: &hyper::Error, upload: &Upload) -> ProxyError {
    match upload.failure.get() {
        Some(BodyFailure::Timeout) => ProxyError::BodyTimeout,
        Some(BodyFailure::Broken) => ProxyError::BodyBroken,
        Some(BodyFailure::Gone) => ProxyError::ClientGone,
        None if error.is_parse() => ProxyError::BackendMalformed,
        None => ProxyError::BackendClosed,
    }
}

/// What is kept of a request that may be sent once more.
struct Spare {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Spare {
    fn of(request: &Request<RequestBody>) -> Option<Self> {
        let replayable =
            matches!(request.body(), RequestBody::Empty) && request.method().is_idempotent();
        replayable.then(|| Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        })
    }

    fn into_request(self, context: &Context) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::Empty);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        context.relay_interim(&mut request, None);
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn only_what_is_wrong_with_the_target_makes_it_suspect() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let exhausted = DialError::Exhausted {
            address,
            source: std::io::ErrorKind::Other.into(),
        };
        let refused = DialError::Refused { address };
        for (source, ours) in [(exhausted, true), (refused, false)] {
            let target = address;
            let error = ProxyError::Connect { target, source };
            assert_eq!(is_our_own_want(&error), ours, "{error:?}");
        }
    }
}
