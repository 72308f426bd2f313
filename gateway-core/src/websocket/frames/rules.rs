//! What a stream of frames may do beyond being one: limits on frames and messages.

use super::header::Header;
use super::{FrameError, Opcode};

/// What frames are judged by, as soon as their header is known and before any byte of them passes.
///
/// Lengths are those on the wire: what an extension has compressed counts as it comes. Control frames
/// are short anyhow, and pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRules {
    /// The longest payload of a data frame, in bytes.
    pub max_frame: u64,
    /// The longest message, in bytes: the payloads of its frames together. Of a message in many
    /// frames, the header decides that makes the sum too large.
    pub max_message: u64,
    /// How many more messages may begin; counted down.
    pub messages: u64,
    /// Pongs with a payload of this length are held back until they are whole, since they may answer
    /// a Ping of ours and are not to pass then.
    pub hold_pongs: Option<u64>,
}

impl FrameRules {
    /// Anything goes, and at once.
    pub const NONE: Self = Self {
        max_frame: u64::MAX,
        max_message: u64::MAX,
        messages: u64::MAX,
        hold_pongs: None,
    };

    /// Judges a frame by its header; `before` is the payload of its message's frames so far.
    pub(super) fn judge(&mut self, header: &Header, before: u64) -> Result<(), FrameError> {
        if header.opcode.is_control() {
            return Ok(());
        }
        if header.length > self.max_frame {
            return Err(FrameError::FrameTooLong);
        }
        let before = match header.opcode {
            Opcode::Continuation => before,
            Opcode::Text | Opcode::Binary | Opcode::Close | Opcode::Ping | Opcode::Pong => {
                let left = self.messages.checked_sub(1);
                self.messages = left.ok_or(FrameError::TooManyMessages)?;
                0
            }
        };
        if before.saturating_add(header.length) > self.max_message {
            return Err(FrameError::MessageTooLong);
        }
        Ok(())
    }

    /// Whether the frame is one to be held back.
    pub(super) fn holds(&self, header: &Header) -> bool {
        header.opcode == Opcode::Pong && self.hold_pongs == Some(header.length)
    }
}
