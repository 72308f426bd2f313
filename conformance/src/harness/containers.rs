//! The containers of one run: a private network of its own, an address for each container, and the
//! certainty that nothing of it is left behind.
//!
//! `testcontainers` starts them. Removing them is done here and not by its `Drop`, which would hold
//! up the one thread of the run, with every other story on it, until Docker has answered.

mod container;
mod run;
mod subnet;
mod sweep;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use testcontainers::core::client::docker_client_instance;
use tokio::sync::{OnceCell, Semaphore, mpsc};

use container::AllNeeded;
pub(crate) use container::{Container, Image, Impairment, Order, SERVER_PORT};
use run::RunId;
use subnet::{Addresses, Subnet};
use sweep::Unwanted;

/// On everything that a run makes; its value is the run's [`RunId`].
const LABEL: &str = "open-application-gateway.conformance.run";
/// How long the daemon may take to say that it is there.
const PING: Duration = Duration::from_secs(5);
/// So many containers start at once. With more, each takes as much longer, and orders of stories that
/// measure wait behind them.
const STARTS_AT_ONCE: usize = 4;
/// How long the end of a run waits for those that are just starting.
const START: Duration = Duration::from_secs(30);

/// What `cargo xtask images` has built: each image's name, with its tag.
type Images = BTreeMap<String, String>;

/// Docker, as one run uses it.
pub(crate) struct Containers {
    docker: Docker,
    run: RunId,
    images: Images,
    /// Made for the first container.
    network: OnceCell<Network>,
    addresses: Rc<RefCell<Addresses>>,
    /// How many containers there were.
    count: Cell<u16>,
    /// Who may start a container; nobody, when the run is over.
    turns: Arc<Semaphore>,
    unwanted: mpsc::UnboundedSender<Unwanted>,
    /// Those that are needed; at the end of the run, those that are left standing.
    needed: AllNeeded,
}

#[derive(Debug)]
struct Network {
    name: String,
    subnet: Subnet,
}

/// The daemon's version, if there is one and it answers.
pub(crate) async fn daemon() -> Result<String> {
    let docker = docker_client_instance().await?;
    let version = tokio::time::timeout(PING, docker.version()).await;
    let version = version.context("the Docker daemon does not answer")??;
    Ok(version.version.unwrap_or_default())
}

impl Containers {
    /// Removes what dead runs have left, and is ready to start containers of the images that `file`
    /// names. Inside a `LocalSet`.
    pub(crate) async fn open(file: &Path) -> Result<Rc<Self>> {
        let images = std::fs::read(file)
            .with_context(|| format!("no {}: run `cargo xtask images`", file.display()))?;
        let images = serde_json::from_slice(&images)
            .with_context(|| format!("{} is no list of images", file.display()))?;
        let docker = docker_client_instance().await?;
        sweep::dead_runs(&docker).await;
        let (unwanted, ids) = mpsc::unbounded_channel();
        let addresses = Rc::default();
        let janitor = sweep::janitor(docker.clone(), ids, Rc::clone(&addresses));
        tokio::task::spawn_local(janitor);
        Ok(Rc::new(Self {
            docker,
            run: RunId::of_this_process()?,
            images,
            network: OnceCell::new(),
            addresses,
            count: Cell::new(0),
            turns: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
            unwanted,
            needed: AllNeeded::default(),
        }))
    }

    /// Removes all containers of this run and its network, but for those that are left standing.
    pub(crate) async fn close(&self) -> Result<()> {
        // Those that are just starting must be there to be removed.
        let starting = self.turns.acquire_many(STARTS_AT_ONCE as u32);
        if tokio::time::timeout(START, starting).await.is_ok() {
            self.turns.close();
        }
        let standing = container::lock(&self.needed).clone();
        sweep::run(&self.docker, &self.run, &standing).await
    }

    /// How many were started so far.
    pub(crate) fn count(&self) -> u16 {
        self.count.get()
    }

    fn image(&self, image: Image) -> Result<(&str, &str)> {
        let tagged = self.images.get(image.name()).with_context(|| {
            format!("no image {}: run `cargo xtask images` again", image.name())
        })?;
        tagged
            .rsplit_once(':')
            .with_context(|| format!("{tagged} has no tag"))
    }

    async fn network(&self) -> Result<&Network> {
        let network = self.network.get_or_try_init(|| self.make_network());
        network.await.context("no private network")
    }

    /// The number of one more container in this run.
    fn count_one(&self) -> u16 {
        self.count.set(self.count.get() + 1);
        self.count.get()
    }

    /// An address that Docker gives to nobody, and that no other container has.
    fn own_address(&self) -> Result<Ipv4Addr> {
        let Network { subnet, .. } = self.network.get().context("no private network")?;
        let address = self.addresses.borrow_mut().take(*subnet);
        address.with_context(|| format!("{subnet} is used up"))
    }

    /// Where Docker has put a container.
    async fn address_of(&self, id: &str, network: &str) -> Result<Ipv4Addr> {
        let found = self.docker.inspect_container(id, None).await?;
        let networks = found.network_settings.and_then(|all| all.networks);
        let place = networks.and_then(|mut all| all.remove(network));
        let address = place.and_then(|place| place.ip_address?.parse().ok());
        address.with_context(|| format!("container {id} has no address in {network}"))
    }

    /// Docker gives fixed addresses only in a subnet that somebody has asked for, and knows best which
    /// one is free: so it chooses one, and is asked for the same again.
    async fn make_network(&self) -> Result<Network> {
        const ATTEMPTS: usize = 10;
        let name = format!("conformance-{}", self.run);
        let mut refused = None;
        for _ in 0..ATTEMPTS {
            let chosen = self.docker.create_network(self.description(&name, None));
            chosen.await?;
            let made = self.docker.inspect_network(&name, None).await;
            self.docker.remove_network(&name).await?;
            let subnet = subnet_of(made?.ipam).context("the network has no IPv4 subnet")?;
            let again = self.description(&name, Some(&subnet));
            match self.docker.create_network(again).await {
                Ok(_) => {
                    if UdpSocket::bind((subnet.host(), 0)).is_err() {
                        self.docker.remove_network(&name).await?;
                        bail!(
                            "this machine is not on its containers' network (rootless Docker, or \
                             Docker on another machine): use --backends process"
                        );
                    }
                    return Ok(Network { name, subnet });
                }
                // Somebody else was faster.
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.context("no attempt")?.into())
    }

    fn description(&self, name: &str, subnet: Option<&Subnet>) -> NetworkCreateRequest {
        let ipam = subnet.map(|subnet| Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(subnet.to_string()),
                gateway: Some(subnet.host().to_string()),
                // What Docker gives away stays clear of what we give to those that leave and come back:
                // it would give their address to somebody else meanwhile.
                ip_range: Some(subnet.upper_half().to_string()),
                ..IpamConfig::default()
            }]),
            ..Ipam::default()
        });
        NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            internal: Some(true),
            ipam,
            labels: Some([(LABEL.to_owned(), self.run.to_string())].into()),
            ..NetworkCreateRequest::default()
        }
    }
}

fn subnet_of(ipam: Option<Ipam>) -> Option<Subnet> {
    let configs = ipam?.config?.into_iter();
    let mut subnets = configs.filter_map(|config| config.subnet);
    subnets.find_map(|subnet| subnet.parse().ok())
}
