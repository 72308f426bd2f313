//! A real backend, as a process or as a container: the same handle for both.
//!
//! What only a container can do (losing its network) fails with [`NotHere`] on a process, and the story
//! is then reported as not told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use super::admin::Admin;
use super::containers::{Container, Containers, Image, Impairment, Order};
use super::process::Process;
use super::{NotHere, PATIENCE, Programs, until};
use crate::scenario::Stage;

/// In a container the backend listens here, plus the container's number in the run.
const CONTAINER_PORT: u16 = 9000;
/// The same, for orders. A port that a story asks for is above.
const CONTAINER_CONTROL_PORT: u16 = 2000;

/// A running `test-backend`.
#[derive(Debug)]
pub(crate) struct TestBackend {
    home: Home,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    control: Admin,
}

#[derive(Debug)]
enum Home {
    Process {
        process: Box<Process>,
        program: PathBuf,
        tls: Option<PathBuf>,
    },
    Container(Container),
}

/// What a backend is to be beyond its name. Where it lives, the run decides.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    /// Certificate and key: it speaks TLS.
    pub(crate) tls: Option<&'a Path>,
    /// At this port, instead of one that no other backend of the run has.
    pub(crate) port: Option<u16>,
    /// The address of a process; a container has its own.
    pub(crate) loopback: Ipv4Addr,
    /// So many ports besides: it looks like many, with one log and one death.
    pub(crate) more: u16,
    /// It will be killed, stopped, or taken off the network.
    pub(crate) leaves: bool,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self {
            tls: None,
            port: None,
            loopback: Ipv4Addr::LOCALHOST,
            more: 0,
            leaves: false,
        }
    }
}

impl TestBackend {
    /// Where this run's backends live: in a container with an address of its own, or as a process.
    pub(crate) async fn start(stage: &Stage, name: &str) -> Result<Self> {
        Ok(Self::start_as(stage, name, Wish::default()).await?.0)
    }

    /// As it is wished; and all its addresses.
    pub(crate) async fn start_as(
        stage: &Stage,
        name: &str,
        wish: Wish<'_>,
    ) -> Result<(Self, Vec<SocketAddr>)> {
        match stage.backends.containers() {
            Some(containers) => Self::in_container(containers, name, wish).await,
            None => Self::as_process(&stage.programs, name, wish).await,
        }
    }

    async fn as_process(
        programs: &Programs,
        name: &str,
        wish: Wish<'_>,
    ) -> Result<(Self, Vec<SocketAddr>)> {
        let listen = SocketAddr::from((wish.loopback, wish.port.unwrap_or(0)));
        let control = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let arguments = arguments(name, listen, control, wish.tls, wish.more);
        let (process, said) = spawn(&programs.backend, name, &arguments).await?;
        let at = |key: &str| said[key].as_str().and_then(|text| text.parse().ok());
        let address = at("address").with_context(|| format!("no address in {said}"))?;
        let control = at("control").with_context(|| format!("no control in {said}"))?;
        let mut addresses = vec![address];
        for more in said["more"].as_array().into_iter().flatten() {
            addresses.push(more.as_str().context("no address")?.parse()?);
        }
        let backend = Self {
            home: Home::Process {
                process: Box::new(process),
                program: programs.backend.clone(),
                tls: wish.tls.map(Path::to_owned),
            },
            name: name.to_owned(),
            address,
            control: Admin(control),
        };
        Ok((backend, addresses))
    }

    async fn in_container(
        containers: &Rc<Containers>,
        name: &str,
        wish: Wish<'_>,
    ) -> Result<(Self, Vec<SocketAddr>)> {
        let (mut port, mut control) = (CONTAINER_PORT, CONTAINER_CONTROL_PORT);
        let order = |number| {
            port = wish.port.unwrap_or(port + number);
            control += number;
            let anywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            let tls = wish
                .tls
                .map(|file| (file.to_owned(), "/tls.pem".to_owned()));
            let inside = tls.as_ref().map(|(_, to)| Path::new(to));
            Order {
                title: name.to_owned(),
                leaves: wish.leaves,
                arguments: arguments(name, anywhere(port), anywhere(control), inside, wish.more),
                files: tls.into_iter().collect(),
            }
        };
        let container = containers.start(Image::TestBackend, order).await?;
        let at = |port| SocketAddr::from((container.address, port));
        let last = port + wish.more;
        let addresses = (port..=last).map(at).collect();
        let backend = Self {
            name: name.to_owned(),
            address: at(port),
            control: Admin(at(control)),
            home: Home::Container(container),
        };
        backend.answers().await?;
        Ok((backend, addresses))
    }

    /// `POST /_fault...`
    pub(crate) async fn fault(&self, order: &str) -> Result<()> {
        let answer = self
            .control
            .request("POST", &format!("/_fault{order}"), "", None)
            .await?;
        ensure!(answer.status == 200, "fault {order}: {}", answer.text());
        Ok(())
    }

