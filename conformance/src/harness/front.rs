//! The system under test, whichever it is, in front of one backend: a plain and a TLS address, and
//! the same bounds on heads, bodies and silence. What a scenario needs more than this, only our own
//! gateway has.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use serde_json::json;

use super::document::{Document, idle_probe, plain_settings};
use super::gateway::Gateway;
use super::peer::Peer;
use super::ports::free_port;
use super::process::Log;
use crate::scenario::Stage;

/// The bounds on heads, bodies and silence, which some cases wait for.
pub(crate) const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest head that is taken.
pub(crate) const MAX_HEAD: usize = 32 * 1024;

/// What can be put under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum System {
    #[default]
    Gateway,
    Nginx,
    Haproxy,
}

impl System {
    /// As the report and `--sut` name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }
}

/// The system under test before one backend.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) plain: SocketAddr,
    /// For [`GATEWAY_NAME`](super::certificates::GATEWAY_NAME).
    pub(crate) tls: SocketAddr,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Gateway(Box<Gateway>),
    Peer(Box<Peer>),
}

impl Front {
    /// Listens when this returns.
    pub(crate) async fn open(stage: &Stage, backend: SocketAddr) -> Result<Self> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (plain, tls) = (local(free_port()?), local(free_port()?));
        let running = match stage.system {
            System::Gateway => {
                let document = document(stage, backend, plain, tls);
                Running::Gateway(Box::new(
                    Gateway::with_file(&stage.programs, document).await?,
                ))
            }
            System::Nginx | System::Haproxy => {
                Running::Peer(Box::new(Peer::start(stage, backend, plain, tls).await?))
            }
        };
        Ok(Self {
            plain,
            tls,
            running,
        })
    }

    pub(crate) fn log(&self) -> &Log {
        match &self.running {
            Running::Gateway(gateway) => gateway.log(),
            Running::Peer(peer) => peer.log(),
        }
    }
}

fn document(stage: &Stage, backend: SocketAddr, plain: SocketAddr, tls: SocketAddr) -> Document {
    let seconds = CLIENT_TIMEOUT.as_secs();
    let limits = json!({
        "requestHeadTimeoutInSec": seconds,
        "requestBodyTimeoutInSec": seconds,
        "maxRequestHeadBytes": MAX_HEAD,
    });
    Document::new()
        .set("limits", limits)
        .serve(
            plain.port(),
            &[backend],
            ("idle", idle_probe()),
            plain_settings("idle"),
        )
        .https(
            tls.port(),
            &stage.certificates.gateway(),
            "pool",
            "settings",
        )
}
