//! The one place where errors become answers: problem details (RFC 9457) with ARM's `error` object
//! inside, so that both kinds of client are served.

use axum::response::{IntoResponse, Response};
use gateway_core::config::{ConfigProblem, ConfigProblems, Severity};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, ETAG, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

use crate::answer::{entity_tag, json_text};
use crate::control::{ApplyError, CannotRebalance};
use crate::error::AdminError;

/// An error: problem details (RFC 9457), with Azure Resource Manager's `error` beside them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// Always `about:blank`: `error.code` says which kind of problem it is.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Bad Request")]
    title: &'static str,
    /// The status of the answer.
    #[schema(example = 400)]
    status: u16,
    /// What is wrong, in a sentence.
    #[schema(example = "the document has 1 error(s)")]
    detail: String,
    /// The path of the request.
    #[schema(example = "/v1/config")]
    instance: String,
    /// The gateway's log has the cause under this id; also in `X-Request-Id`.
    #[schema(example = "9f86d081884c7d65")]
    request_id: String,
    /// The same for clients of Azure Resource Manager, and every finding.
    error: ErrorBody,
}

/// Azure Resource Manager's error object.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What programs branch on.
    #[schema(example = "InvalidDocument")]
    code: &'static str,
    /// As `detail`.
    message: String,
    /// The path of the request.
    target: String,
    /// Every finding in the body that was sent, in its order.
    details: Vec<Finding>,
}

/// One finding in a document: an error refuses it, a warning does not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Finding {
    /// `error` or `warning`.
    #[schema(value_type = String, example = "error")]
    severity: &'static str,
    /// What kind of finding it is; `docs/errors.md` lists them.
    #[schema(value_type = String, example = "InvalidResourceReference")]
    code: &'static str,
    /// JSON pointer (RFC 6901) into the body that was sent.
    #[schema(example = "/properties/httpListeners/0/properties/frontendPort/id")]
    target: String,
    /// Line in the body, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 12)]
    line: Option<usize>,
    /// Column in the line, in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 31)]
    column: Option<usize>,
    /// What is wrong.
    message: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl From<&ConfigProblem> for Finding {
    fn from(problem: &ConfigProblem) -> Self {
        Self {
            severity: match problem.severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
            },
            code: problem.code,
            target: problem.pointer.clone(),
            line: problem.position.map(|position| position.line),
            column: problem.position.map(|position| position.column),
            message: problem.message.clone(),
            remedy: problem.remedy.clone(),
        }
    }
}

/// Findings as they go out.
pub(crate) fn findings(problems: &[ConfigProblem]) -> Vec<Finding> {
    problems.iter().map(Finding::from).collect()
}

/// An error on its way out, kept in the answer's extensions until [`render`] knows the request.
#[derive(Clone)]
pub(crate) struct Refused(Arc<AdminError>);

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = status.into_response();
        self.add_headers(response.headers_mut());
        response.extensions_mut().insert(Refused(Arc::new(self)));
        response
    }
}

/// Whether an answer is an error of ours, still without its body.
pub(crate) fn is_refusal(response: &Response) -> bool {
    response.extensions().get::<Refused>().is_some()
}

/// Gives a refusal its body; other answers pass. `path` and `request_id` are the request's.
pub(crate) fn render(mut response: Response, path: &str, request_id: &str) -> Response {
    let Some(Refused(error)) = response.extensions_mut().remove::<Refused>() else {
        return response;
    };
    let status = response.status();
    let detail = error.to_string();
    let problem = Problem {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: detail.clone(),
        instance: path.to_owned(),
        request_id: request_id.to_owned(),
        error: ErrorBody {
            code: error.code(),
            message: detail,
            target: path.to_owned(),
            details: error
                .problems()
                .map_or_else(Vec::new, |all| findings(&all.0)),
        },
    };
    *response.body_mut() = json_text(&problem).into();
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}

