//! Writing the frames that a gateway sends on its own account: Close, Ping and Pong.

use super::Opcode;
use super::header::LONGEST_CONTROL;

/// Writes a Close frame (section 5.5.1), masked with `mask` towards a backend.
/// A reason over 123 bytes is cut at a character.
pub fn encode_close(code: u16, reason: &str, mask: Option<[u8; 4]>) -> Vec<u8> {
    let room = LONGEST_CONTROL - size_of_val(&code);
    let mut end = reason.len().min(room);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    encode_control(Opcode::Close, &payload, mask)
}

/// Writes a Ping frame (section 5.5.2), masked with `mask` towards a backend. A payload over 125
/// bytes is cut.
pub fn encode_ping(payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let end = payload.len().min(LONGEST_CONTROL);
    encode_control(Opcode::Ping, &payload[..end], mask)
}

/// Writes a Pong frame (section 5.5.3), as [`encode_ping`] writes a Ping.
pub fn encode_pong(payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let end = payload.len().min(LONGEST_CONTROL);
    encode_control(Opcode::Pong, &payload[..end], mask)
}

fn encode_control(opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mask_bit = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = Vec::with_capacity(2 + 4 + payload.len());
    // At most 125.
    frame.extend([0x80 | opcode.nibble(), mask_bit | payload.len() as u8]);
    frame.extend(mask.iter().flatten());
    let payload_at = frame.len();
    frame.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut frame[payload_at..], mask);
    }
    frame
}

/// Masks, or unmasks, a payload from its beginning (section 5.3).
pub(super) fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
