//! Much through one tunnel, and many tunnels: messages of 64 MiB, readers that stall, ten thousand
//! open WebSockets. What the gateway holds meanwhile is measured.

mod crowd;
mod large;
mod oracle;
mod own_frames;
mod stalled;

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use tokio::net::TcpStream;

use crate::harness::document::{Document, idle_probe, plain_settings};
use crate::harness::gateway::Gateway;
use crate::harness::ports::free_port;
use crate::harness::recorder::{Recorder, Reply, Then};
use crate::harness::site::{explain, handshake};
use crate::harness::wire::Wire;
use crate::scenario::{self, Plot, Scenario, Stage, Told};

const GROUP: &str = "volume";
const MIB: usize = 1024 * 1024;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::story(
            GROUP,
            "a frame of 64 MiB each way, in bounded memory",
            "RFC 6455 10.4",
            large::frames,
        ),
        Scenario::story(
            GROUP,
            "a message of 64 MiB in fragments, between independent ends",
            "RFC 6455 5.4",
            large::fragments,
        ),
        Scenario::story(
            GROUP,
            "fragments and cuts at random, read by an independent server",
            "RFC 6455 5.4",
            oracle::fragments,
        ),
        Scenario::story(
            GROUP,
            "independent ends agree on code and reason, whoever closes",
            "RFC 6455 7.1.5",
            oracle::closes,
        ),
        Scenario::story(
            GROUP,
            "the gateway's own frames have masking keys that nobody can foretell",
            "RFC 6455 5.3",
            own_frames::keys,
        ),
        Scenario::story(
            GROUP,
            "backends that do not read stop their clients",
            "design 5",
            stalled::backends,
        ),
        Scenario::story(
            GROUP,
            "clients that do not read stop their backends",
            "design 5",
            stalled::clients,
        ),
        Scenario {
            group: GROUP,
            name: "ten thousand open WebSockets, all with traffic".to_owned(),
            clause: "RFC 6455 4.1",
            plot: Plot::Alone(scenario::story(crowd::echoes)),
        },
    ]
}

/// A gateway before one backend.
struct Relay {
    gateway: Gateway,
    front: SocketAddr,
}

impl Relay {
    async fn open(stage: &Stage, backend: SocketAddr) -> Result<Self> {
        let port = free_port()?;
        let document = Document::new().serve(
            port,
            &[backend],
            ("idle", idle_probe()),
            plain_settings("idle"),
        );
        Ok(Self {
            gateway: Gateway::with_file(&stage.programs, document).await?,
            front: SocketAddr::from(([127, 0, 0, 1], port)),
        })
    }

    /// With what the gateway said last, when a story failed.
    fn tell(&self, told: Result<Told>) -> Result<Told> {
        told.map_err(|error| explain(self.gateway.log(), error))
    }
}

/// A gateway before a recorder: every tunnel's backend is in the story's hands.
struct ByHand {
    relay: Relay,
    recorder: Recorder,
}

impl ByHand {
    async fn open(stage: &Stage) -> Result<Self> {
        let recorder = Recorder::start().await?;
        recorder.reset(Some(Reply {
            text: super::handshake::SWITCH.replace("Sec-WebSocket-Protocol: chat\r\n", ""),
            tail: Vec::new(),
            then: Then::HandOver,
            quiet_first: false,
        }));
        let relay = Relay::open(stage, recorder.address).await?;
        Ok(Self { relay, recorder })
    }

    /// Both ends of a new tunnel.
    async fn tunnel(&self) -> Result<(Wire, Wire)> {
        let (client, answer) = handshake(self.relay.front, "/").await?;
        ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
        Ok((client, self.recorder.handed_over().await?))
    }

    /// The same, as sockets.
    async fn sockets(&self) -> Result<(TcpStream, TcpStream)> {
        let (client, backend) = self.tunnel().await?;
        Ok((client.into_socket()?, backend.into_socket()?))
    }
}
