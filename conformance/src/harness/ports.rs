//! Free ports: found by binding, remembered so that nobody is given the same one twice.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Ports given out in this run.
static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A port of 127.0.0.1 that nobody listens on.
///
/// Another process may take it before it is used; then the gateway says so, and its scenario fails.
pub(crate) fn free_port() -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    loop {
        let socket = TcpListener::bind("127.0.0.1:0").context("no free port")?;
        let port = socket.local_addr()?.port();
        if given.insert(port) {
            return Ok(port);
        }
    }
}
