//! How a tunnel ended, for those who record it.

use std::time::Duration;

use gateway_core::websocket::{CloseFrame, FrameError};

use super::Side;

/// What made a tunnel end, before all consequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndCause {
    /// A Close frame.
    Close,
    /// A FIN without a Close frame: 1006 to the other side.
    Fin,
    /// A reset, a dead peer, or TLS that broke off.
    Reset,
    /// Frames that are not RFC 6455's; both sides got 1002.
    Framing(FrameError),
    /// More than the settings allow: its sender got 1009 or 1008, the other side 1001.
    Limit(FrameError),
    /// Nothing came from either side for too long: both sides got 1001.
    Idle,
    /// A side did not answer Pings, and sent nothing else: both sides got 1001.
    Unanswered,
    /// A side took nothing of what waited for it for too long: it was reset, the other side got 1001.
    SlowConsumer,
    /// We drained it: both sides were sent a Close frame.
    Drain,
    /// A deadline passed before there could be a Close frame.
    Cut,
    /// Its worker ended, or a fault of ours ended it.
    Abandoned,
}

/// What one direction carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    /// Whole messages; control frames do not count.
    pub(crate) messages: u64,
    /// Bytes of the WebSocket stream that were passed on, frame headers and all.
    pub(crate) bytes: u64,
}

/// A tunnel's whole story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TunnelEnd {
    /// Who began the end; `None` for the gateway.
    pub(crate) by: Option<Side>,
    /// How.
    pub(crate) cause: EndCause,
    /// The code of the first Close frame, if there was one that bore a code.
    pub(crate) close_code: Option<u16>,
    /// The reason in that frame, if it bore one: a peer's bytes, at most 123 before what is no UTF-8 was
    /// replaced.
    pub(crate) close_reason: Option<Box<str>>,
    /// From client to backend.
    pub(crate) to_backend: Traffic,
    /// From backend to client.
    pub(crate) to_client: Traffic,
    /// From the 101 to the end of both connections.
    pub(crate) age: Duration,
}

/// The part of [`TunnelEnd`] that is settled by the first cause.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) by: Option<Side>,
    pub(super) cause: EndCause,
    pub(super) close_code: Option<u16>,
    pub(super) close_reason: Option<Box<str>>,
}

impl End {
    pub(super) fn of(side: Side, cause: EndCause) -> Self {
        Self {
            by: Some(side),
            cause,
            close_code: None,
            close_reason: None,
        }
    }

    pub(super) fn closed(side: Side, frame: &CloseFrame) -> Self {
        let reason = String::from_utf8_lossy(&frame.reason);
        Self {
            close_code: frame.code,
            close_reason: (!reason.is_empty()).then(|| reason.into()),
            ..Self::of(side, EndCause::Close)
        }
    }

    pub(super) fn offence(side: Side, error: FrameError) -> Self {
        let cause = match error.is_limit() {
            true => EndCause::Limit(error),
            false => EndCause::Framing(error),
        };
        Self {
            close_code: Some(error.close_code()),
            ..Self::of(side, cause)
        }
    }

    pub(super) fn by_gateway(cause: EndCause, close_code: Option<u16>) -> Self {
        Self {
            by: None,
            cause,
            close_code,
            close_reason: None,
        }
    }
}
