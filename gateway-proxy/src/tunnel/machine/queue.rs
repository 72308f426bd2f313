//! Bytes on their way to one side, when it does not take them at once.

/// Bytes that wait for a slow reader. Holds no memory while empty, and little room itself: most
/// tunnels are idle.
#[derive(Debug, Default)]
pub(super) struct Queue(Option<Box<Waiting>>);

/// What waits, if anything does.
#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many of them are written.
    written: usize,
}

impl Queue {
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.0 {
            Some(waiting) => &waiting.bytes[waiting.written..],
            None => &[],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn consume(&mut self, count: usize) {
        if let Some(waiting) = &mut self.0 {
            waiting.written += count;
            if waiting.written == waiting.bytes.len() {
                self.clear();
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.0 = None;
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            _ if bytes.is_empty() => {}
            Some(waiting) => {
                waiting.bytes.reserve_exact(bytes.len());
                waiting.bytes.extend_from_slice(bytes);
            }
            None => self.set(bytes.to_vec()),
        }
    }

    /// Puts `bytes` before all that waits.
    pub(super) fn prepend(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.set([bytes, self.bytes()].concat());
        }
    }

    fn set(&mut self, bytes: Vec<u8>) {
        self.0 = Some(Box::new(Waiting { bytes, written: 0 }));
    }
}
