//! Everything that can go wrong with one request, and whose fault it is.
//!
//! What the client is told is decided next door, in `respond`.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_core::name::PoolName;
use gateway_core::routing::NoTarget;
use gateway_core::websocket::{ConfirmError, HandshakeError};
use http::StatusCode;

use crate::refusal::HandshakeRefusal;

/// Why a request got an answer of the gateway's own making, or none.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The head is well-formed HTTP, and still not a request that may be forwarded.
    #[error("{0}")]
    BadRequest(&'static str),
    /// CONNECT and TRACE are not served (RFC 9110 sections 9.3.6 and 9.3.8).
    #[error("the method {0} is not served here")]
    Method(&'static str),
    /// An `Expect` other than `100-continue` (RFC 9110 section 10.1.1).
    #[error("the only expectation that can be met is 100-continue")]
    Expectation,
    /// A WebSocket handshake that is turned away.
    #[error("{0}")]
    Handshake(#[from] HandshakeRefusal),
    /// The request's body was silent for too long.
    #[error("the request's body did not arrive in time")]
    BodyTimeout,
    /// The request's body is not framed as RFC 9112 section 7 wants.
    #[error("the request's body is malformed")]
    BodyBroken,
    /// The client left before its answer.
    #[error("the client went away")]
    ClientGone,
    /// The client did not take its answer.
    #[error("the client did not take its answer in time")]
    ClientStalled,
    /// The request was under way when its listener or target was removed, and took too long.
    #[error("{}", TAKEN_OUT)]
    TakenOut,
    /// No listener answers for the host.
    #[error("no listener answers for this host")]
    NoListener,
    /// A listener answers for the host, and no rule leads on.
    #[error("the listener for this host has no rule")]
    NoRule,
    /// No member of the pool can be had.
    #[error("no healthy target in pool {pool}: {reason}")]
    NoTarget {
        /// Which pool.
        pool: PoolName,
        /// Empty, all down, all tried.
        reason: NoTarget,
        /// 502, or 503 where the HTTP settings say so.
        status: StatusCode,
    },
    /// Connecting to the target failed.
    #[error("the backend cannot be reached")]
    Connect {
        /// Which target.
        target: SocketAddr,
        /// Refused, unreachable, bad certificate ...
        #[source]
        source: gateway_net::dial::DialError,
    },
    /// Connecting to the target took too long.
    #[error("the backend did not accept a connection in time")]
    ConnectTimeout {
        /// Which target.
        target: SocketAddr,
    },
    /// The backend's TLS needs a name that the request does not give.
    #[error("the backend's TLS has no usable server name")]
    ServerName,
    /// The connection ended before an answer came.
    #[error("the backend closed the connection before answering")]
    BackendClosed,
    /// The answer is not HTTP.
    #[error("the backend's answer is not valid HTTP")]
    BackendMalformed,
    /// A 101 to a request that did not ask for one.
    #[error("the backend switched protocols without being asked")]
    UnexpectedUpgrade,
    /// A 101 that does not fit the handshake.
    #[error("{0}")]
    Confirm(#[from] ConfirmError),
    /// No answer within `requestTimeout`.
    #[error("the backend did not answer within {} s", .after.as_secs())]
    RequestTimeout {
        /// The HTTP settings' `requestTimeout`.
        after: Duration,
    },
}

/// What a client is told whose request outlived its listener or target.
pub(crate) const TAKEN_OUT: &str = "what served this request was taken out of service";

/// Whose fault a failure is: a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Client,
    /// The gateway's, or its configuration's.
    Gateway,
    /// The backend's.
    Backend,
}

impl From<HandshakeError> for ProxyError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(HandshakeRefusal::Malformed(error))
    }
}

impl ProxyError {
    /// Whose fault it is.
    pub fn side(&self) -> Side {
        match self {
            Self::BadRequest(_)
            | Self::Method(_)
            | Self::Expectation
            | Self::BodyTimeout
            | Self::BodyBroken
            | Self::ClientGone
            | Self::ClientStalled => Side::Client,
            Self::NoListener | Self::NoRule | Self::TakenOut | Self::ServerName => Side::Gateway,
            Self::Handshake(refusal) => refusal.side(),
            Self::NoTarget { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::BackendClosed
            | Self::BackendMalformed
            | Self::UnexpectedUpgrade
            | Self::Confirm(_)
            | Self::RequestTimeout { .. } => Side::Backend,
        }
    }

    /// The status that the client sees; 499 is only ever logged.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::Handshake(refusal) => refusal.status(),
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ClientGone | Self::ClientStalled => client_closed_request(),
            Self::NoListener | Self::NoRule => StatusCode::NOT_FOUND,
            Self::TakenOut => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoTarget { status, .. } => *status,
            Self::Connect { .. }
            | Self::ServerName
            | Self::BackendClosed
            | Self::BackendMalformed
            | Self::UnexpectedUpgrade
            | Self::Confirm(_) => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout { .. } | Self::RequestTimeout { .. } => {
                StatusCode::GATEWAY_TIMEOUT
            }
        }
    }

    /// Application Gateway's word for it in the access log (reference: `error_info`).
    pub(crate) fn error_info(&self) -> &'static str {
        match self {
            Self::BadRequest(_)
            | Self::Expectation
            | Self::Handshake(HandshakeRefusal::Malformed(_))
            | Self::BodyTimeout
            | Self::BodyBroken => "ERRORINFO_INVALID_REQUEST",
            Self::Method(_) => "ERRORINFO_INVALID_METHOD",
            Self::ClientGone | Self::ClientStalled => "ERRORINFO_CLIENT_CLOSED_REQUEST",
            Self::NoListener => "ERRORINFO_INVALID_HOST",
            Self::NoRule | Self::Handshake(_) | Self::ServerName => "ERRORINFO_GATEWAY_REFUSED",
            Self::NoTarget { .. } | Self::TakenOut => "ERRORINFO_UPSTREAM_NO_LIVE",
            Self::Connect { .. }
            | Self::BackendClosed
            | Self::BackendMalformed
            | Self::UnexpectedUpgrade
            | Self::Confirm(_) => "ERRORINFO_UPSTREAM_CLOSED_CONNECTION",
            Self::ConnectTimeout { .. } | Self::RequestTimeout { .. } => {
                "ERRORINFO_UPSTREAM_TIMED_OUT"
            }
        }
    }
}

/// 499: the client left; never on the wire.
fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).expect("499 is within 100..1000")
}

impl Side {
    /// As a metric's label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Backend => "backend",
        }
    }
}
