//! One container: at an address that stays its own, and with everything that can befall a host.

use std::collections::HashSet;
use std::fmt;
use std::mem::ManuallyDrop;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use testcontainers::bollard::models::{
    EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest,
};
use testcontainers::bollard::query_parameters::KillContainerOptionsBuilder;
use testcontainers::core::WaitFor;
use testcontainers::core::logs::LogFrame;
use testcontainers::core::wait::ExitWaitStrategy;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::sync::mpsc::UnboundedSender;

use super::sweep::Unwanted;
use super::{Containers, LABEL};
use crate::harness::process::Log;
use crate::harness::scene::{Prop, Scene, Waiting};
use crate::harness::{PATIENCE, until};

/// A process that was asked to end has so many seconds.
const STOP_SECONDS: i32 = 10;

/// What a container can be made of: the folders of `conformance/images`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    /// Our own fault-injecting backend.
    TestBackend,
    /// Serves files and `/health`.
    Nginx,
    /// Echoes WebSocket messages; `client.py` is its counterpart.
    Python,
    /// The same; `client.js` is its counterpart.
    Node,
    /// Spoils the network of another container.
    NetworkTools,
}

/// Where the servers of other people listen.
pub(crate) const SERVER_PORT: u16 = 8080;

/// What can befall a container's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Impairment {
    Delay,
    Loss,
}

impl Image {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TestBackend => "test-backend",
            Self::Nginx => "nginx",
            Self::Python => "python",
            Self::Node => "node",
            Self::NetworkTools => "network-tools",
        }
    }
}

/// What is asked of a container beyond its image.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// What the report calls it.
    pub(crate) title: String,
    /// It will leave the network and come back, and nobody may have its address meanwhile.
    pub(crate) leaves: bool,
    pub(crate) arguments: Vec<String>,
    /// Copied into the container: from here, to there.
    pub(crate) files: Vec<(PathBuf, String)>,
}

/// A container in the run's network.
pub(crate) struct Container {
    /// Never dropped: see the module above.
    container: ManuallyDrop<Box<ContainerAsync<GenericImage>>>,
    containers: Rc<Containers>,
    network: String,
    pub(crate) address: Ipv4Addr,
    /// The address is ours to keep when it is off the network.
    leaves: bool,
    _needed: Prop<Needed>,
}

/// As long as this is there, somebody needs the container.
#[derive(Debug)]
struct Needed {
    id: String,
    /// The one that we gave it.
    address: Option<Ipv4Addr>,
    all: AllNeeded,
    unwanted: UnboundedSender<Unwanted>,
}

/// The containers that somebody needs, by their ids.
pub(super) type AllNeeded = Arc<Mutex<HashSet<String>>>;

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "container {} at {}", self.id(), self.address)
    }
}

impl Drop for Needed {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.id);
        // Where nobody listens any more, the sweep at the run's end is near.
        let _ = self.unwanted.send(Unwanted {
            id: std::mem::take(&mut self.id),
            address: self.address.take(),
        });
    }
}

pub(super) fn lock(needed: &AllNeeded) -> MutexGuard<'_, HashSet<String>> {
    needed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Containers {
    /// Starts a container. `order` learns its number in the run, of which a port can be made: a target
    /// can then be told by its port alone, as those of processes can.
    pub(crate) async fn start(
        self: &Rc<Self>,
        image: Image,
        order: impl FnOnce(u16) -> Order,
    ) -> Result<Container> {
        let _waits = waits();
        let turn = Arc::clone(&self.turns).acquire_owned().await?;
        let network = self.network().await?.name.clone();
        let order = order(self.count_one());
        let containers = Rc::clone(self);
        let start = async move {
            let started = containers.start_in(network, image, order).await;
            drop(turn);
            started
        };
        // On its own: a story that is broken off meanwhile drops the container when it is there, and
        // the end of the run waits for that. What is half begun could not be found and removed.
        let start = match Scene::current() {
            Some(scene) => tokio::task::spawn_local(async move { scene.play(start).await }),
            None => tokio::task::spawn_local(start),
        };
        start.await?
    }

    async fn start_in(
        self: Rc<Self>,
        network: String,
        image: Image,
        order: Order,
    ) -> Result<Container> {
        let (name, tag) = self.image(image)?;
        let title = if order.title.is_empty() {
            name
        } else {
            &order.title
        };
        let mut request = GenericImage::new(name, tag)
            .with_network(&network)
            .with_label(LABEL, self.run.to_string())
            .with_cmd(order.arguments)
            .with_log_consumer(watched(title));
        for (from, to) in order.files {
            request = request.with_copy_to(to, from);
        }
        let own = order.leaves.then(|| self.own_address()).transpose()?;
        let started = request.start().await;
        if started.is_err() {
            self.addresses.borrow_mut().give_back(own);
        }
        let started = started.with_context(|| {
            format!("cannot start a container of {name}:{tag}, which `cargo xtask images` builds")
        })?;
        let started = ManuallyDrop::new(Box::new(started));
        let id = started.id().to_owned();
        lock(&self.needed).insert(id.clone());
        let what = format!(
            "{title}: container {id} in network {network}  \
             (docker rm --force {id}; docker network rm {network})"
        );
        let needed = Needed {
            id: id.clone(),
            address: own,
            all: Arc::clone(&self.needed),
            unwanted: self.unwanted.clone(),
        };
        let mut needed = Prop::new(needed, what);
        let address = match own {
            Some(own) => own,
            None => self.address_of(&id, &network).await?,
        };
        needed.describe(&format!("at {address}"));
        let container = Container {
            container: started,
            containers: self,
            network,
            address,
            leaves: order.leaves,
            _needed: needed,
        };
        // testcontainers cannot ask for an address: the container moves to it.
        if order.leaves {
            container.partition().await?;
            container.rejoin().await?;
        }
        Ok(container)
    }
}

