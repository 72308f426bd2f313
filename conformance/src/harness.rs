//! Everything that a scenario stands on: the real gateway and real backends as processes
//! or containers, a backend that records bytes, raw client connections, certificates.
//!
//! The harness imports no gateway crate. It speaks to the gateway by its public ports and its admin
//! API, and writes documents as JSON by hand: shared types would hide a break on the wire.

pub(crate) mod admin;
pub(crate) mod backend;
pub(crate) mod backends;
pub(crate) mod certificates;
pub(crate) mod containers;
pub(crate) mod crowd;
pub(crate) mod document;
pub(crate) mod events;
pub(crate) mod frames;
pub(crate) mod front;
pub(crate) mod gateway;
pub(crate) mod name_server;
pub(crate) mod peer;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod python;
pub(crate) mod recorder;
pub(crate) mod scene;
pub(crate) mod site;
pub(crate) mod turnstile;
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

/// What this run cannot do: a story that ends with it was not told, for this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotHere {
    /// Processes of this machine cannot play it.
    #[error("{WANTS_CONTAINERS} {0}")]
    Containers(&'static str),
    /// A program cannot be given a name server of its own.
    #[error("needs a resolver of its own: {0}")]
    Resolver(String),
}

const WANTS_CONTAINERS: &str = "needs containers, to";

impl NotHere {
    /// Whether that was the reason.
    pub(crate) fn wants_containers(reason: &str) -> bool {
        reason.starts_with(WANTS_CONTAINERS)
    }
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
        between_looks().await;
    }
}

/// The pause between two looks at what tells nobody that it has changed. What is waited for, and how
/// long, is the caller's to say.
pub(crate) async fn between_looks() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
