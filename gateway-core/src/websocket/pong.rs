//! A client that has sent one Ping, and what the backend may send until its Pong (RFC 6455 sections
//! 5.5.2 and 5.5.3).

use super::{CloseFrame, Direction, FrameError, FrameEvent, FrameTracker, Opcode};

/// So much may come before the Pong: a backend may greet its clients, or send them all it knows, but
/// one that floods them does not answer.
const MOST_BYTES: usize = 1024 * 1024;

/// Waits for the Pong to a Ping with a payload that nobody can foretell. No extension and no data
/// frame is wanted; what is allowed without being wanted is passed over.
#[derive(Debug)]
pub struct PongWait {
    payload: [u8; 16],
    frames: FrameTracker,
    bytes: usize,
    strangers: u32,
}

/// What has been heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that matters.
    Nothing,
    /// The backend's own Ping; a Pong with this payload answers it. Of several the last, which is
    /// enough (section 5.5.3).
    Ping(Vec<u8>),
    /// The Pong.
    Pong,
}

/// Why there will be no Pong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PongError {
    /// No frame, or not one that a backend may send.
    #[error("what came is no valid frame: {0}")]
    Frame(FrameError),
    /// RSV1 to RSV3, though no extension was offered (section 5.2).
    #[error("what came is no valid frame: a reserved bit is set without an extension")]
    ReservedBit,
    /// The backend says goodbye.
    #[error("the backend closed the WebSocket{}", in_words(.0))]
    Closed(CloseFrame),
    /// The connection has ended without a Close.
    #[error("the connection was closed: {reason}")]
    Ended {
        /// Reset or end of stream.
        reason: String,
    },
    /// Frames upon frames.
    #[error("more than {} KiB of other frames came", MOST_BYTES / 1024)]
    Flood,
    /// Pongs, but to no Ping of ours; each may have been a sign of life that nobody asked for.
    #[error("{count} came in time, none with the payload of the Ping")]
    Strangers {
        /// So many.
        count: u32,
    },
}

fn in_words(close: &CloseFrame) -> String {
    let Some(code) = close.code else {
        return " without a code".to_owned();
    };
    if close.reason.is_empty() {
        return format!(" with {code}");
    }
    let reason = String::from_utf8_lossy(&close.reason);
    format!(" with {code} {reason:?}")
}

impl PongWait {
    /// For the Pong to a Ping with this payload.
    pub fn new(payload: [u8; 16]) -> Self {
        Self {
            payload,
            frames: FrameTracker::new(Direction::ToClient),
            bytes: 0,
            strangers: 0,
        }
    }

    /// Takes in the next bytes of the stream. What is first in them decides.
    ///
    /// # Errors
    /// There is no point in listening on.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<Heard, PongError> {
        let Self {
            payload,
            frames,
            strangers,
            ..
        } = self;
        let mut heard = Ok(Heard::Nothing);
        let tracked = frames.advance(bytes, |event| {
            if matches!(heard, Err(_) | Ok(Heard::Pong)) {
                return;
            }
            match event {
                FrameEvent::Header { reserved: true, .. } => heard = Err(PongError::ReservedBit),
                FrameEvent::Close(close) => heard = Err(PongError::Closed(close)),
                FrameEvent::Control {
                    opcode: Opcode::Pong,
                    payload: answer,
                    ..
                } => {
                    if answer == *payload {
                        heard = Ok(Heard::Pong);
                    } else {
                        *strangers = strangers.saturating_add(1);
                    }
                }
                FrameEvent::Control { payload, .. } => heard = Ok(Heard::Ping(payload)),
                FrameEvent::Header { .. } | FrameEvent::MessageEnd { .. } => {}
            }
        });
        if matches!(heard, Err(_) | Ok(Heard::Pong)) {
            return heard;
        }
        tracked.map_err(|(_, error)| PongError::Frame(error))?;
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > MOST_BYTES {
            return Err(PongError::Flood);
        }
        heard
    }

    /// What is to be said of it when the time is over, if there is more to say than that.
    pub fn out_of_time(&self) -> Option<PongError> {
        let count = self.strangers;
        (count > 0).then_some(PongError::Strangers { count })
    }
}

#[cfg(test)]
mod tests;