/// The scenario is not to blame for how long Docker takes.
fn waits() -> Option<Waiting> {
    Scene::current().map(|scene| scene.waits())
}

/// Keeps what a container writes for the report of the scene that it is in.
fn watched(name: &str) -> impl Fn(&LogFrame) + Send + Sync + 'static {
    let log = Log::default();
    if let Some(scene) = Scene::current() {
        scene.watch(name, &log);
    }
    move |frame| {
        let (LogFrame::StdOut(bytes) | LogFrame::StdErr(bytes)) = frame;
        let text = String::from_utf8_lossy(bytes);
        text.lines().for_each(|line| log.push(line.to_owned()));
    }
}

impl Containers {
    /// Runs a container in the network of the host or of another container, to its end; what it
    /// printed. Fails unless it succeeded.
    pub(crate) async fn run_to_end(
        &self,
        image: Image,
        arguments: &[&str],
        network: &str,
    ) -> Result<String> {
        let _waits = waits();
        let network = network.to_owned();
        let (name, tag) = self.image(image)?;
        let started = GenericImage::new(name, tag)
            .with_wait_for(WaitFor::exit(ExitWaitStrategy::new()))
            .with_label(LABEL, self.run.to_string())
            .with_cap_add("NET_ADMIN")
            // Not `with_network`, which makes a network of every name that it does not know.
            .with_host_config_modifier(move |config| {
                config.network_mode = Some(network.clone());
                // Ports are those of the network that it is in.
                config.publish_all_ports = None;
            })
            .with_cmd(arguments.iter().copied())
            .start()
            .await;
        let container = ManuallyDrop::new(started?);
        let printed = container.stdout_to_vec().await?;
        let complained = container.stderr_to_vec().await?;
        let code = container.exit_code().await?;
        let _ = self.unwanted.send(Unwanted {
            id: container.id().to_owned(),
            address: None,
        });
        ensure!(
            code == Some(0),
            "{name} {arguments:?} ends with {code:?}: {}",
            String::from_utf8_lossy(&complained)
        );
        Ok(String::from_utf8_lossy(&printed).trim().to_owned())
    }
}

impl Container {
    fn id(&self) -> &str {
        self.container.id()
    }

    fn may_leave(&self) -> Result<()> {
        ensure!(self.leaves, "{self:?} was not started as one that leaves");
        Ok(())
    }

    /// SIGKILL, and nothing after it.
    pub(crate) async fn kill(&self) -> Result<()> {
        self.may_leave()?;
        let _waits = waits();
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        let docker = &self.containers.docker;
        docker.kill_container(self.id(), Some(options)).await?;
        until("the container has ended", PATIENCE, async || {
            Ok((!self.container.is_running().await?).then_some(()))
        })
        .await
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.may_leave()?;
        self.container.stop_with_timeout(Some(STOP_SECONDS)).await?;
        let code = self.container.exit_code().await?;
        // 137: it did not listen, and was killed.
        ensure!(code != Some(137), "{self:?} does not stop when asked to");
        Ok(())
    }

    /// Every process in it stands still. The kernel still answers for it: connections are accepted.
    pub(crate) async fn pause(&self) -> Result<()> {
        let _waits = waits();
        Ok(self.container.pause().await?)
    }

    pub(crate) async fn resume(&self) -> Result<()> {
        let _waits = waits();
        Ok(self.container.unpause().await?)
    }

    /// Takes the container off the network, without a FIN or a reset for anybody.
    pub(crate) async fn partition(&self) -> Result<()> {
        self.may_leave()?;
        let _waits = waits();
        let order = NetworkDisconnectRequest {
            container: self.id().to_owned(),
            force: Some(false),
        };
        let docker = &self.containers.docker;
        Ok(docker.disconnect_network(&self.network, order).await?)
    }

    /// Back on the network, at the same address.
    pub(crate) async fn rejoin(&self) -> Result<()> {
        let _waits = waits();
        let order = NetworkConnectRequest {
            container: self.id().to_owned(),
            endpoint_config: Some(EndpointSettings {
                ipam_config: Some(EndpointIpamConfig {
                    ipv4_address: Some(self.address.to_string()),
                    ..EndpointIpamConfig::default()
                }),
                ..EndpointSettings::default()
            }),
        };
        let docker = &self.containers.docker;
        Ok(docker.connect_network(&self.network, order).await?)
    }

    /// Starts it anew after it has ended.
    pub(crate) async fn restart(&self) -> Result<()> {
        let _waits = waits();
        Ok(self.container.start().await?)
    }

    /// Spoils its packets from now on; says by what means.
    pub(crate) async fn impair(&self, how: Impairment) -> Result<String> {
        match how {
            Impairment::Delay => self.network_tools("delay").await,
            Impairment::Loss => self.network_tools("loss").await,
        }
    }

    /// How many of its packets were dropped.
    pub(crate) async fn dropped(&self) -> Result<u64> {
        Ok(self.network_tools("told").await?.parse()?)
    }

    async fn network_tools(&self, order: &str) -> Result<String> {
        let network = format!("container:{}", self.id());
        self.containers
            .run_to_end(Image::NetworkTools, &[order], &network)
            .await
            .context("cannot reach into the container's network")
    }
}