    /// New TLS connections are shown this certificate: chain and key as PEM text.
    pub(crate) async fn show_certificate(&self, pem: &str) -> Result<()> {
        let faults = json!({ "certificate": pem });
        let answer = self
            .control
            .request("PUT", "/_fault", "", Some(&faults))
            .await?;
        ensure!(answer.status == 200, "certificate: {}", answer.text());
        Ok(())
    }

    /// Nothing is wrong any more.
    pub(crate) async fn heal(&self) -> Result<()> {
        self.control.request("DELETE", "/_fault", "", None).await?;
        Ok(())
    }

    /// The targets of the requests that it saw, but for `/health`.
    pub(crate) async fn requests(&self) -> Result<Vec<String>> {
        let seen = self.control.get("/_requests").await?;
        let targets = seen.as_array().into_iter().flatten();
        let targets = targets.filter_map(|request| request["target"].as_str());
        Ok(targets
            .filter(|&target| target != "/health")
            .map(str::to_owned)
            .collect())
    }

    /// How often it was probed.
    pub(crate) async fn probes(&self) -> Result<usize> {
        let seen = self.control.get("/_requests").await?;
        let targets = seen.as_array().into_iter().flatten();
        Ok(targets
            .filter(|request| request["target"] == "/health")
            .count())
    }

    /// SIGKILL. The kernel closes its connections.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        match &mut self.home {
            Home::Process { process, .. } => process.kill().await,
            Home::Container(container) => container.kill().await,
        }
    }

    /// SIGTERM: it closes its WebSockets with 1001, and ends.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        match &mut self.home {
            Home::Process { process, .. } => process.terminate(PATIENCE).await.map(drop),
            Home::Container(container) => container.stop().await,
        }
    }

    /// It stands still. The kernel still accepts connections for it.
    pub(crate) async fn pause(&self) -> Result<()> {
        match &self.home {
            Home::Process { process, .. } => process.pause(true).await,
            Home::Container(container) => container.pause().await,
        }
    }

    pub(crate) async fn resume(&self) -> Result<()> {
        match &self.home {
            Home::Process { process, .. } => process.pause(false).await,
            Home::Container(container) => container.resume().await,
        }
    }

    /// Its host is gone from the network: no FIN, no reset, no answer. Orders do not reach it either.
    pub(crate) async fn partition(&self) -> Result<()> {
        self.container("take a host off the network")?
            .partition()
            .await
    }

    /// Back on the network, at the same address; waits until it answers.
    pub(crate) async fn rejoin(&self) -> Result<()> {
        self.container("put a host back on the network")?
            .rejoin()
            .await?;
        self.answers().await
    }

    /// Spoils its packets from now on; says by what means.
    pub(crate) async fn impair(&self, how: Impairment) -> Result<String> {
        self.container("spoil a host's packets")?.impair(how).await
    }

    /// How many of its packets were dropped.
    pub(crate) async fn dropped(&self) -> Result<u64> {
        self.container("count a host's packets")?.dropped().await
    }

    /// Starts it anew at the same address, after it was killed or stopped; nothing is wrong with it.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        match &mut self.home {
            Home::Process {
                process,
                program,
                tls,
            } => {
                let (address, control) = (self.address, self.control.0);
                let arguments = arguments(&self.name, address, control, tls.as_deref(), 0);
                (**process, _) = spawn(program, &self.name, &arguments).await?;
                Ok(())
            }
            Home::Container(container) => {
                container.restart().await?;
                self.answers().await
            }
        }
    }

    fn container(&self, to: &'static str) -> Result<&Container, NotHere> {
        match &self.home {
            Home::Process { .. } => Err(NotHere::Containers(to)),
            Home::Container(container) => Ok(container),
        }
    }

    async fn answers(&self) -> Result<()> {
        until("the backend answers", PATIENCE, async || {
            self.control.get("/_fault").await.map(|_| Some(()))
        })
        .await
    }
}

fn arguments(
    name: &str,
    listen: SocketAddr,
    control: SocketAddr,
    tls: Option<&Path>,
    more: u16,
) -> Vec<String> {
    let mut arguments = vec![
        format!("--name={name}"),
        format!("--listen={listen}"),
        format!("--control={control}"),
    ];
    arguments.extend(tls.map(|file| format!("--tls={}", file.display())));
    arguments.extend((more > 0).then(|| format!("--more={more}")));
    arguments
}

/// The process, and what it said of where it listens.
async fn spawn(program: &Path, name: &str, arguments: &[String]) -> Result<(Process, Value)> {
    let mut process = Process::start(name, Command::new(program).args(arguments))?;
    let said = until("the backend says where it listens", PATIENCE, async || {
        process.is_running()?;
        let lines = process.log.lines();
        Ok(lines
            .iter()
            .find_map(|line| serde_json::from_str::<Value>(line).ok()))
    })
    .await?;
    if let (Some(address), Some(control)) = (said["address"].as_str(), said["control"].as_str()) {
        process.describe(&format!("listens at {address}, faults at {control}"));
    }
    Ok((process, said))
}
