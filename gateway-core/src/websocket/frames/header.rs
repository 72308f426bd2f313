//! One frame header: what its two to fourteen bytes say (RFC 6455 section 5.2).

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

/// Why a stream is not valid framing (section 5.2), or more than its rules allow
/// ([`FrameRules`](super::FrameRules)).
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
    /// A data frame over [`FrameRules::max_frame`](super::FrameRules::max_frame).
    #[error("a frame is longer than allowed")]
    FrameTooLong,
    /// A message over [`FrameRules::max_message`](super::FrameRules::max_message).
    #[error("a message is longer than allowed")]
    MessageTooLong,
    /// A message beyond [`FrameRules::messages`](super::FrameRules::messages).
    #[error("messages come faster than allowed")]
    TooManyMessages,
}

impl FrameError {
    /// The status code that whoever sent this is told (section 7.4.1): 1002 for what is no framing,
    /// 1009 for what is too long, 1008 for what comes too fast.
    pub fn close_code(self) -> u16 {
        match self {
            Self::FrameTooLong | Self::MessageTooLong => 1009,
            Self::TooManyMessages => 1008,
            Self::ReservedOpcode(_)
            | Self::Mask
            | Self::ControlTooLong
            | Self::ControlFragmented
            | Self::Length
            | Self::Continuation => 1002,
        }
    }

    /// Whether this is good framing, but more than its rules allow.
    pub fn is_limit(self) -> bool {
        self.close_code() != 1002
    }
}

/// The longest header: two bytes, eight of length, four of mask.
pub(super) const LONGEST_HEADER: usize = 14;

/// The longest payload of a control frame (section 5.5).
pub(super) const LONGEST_CONTROL: usize = 125;

/// A complete header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    pub(super) reserved: bool,
    pub(super) length: u64,
    pub(super) mask: Option<[u8; 4]>,
    /// The header's own length in bytes.
    pub(super) size: usize,
}

impl Opcode {
    fn from_nibble(nibble: u8) -> Result<Self, FrameError> {
        Ok(match nibble {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            reserved => return Err(FrameError::ReservedOpcode(reserved)),
        })
    }

    pub(super) fn nibble(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// Whether frames of this kind may come between those of a message (section 5.5).
    pub fn is_control(self) -> bool {
        match self {
            Self::Close | Self::Ping | Self::Pong => true,
            Self::Continuation | Self::Text | Self::Binary => false,
        }
    }
}

impl Header {
    /// Reads the header that `bytes` begin with; `None` when they end before it does. What is wrong
    /// is reported as soon as the byte that shows it is there. The reserved bits are the peers'
    /// business: an extension that they agreed on may use them.
    pub(super) fn parse(
        bytes: &[u8],
        direction: Direction,
        in_message: bool,
    ) -> Result<Option<Self>, FrameError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let opcode = Opcode::from_nibble(first & 0x0F)?;
        let fin = first & 0x80 != 0;
        let reserved = first & 0x70 != 0;
        if opcode.is_control() {
            if !fin {
                return Err(FrameError::ControlFragmented);
            }
        } else if (opcode == Opcode::Continuation) != in_message {
            return Err(FrameError::Continuation);
        }

        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        let is_masked = second & 0x80 != 0;
        if is_masked != (direction == Direction::ToBackend) {
            return Err(FrameError::Mask);
        }
        let short_length = second & 0x7F;
        if opcode.is_control() && usize::from(short_length) > LONGEST_CONTROL {
            return Err(FrameError::ControlTooLong);
        }

        let Some((length, length_size)) = parse_length(short_length, &bytes[2..])? else {
            return Ok(None);
        };
        let unmasked_size = 2 + length_size;
        let mask = if is_masked {
            let Some(mask) = bytes[unmasked_size..].first_chunk::<4>() else {
                return Ok(None);
            };
            Some(*mask)
        } else {
            None
        };
        Ok(Some(Self {
            opcode,
            fin,
            reserved,
            length,
            mask,
            size: unmasked_size + mask.map_or(0, |mask| mask.len()),
        }))
    }
}

/// The payload's length, and in how many bytes after the second it was written.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let (length, size, least) = match short {
        126 => match rest.first_chunk::<2>() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2, 126),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 8, 1 << 16),
            None => return Ok(None),
        },
        short => (u64::from(short), 0, 0),
    };
    if length < least || length > i64::MAX as u64 {
        return Err(FrameError::Length);
    }
    Ok(Some((length, size)))
}
