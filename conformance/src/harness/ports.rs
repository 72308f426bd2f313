//! Free ports: found by binding, remembered so that nobody is given the same one twice.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

/// Ports given out in this run.
static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// Below it are ports of well-known services.
const LOWEST: u16 = 10_000;
const ATTEMPTS: usize = 1000;

/// A port that nobody listens on, at any address of this machine, and that no outgoing connection is given: a gateway that
/// is restarted, or a listener that comes back, would find it taken.
///
/// Another process may take it before it is used; then the gateway says so, and its scenario fails.
pub(crate) fn free_port() -> Result<u16> {
    free_ports(1)
}

/// The first of `count` such ports, one after another.
pub(crate) fn free_ports(count: u16) -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    let end = first_outgoing_port().max(LOWEST + 5000);
    for _ in 0..ATTEMPTS {
        let first = fastrand::u16(LOWEST..end - count);
        let is_free = |port| {
            !given.contains(&port) && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        };
        let mut ports = first..first + count;
        if ports.clone().all(is_free) {
            given.extend(&mut ports);
            return Ok(first);
        }
    }
    anyhow::bail!("no free port from {LOWEST} to {end} in {ATTEMPTS} attempts")
}

/// Where the ports begin that the kernel gives to outgoing connections; Linux's default where it does
/// not say.
fn first_outgoing_port() -> u16 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let first = range
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok());
    first.unwrap_or(32_768)
}
