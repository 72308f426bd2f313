//! Ports for tests. The tests of the binary and `xtask` take this file, too.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that Linux gives to whoever asks for any port, for an outgoing connection, too: what was
/// free a moment ago could be gone.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// A port that nobody has, and that nobody else in this process is given before all others were.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Processes that run side by side begin at different places.
    let first = std::process::id().wrapping_mul(97) % u32::from(count);
    let mut ports = (0..count).map(|_| {
        let step = u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
        PORTS.start + ((first + step) % u32::from(count)) as u16
    });
    ports
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("some port is free")
}