impl AdminError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Apply(error) => apply_status(error),
            Self::InvalidJson(_)
            | Self::NotUtf8 { .. }
            | Self::BodyBroken
            | Self::BadQuery(_)
            | Self::BadBody(_)
            | Self::BadPrecondition { .. }
            | Self::BadHost => StatusCode::BAD_REQUEST,
            Self::TokenMissing | Self::TokenWrong => StatusCode::UNAUTHORIZED,
            Self::CrossOrigin { .. } => StatusCode::FORBIDDEN,
            Self::NoSuchPath { .. }
            | Self::NoSuchCollection { .. }
            | Self::NoSuchResource { .. }
            | Self::NoSuchTarget(_)
            | Self::CannotRebalance(CannotRebalance::NoPool { .. })
            | Self::NotOpen { .. }
            | Self::NoSuchDrain { .. }
            | Self::NoConfiguration => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTimeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::InUse { .. } | Self::CannotRebalance(CannotRebalance::Hashed { .. }) => {
                StatusCode::CONFLICT
            }
            Self::PreconditionFailed { .. } => StatusCode::PRECONDITION_FAILED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) | Self::UnsupportedContentCoding(_) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::HostNotAllowed { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotReady(_) | Self::TooManyReaders => StatusCode::SERVICE_UNAVAILABLE,
            Self::Framework { status, .. } => *status,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Apply(error) => apply_code(error),
            Self::InUse { .. } => "ResourceInUse",
            Self::InvalidJson(_) | Self::NotUtf8 { .. } => "InvalidJson",
            Self::BodyTooLarge { .. } => "BodyTooLarge",
            Self::BodyTimeout { .. } => "BodyTimeout",
            Self::BodyBroken => "BodyIncomplete",
            Self::UnsupportedMediaType(_) => "UnsupportedMediaType",
            Self::UnsupportedContentCoding(_) => "UnsupportedContentCoding",
            Self::NoSuchPath { .. } => "PathNotFound",
            Self::NoSuchCollection { .. } => "CollectionNotFound",
            Self::NoSuchResource { .. } => "ResourceNotFound",
            Self::NoSuchTarget(_) => "TargetNotFound",
            Self::CannotRebalance(CannotRebalance::NoPool { .. }) => "PoolNotFound",
            Self::CannotRebalance(CannotRebalance::Hashed { .. }) => "PoolByClientAddress",
            Self::NotOpen { .. } => "ConnectionNotFound",
            Self::NoSuchDrain { .. } => "DrainNotFound",
            Self::BadBody(_) => "InvalidBody",
            Self::NoConfiguration => "NoConfiguration",
            Self::MethodNotAllowed { .. } => "MethodNotAllowed",
            Self::BadQuery(_) => "InvalidQuery",
            Self::BadPrecondition { .. } => "InvalidPrecondition",
            Self::PreconditionFailed { .. } => "PreconditionFailed",
            Self::BadHost => "InvalidHost",
            Self::HostNotAllowed { .. } => "HostNotAllowed",
            Self::CrossOrigin { .. } => "CrossOriginRefused",
            Self::TokenMissing => "TokenMissing",
            Self::TokenWrong => "TokenInvalid",
            Self::NotReady(_) => "NotReady",
            Self::TooManyReaders => "TooManyReaders",
            Self::Panicked => "InternalError",
            Self::Framework { .. } => "RequestRefused",
        }
    }

    /// What the body that was sent has wrong, one by one.
    fn problems(&self) -> Option<&ConfigProblems> {
        if let Self::Apply(ApplyError::Invalid(problems))
        | Self::InUse { problems, .. }
        | Self::InvalidJson(problems) = self
        {
            return Some(problems);
        }
        None
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        if let Self::Apply(ApplyError::PreconditionFailed {
            current: Some(current),
        })
        | Self::PreconditionFailed { current } = self
        {
            headers.insert(ETAG, entity_tag(current));
        }
        // RFC 6750 section 3: `error` only where a token was offered.
        if matches!(self, Self::TokenMissing) {
            let challenge = HeaderValue::from_static("Bearer realm=\"gateway\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if matches!(self, Self::TokenWrong) {
            let challenge = "Bearer realm=\"gateway\", error=\"invalid_token\"";
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if matches!(
            self,
            Self::NotReady(_) | Self::TooManyReaders | Self::Apply(ApplyError::ShuttingDown)
        ) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // RFC 9110 section 15.5.16: what would have been taken.
        if matches!(self, Self::UnsupportedMediaType(_)) {
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        }
        if matches!(self, Self::UnsupportedContentCoding(_)) {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
    }
}

fn apply_status(error: &ApplyError) -> StatusCode {
    match error {
        ApplyError::Invalid(_) => StatusCode::BAD_REQUEST,
        ApplyError::NotFound { .. } => StatusCode::NOT_FOUND,
        ApplyError::PreconditionFailed { .. } => StatusCode::PRECONDITION_FAILED,
        ApplyError::ReadOnly { .. } | ApplyError::Bind { .. } => StatusCode::CONFLICT,
        ApplyError::Store { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        ApplyError::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn apply_code(error: &ApplyError) -> &'static str {
    match error {
        ApplyError::Invalid(_) => "InvalidDocument",
        ApplyError::NotFound { .. } => "ResourceNotFound",
        ApplyError::PreconditionFailed { .. } => "PreconditionFailed",
        ApplyError::ReadOnly { .. } => "ConfigurationReadOnly",
        ApplyError::Bind { .. } => "AddressNotAvailable",
        ApplyError::Store { .. } => "StoreFailed",
        ApplyError::ShuttingDown => "ShuttingDown",
    }
}
