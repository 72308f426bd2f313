//! Everything that the API refuses, as a type; `problem` makes answers of it.

use gateway_core::config::ConfigProblems;
use http::StatusCode;

use crate::control::{ApplyError, CannotRebalance, NoSuchTarget};

/// Why a request is refused. `Display` is what the client reads.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// The process refuses the write.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A removal that would leave something without what it refers to.
    #[error("{resource} cannot be deleted while something refers to it")]
    InUse {
        resource: String,
        problems: ConfigProblems,
    },
    /// The body is no JSON.
    #[error("the body is not valid JSON")]
    InvalidJson(ConfigProblems),
    #[error("the body is not UTF-8: byte {at} is the first that is not")]
    NotUtf8 { at: usize },
    #[error("the body is longer than {limit} bytes")]
    BodyTooLarge { limit: usize },
    #[error("the body did not arrive within {seconds} seconds")]
    BodyTimeout { seconds: u64 },
    #[error("the body broke off")]
    BodyBroken,
    #[error("a body of type {0:?} is not read; send JSON as application/json")]
    UnsupportedMediaType(String),
    #[error("a body in content coding {0:?} is not read; send it as it is")]
    UnsupportedContentCoding(String),

    #[error("nothing is at {path}; GET / lists what there is")]
    NoSuchPath { path: String },
    #[error("no collection is named {name:?}; there are: {known}")]
    NoSuchCollection { name: String, known: String },
    #[error("no {collection} named {name:?}")]
    NoSuchResource {
        collection: &'static str,
        name: String,
    },
    #[error(transparent)]
    NoSuchTarget(#[from] NoSuchTarget),
    #[error(transparent)]
    CannotRebalance(#[from] CannotRebalance),
    #[error("no connection {id:?} is open")]
    NotOpen { id: String },
    #[error("no drain {id:?} is known; GET /v1/drains lists those that run and the last ones")]
    NoSuchDrain { id: String },
    #[error("the body is not understood: {0}")]
    BadBody(String),
    #[error("there is no configuration yet; PUT one to /v1/config")]
    NoConfiguration,
    #[error("{method} is not for {path}; {hint}")]
    MethodNotAllowed {
        method: http::Method,
        path: String,
        hint: &'static str,
    },
    #[error("the query is not understood: {0}")]
    BadQuery(String),

    /// `If-Match` or `If-None-Match` that no tag can be read from, or that we do not serve.
    #[error("{field} is not understood: {reason}")]
    BadPrecondition {
        field: &'static str,
        reason: &'static str,
    },
    /// On a read; writes have [`ApplyError::PreconditionFailed`].
    #[error("If-Match does not hold")]
    PreconditionFailed { current: String },

    #[error("the request must have one Host")]
    BadHost,
    #[error(
        "this API is not called {host:?}; use its address or localhost, or have the name allowed"
    )]
    HostNotAllowed { host: String },
    #[error("requests from pages of {origin} are refused")]
    CrossOrigin { origin: String },
    #[error("a bearer token is needed: Authorization: Bearer TOKEN")]
    TokenMissing,
    #[error("the bearer token is not the one configured")]
    TokenWrong,

    #[error("as many listen to events as can be served; end one of them, or come back later")]
    TooManyReaders,
    #[error("not ready: {0}")]
    NotReady(String),
    #[error("the request made the gateway's API fail; its log has the cause under the request id")]
    Panicked,
    /// What the HTTP framework refuses before a handler sees it.
    #[error("{text}")]
    Framework { status: StatusCode, text: String },
}
