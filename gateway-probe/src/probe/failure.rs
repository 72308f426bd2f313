//! What went wrong on the wire, as a reason that an operator understands.

use std::error::Error;
use std::io;

use gateway_core::health::ProbeFailure;
use gateway_net::dial::{DialError, tls_reason};

use super::metered::TooLong;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoStream {
    /// The target's doing.
    Failed(ProbeFailure),
    /// This machine's.
    Exhausted(io::Error),
}

impl From<DialError> for NoStream {
    fn from(error: DialError) -> Self {
        Self::Failed(match error {
            DialError::Exhausted { source, .. } => return Self::Exhausted(source),
            DialError::Refused { address } => ProbeFailure::Refused { address },
            DialError::Connect { address, source } => ProbeFailure::Connect {
                address,
                reason: source.to_string(),
            },
            DialError::Tls { reason, .. } => ProbeFailure::Tls { reason },
        })
    }
}

/// Why there is no whole answer.
pub(crate) fn exchange_failure(error: &hyper::Error) -> ProbeFailure {
    let closed = |reason: &str| ProbeFailure::Closed {
        reason: reason.to_owned(),
    };
    let malformed = |reason: String| ProbeFailure::Malformed { reason };
    if cause::<TooLong>(error).is_some() {
        return malformed("it is too long".to_owned());
    }
    if error.is_incomplete_message() {
        return closed("end of stream");
    }
    if error.is_parse() {
        return malformed(error.to_string());
    }
    match cause::<io::Error>(error) {
        Some(io) => io_failure(io),
        // Bytes that nobody asked for, and the like.
        None => malformed(error.to_string()),
    }
}

/// What a read or a write of an exchange came to.
#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum")]
pub(crate) fn io_failure(error: &io::Error) -> ProbeFailure {
    if error
        .get_ref()
        .is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>)
    {
        return ProbeFailure::Tls {
            reason: tls_reason(error),
        };
    }
    // hyper reports bad chunk sizes so.
    if matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
    ) {
        return ProbeFailure::Malformed {
            reason: error.to_string(),
        };
    }
    let reason = match error.kind() {
        io::ErrorKind::ConnectionReset => "reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "end of stream".to_owned(),
        _ => error.to_string(),
    };
    ProbeFailure::Closed { reason }
}

/// The first of `error`'s causes that is an `E`; an I/O error may carry one inside.
fn cause<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        if let Some(inside) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            && let Some(found) = inside.downcast_ref::<E>()
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}
