//! WebSocket frames by hand (RFC 6455 section 5.2): good ones, and such as nobody should send.

/// The key of RFC 6455's own examples (section 5.7).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// One end of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Backend,
}

impl End {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Client => Self::Backend,
            Self::Backend => Self::Client,
        }
    }
}

/// How a frame says its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// In as few bytes as it takes.
    Shortest,
    /// In two bytes, whatever it is.
    Two,
    /// In eight bytes, whatever it is.
    Eight,
    /// In eight bytes, and it is not true.
    Claimed(u64),
}

/// A frame as a scenario means it; each end writes it in its own way.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// FIN, the reserved bits and the opcode.
    first: u8,
    payload: Vec<u8>,
    key: [u8; 4],
    wrongly_masked: bool,
    length: Length,
}

/// A whole frame of any opcode.
pub(crate) fn frame(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
    Frame {
        first: 0x80 | opcode,
        payload: payload.as_ref().to_vec(),
        key: MASK,
        wrongly_masked: false,
        length: Length::Shortest,
    }
}

pub(crate) fn text(payload: impl AsRef<[u8]>) -> Frame {
    frame(TEXT, payload)
}

pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Frame {
    frame(BINARY, payload)
}

/// The last frame of a message that began with a frame of which there was [`Frame::more`].
pub(crate) fn rest(payload: impl AsRef<[u8]>) -> Frame {
    frame(0, payload)
}

pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Frame {
    frame(PING, payload)
}

pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Frame {
    frame(PONG, payload)
}

/// A Close frame with a code and a reason.
pub(crate) fn close(code: u16, reason: &str) -> Frame {
    frame(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// A Close frame without a code.
pub(crate) fn bare_close() -> Frame {
    frame(CLOSE, "")
}

impl Frame {
    /// It is not the last of its message.
    pub(crate) fn more(mut self) -> Self {
        self.first &= 0x7f;
        self
    }

    /// With these of the three reserved bits (RSV1 is 4).
    pub(crate) fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits << 4;
        self
    }

    /// With another masking key than the RFC's examples have.
    pub(crate) fn key(mut self, key: [u8; 4]) -> Self {
        self.key = key;
        self
    }

    /// Masked by the backend, or not masked by the client.
    pub(crate) fn wrongly_masked(mut self) -> Self {
        self.wrongly_masked = true;
        self
    }

    pub(crate) fn length(mut self, length: Length) -> Self {
        self.length = length;
        self
    }

    pub(crate) fn is_ping(&self) -> bool {
        self.first & 0xf == PING
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The frame as this end sends it.
    pub(crate) fn written_by(&self, end: End) -> Vec<u8> {
        let masked = (end == End::Client) != self.wrongly_masked;
        let mut bytes = vec![self.first];
        let length = self.payload.len() as u64;
        let (short, long) = match (self.length, length) {
            (Length::Shortest, 0..=125) => (length as u8, Vec::new()),
            (Length::Shortest, 126..=0xffff) | (Length::Two, _) => {
                (126, (length as u16).to_be_bytes().to_vec())
            }
            (Length::Shortest | Length::Eight, _) => (127, length.to_be_bytes().to_vec()),
            (Length::Claimed(length), _) => (127, length.to_be_bytes().to_vec()),
        };
        bytes.push(short | if masked { 0x80 } else { 0 });
        bytes.extend(long);
        if masked {
            bytes.extend(self.key);
            let key = self.key.iter().cycle();
            bytes.extend(self.payload.iter().zip(key).map(|(byte, key)| byte ^ key));
        } else {
            bytes.extend(&self.payload);
        }
        bytes
    }
}

/// Frames, one after another, as this end sends them.
pub(crate) fn written_by(end: End, frames: &[Frame]) -> Vec<u8> {
    let frames = frames.iter().map(|frame| frame.written_by(end));
    frames.collect::<Vec<_>>().concat()
}

/// A whole frame as a client sends it.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload).written_by(End::Client)
}

/// A whole frame as a server sends it.
pub(crate) fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame(opcode, payload).written_by(End::Backend)
}

