//! Everything that a scenario stands on: the real gateway and real backends as processes, a backend
//! that records bytes, raw client connections, certificates.
//!
//! The harness imports no gateway crate. It speaks to the gateway by its public ports and its admin
//! API, and writes documents as JSON by hand: shared types would hide a break on the wire.

pub(crate) mod admin;
pub(crate) mod backend;
pub(crate) mod certificates;
pub(crate) mod document;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod name_server;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod recorder;
pub(crate) mod site;
pub(crate) mod wire;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a scenario waits for something that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The programs under test.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub(crate) gateway: PathBuf,
    pub(crate) backend: PathBuf,
}

/// Asks `holds` again and again until it gives something, for at most `limit`.
pub(crate) async fn until<T>(
    what: &str,
    limit: Duration,
    mut holds: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        let last = holds().await;
        if let Ok(Some(value)) = last {
            return Ok(value);
        }
        if started.elapsed() > limit {
            match last {
                Ok(_) => bail!("{what}: not within {} s", limit.as_secs_f64()),
                Err(error) => {
                    return Err(
                        error.context(format!("{what}: not within {} s", limit.as_secs_f64()))
                    );
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
