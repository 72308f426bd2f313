//! WebSocket frames by hand (RFC 6455 section 5.2), up to 65,535 bytes of payload.

/// The key of RFC 6455's own examples (section 5.7).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const CLOSE: u8 = 0x8;

/// A whole frame as a client sends it.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(opcode, payload.len(), 0x80);
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// A whole frame as a server sends it.
pub(crate) fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = head(opcode, payload.len(), 0);
    frame.extend(payload);
    frame
}

fn head(opcode: u8, length: usize, mask_bit: u8) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short @ 0..=125) => vec![0x80 | opcode, mask_bit | short],
        Ok(_) | Err(_) => {
            let long = u16::try_from(length).expect("scenarios send short frames");
            let [high, low] = long.to_be_bytes();
            vec![0x80 | opcode, mask_bit | 126, high, low]
        }
    }
}

/// Takes every whole client frame out of `buffer`, and gives the same frames as a server sends them.
pub(crate) fn echo(buffer: &mut Vec<u8>) -> Vec<u8> {
    let mut echoed = Vec::new();
    while let Some((opcode, payload, end)) = first_frame(buffer) {
        echoed.extend(unmasked(opcode, &payload));
        buffer.drain(..end);
    }
    echoed
}

fn first_frame(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (length, start) = match bytes.get(1)? & 0x7f {
        126 => (
            usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
            4,
        ),
        short => (usize::from(short), 2),
    };
    let mask = bytes.get(start..start + 4)?;
    let end = start + 4 + length;
    let payload = bytes.get(start + 4..end)?;
    let payload = payload
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask);
    Some((bytes[0] & 0x0f, payload.collect(), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455 section 5.7.
    #[test]
    fn the_rfcs_own_examples() {
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
}