/// Takes every whole client frame out of `buffer`, and gives the same frames as a server sends them.
pub(crate) fn echo(buffer: &mut Vec<u8>) -> Vec<u8> {
    let mut echoed = Vec::new();
    while let Some(came) = take(buffer) {
        echoed.extend(unmasked(came.opcode, &came.payload));
    }
    echoed
}

/// A frame that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) opcode: u8,
    pub(crate) is_last: bool,
    pub(crate) is_masked: bool,
    pub(crate) payload: Vec<u8>,
}

impl Came {
    /// The code and the reason of a Close frame; 1005 where it has none (RFC 6455 section 7.1.5).
    pub(crate) fn close(&self) -> Option<(u16, String)> {
        let is_close = self.opcode == CLOSE;
        is_close.then(|| match self.payload.split_first_chunk() {
            Some((code, reason)) => {
                let reason = String::from_utf8_lossy(reason).into_owned();
                (u16::from_be_bytes(*code), reason)
            }
            None => (1005, String::new()),
        })
    }
}

/// Takes the first frame out of `buffer`, if it is whole.
pub(crate) fn take(buffer: &mut Vec<u8>) -> Option<Came> {
    let (&first, &second) = (buffer.first()?, buffer.get(1)?);
    let (length, start) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(chunk(buffer, 2)?)), 4),
        127 => (u64::from_be_bytes(chunk(buffer, 2)?), 10),
        short => (u64::from(short), 2),
    };
    let is_masked = second & 0x80 != 0;
    let (key, start) = match is_masked {
        true => (chunk(buffer, start)?, start + 4),
        false => ([0; 4], start),
    };
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    let payload = buffer.get(start..end)?.iter().zip(key.iter().cycle());
    let payload = payload.map(|(byte, key)| byte ^ key).collect();
    buffer.drain(..end);
    Some(Came {
        opcode: first & 0x0f,
        is_last: first & 0x80 != 0,
        is_masked,
        payload,
    })
}

fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 section 5.7.
    #[test]
    fn the_rfcs_own_examples() {
        let fragmented = written_by(End::Backend, &[text("Hel").more(), rest("lo")]);
        assert_eq!(fragmented, b"\x01\x03Hel\x80\x02lo");
        let long = unmasked(BINARY, &[0; 65_536]);
        assert_eq!(long[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(unmasked(BINARY, &[0; 256])[..4], [0x82, 0x7e, 1, 0]);
        let hello = [
            0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
        ];
        assert_eq!(masked(TEXT, b"Hello"), hello);
        assert_eq!(unmasked(TEXT, b"Hello"), b"\x81\x05Hello");
        let mut buffer = masked(TEXT, &[7; 300]);
        buffer.extend(&hello[..9]);
        assert_eq!(echo(&mut buffer), unmasked(TEXT, &[7; 300]));
        assert_eq!(buffer, &hello[..9]);
    }

    #[test]
    fn frames_are_taken_when_they_are_whole() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            for bytes in [unmasked(BINARY, &payload), masked(BINARY, &payload)] {
                let mut part = bytes[..bytes.len() - 1].to_vec();
                assert_eq!(take(&mut part), None, "{length}");
                let mut two = [bytes.clone(), vec![0x8a]].concat();
                let came = take(&mut two).unwrap();
                assert_eq!((came.opcode, &came.payload), (BINARY, &payload));
                assert_eq!(came.is_masked, bytes[1] & 0x80 != 0);
                assert_eq!(two, [0x8a]);
            }
        }
        let close = |bytes: &[u8]| take(&mut unmasked(CLOSE, bytes)).unwrap().close();
        assert_eq!(close(b"\x03\xe9bye"), Some((1001, "bye".to_owned())));
        assert_eq!(close(b""), Some((1005, String::new())));
    }
}
