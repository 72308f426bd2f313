//! Finds frame boundaries in one direction of a tunnel without reading the payload of data frames
//! (RFC 6455 section 5).

/// Which way frames go, which decides whether they are masked (section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From client to backend: masked.
    ToBackend,
    /// From backend to client: not masked.
    ToClient,
}

/// What a frame is (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with a message.
    Continuation,
    /// Starts a text message.
    Text,
    /// Starts a binary message.
    Binary,
    /// Ends the connection.
    Close,
    /// Wants a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

/// A Close frame's payload (section 5.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code; `None` for an empty payload (1005 to whoever asks).
    pub code: Option<u16>,
    /// The reason, as bytes: UTF-8 is the peers' business.
    pub reason: Vec<u8>,
}

/// What the tracker saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameEvent {
    /// A frame's header is complete.
    Header {
        /// What it is.
        opcode: Opcode,
        /// It ends its message.
        fin: bool,
        /// Its payload's length in bytes.
        length: u64,
    },
    /// A message's last frame has ended.
    MessageEnd,
    /// A whole Close frame has passed.
    Close(CloseFrame),
    /// A whole Ping or Pong has passed; its unmasked payload, 125 bytes at most.
    Control {
        /// Ping or Pong.
        opcode: Opcode,
        /// The payload.
        payload: Vec<u8>,
    },
}

/// Why a stream is not valid framing (section 5.2); the offence's frame is not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Opcode 3-7 or 11-15.
    #[error("reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A client's frame without a mask, or a backend's with one.
    #[error("the mask bit is wrong for this direction")]
    Mask,
    /// A control frame longer than 125 bytes.
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A control frame without FIN.
    #[error("a control frame is fragmented")]
    ControlFragmented,
    /// A length not in its shortest form, or with the top bit set.
    #[error("a length is not in its shortest form")]
    Length,
    /// A continuation without a start, or a start inside a message.
    #[error("a continuation is out of place")]
    Continuation,
}

/// Follows one direction. Its state is small: a header's bytes, what is left of the payload.
/// A control frame's payload is kept only while one is passing.
#[derive(Debug)]
pub struct FrameTracker {
    direction: Direction,
}

impl FrameTracker {
    /// Starts at a frame boundary.
    pub fn new(direction: Direction) -> Self {
        Self { direction }
    }

    /// Takes in the next bytes of the stream and tells `on_event` what they completed. Returns how
    /// many bytes may be forwarded: all of them, or up to the start of the offending frame.
    pub fn advance(
        &mut self,
        bytes: &[u8],
        on_event: impl FnMut(FrameEvent),
    ) -> Result<(), (usize, FrameError)> {
        let _ = (bytes, on_event, self.direction);
        unimplemented!()
    }

    /// Whether the stream stands between two frames, where a frame of our own may go.
    pub fn at_boundary(&self) -> bool {
        unimplemented!()
    }

    /// The offset in `bytes` of the first frame boundary at or after the current position, were they
    /// the stream's next bytes; `None` if they hold none. Changes nothing.
    pub fn next_boundary(&self, bytes: &[u8]) -> Option<usize> {
        let _ = bytes;
        unimplemented!()
    }
}

/// Writes a Close frame (section 5.5.1), masked with `mask` towards a backend.
/// A reason over 123 bytes is cut at a character.
pub fn encode_close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let _ = (code, reason, mask);
    unimplemented!()
}

/// Writes a Ping frame (section 5.5.2) with at most 125 bytes of `payload`.
pub fn encode_ping(payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let _ = (payload, mask);
    unimplemented!()
}
