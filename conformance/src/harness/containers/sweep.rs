//! Removes containers and networks: those that a story has no use for any more, those of a run at its
//! end, and those of runs that were killed.

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::join_all;
use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error;
use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::LABEL;
use super::run::RunId;
use super::subnet::Addresses;
use crate::harness::until;

/// How long a run waits for all that it has made to go.
const CLEAN: Duration = Duration::from_secs(30);

/// Something of some run.
struct Thing {
    kind: Kind,
    id: String,
    run: Option<RunId>,
}

enum Kind {
    Container,
    Network,
}

/// A container that nobody needs any more.
#[derive(Debug)]
pub(super) struct Unwanted {
    pub(super) id: String,
    /// The one that we gave it.
    pub(super) address: Option<Ipv4Addr>,
}

/// Removes what comes, side by side, for as long as the run lasts; addresses are free again then.
pub(super) async fn janitor(
    docker: Docker,
    mut unwanted: mpsc::UnboundedReceiver<Unwanted>,
    addresses: Rc<RefCell<Addresses>>,
) {
    let mut removals = JoinSet::new();
    while let Some(Unwanted { id, address }) = unwanted.recv().await {
        let (docker, addresses) = (docker.clone(), Rc::clone(&addresses));
        removals.spawn_local(async move {
            // What fails here is met again at the end of the run, and told there.
            if remove(&docker, &id).await.is_ok() {
                addresses.borrow_mut().give_back(address);
            }
        });
    }
    while removals.join_next().await.is_some() {}
}

/// Removes everything that this run has made. What was asked for a moment ago, by a story that was
/// broken off, may still come. What stands stays, and the network with it.
pub(super) async fn run(docker: &Docker, run: &RunId, standing: &HashSet<String>) -> Result<()> {
    let label = format!("{LABEL}={run}");
    let is_waste = |thing: &Thing| match thing.kind {
        Kind::Container => !standing.contains(&thing.id),
        Kind::Network => standing.is_empty(),
    };
    let mut containers_left = true;
    let removed = until("everything is removed", CLEAN, async || {
        let swept = sweep(docker, &label, |thing| Ok(is_waste(thing))).await;
        let rest = containers(docker, &label).await?;
        containers_left = rest.iter().any(is_waste);
        swept?;
        let networks = networks(docker, &label).await?;
        Ok((!containers_left && !networks.iter().any(is_waste)).then_some(()))
    });
    match removed.await {
        // Docker 20 loses count of a network's endpoints now and then, and keeps it until the daemon is
        // started anew. That says nothing of the gateway.
        Err(error) if !containers_left => {
            eprintln!("Docker does not remove the run's empty network: {error:#}");
            Ok(())
        }
        other => other,
    }
}

/// Removes everything that was made by runs that are no more. What Docker will not remove is in nobody's
/// way.
pub(super) async fn dead_runs(docker: &Docker) {
    let swept = sweep(docker, LABEL, |thing| {
        thing.run.as_ref().map_or(Ok(true), RunId::is_dead)
    });
    if let Err(error) = swept.await {
        eprintln!("left behind by an earlier run: {error:#}");
    }
}

async fn sweep(
    docker: &Docker,
    label: &str,
    is_waste: impl Fn(&Thing) -> Result<bool>,
) -> Result<()> {
    let mut waste = Vec::new();
    for thing in containers(docker, label).await? {
        if is_waste(&thing)? {
            waste.push(thing.id);
        }
    }
    let mut problems = Vec::new();
    let removed = join_all(waste.iter().map(|id| remove(docker, id))).await;
    problems.extend(removed.into_iter().filter_map(Result::err));
    for network in networks(docker, label).await? {
        if is_waste(&network)?
            && let Err(error) = gone(docker.remove_network(&network.id).await)
        {
            problems.push(error);
        }
    }
    if let [first, ..] = problems.as_slice() {
        bail!("{} things cannot be removed: {first}", problems.len());
    }
    Ok(())
}

async fn remove(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true);
    gone(docker.remove_container(id, Some(options.build())).await)
}

/// What is gone, or just going, is as good as removed.
fn gone(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(Error::DockerResponseServerError {
            status_code: 404 | 409,
            ..
        }) => Ok(()),
        other => other,
    }
}

async fn containers(docker: &Docker, label: &str) -> Result<Vec<Thing>> {
    let filters = [("label".to_owned(), vec![label.to_owned()])].into();
    let options = ListContainersOptionsBuilder::new().all(true);
    let options = options.filters(&filters).build();
    let found = docker.list_containers(Some(options)).await?;
    let found = found.into_iter().map(|one| {
        thing(
            Kind::Container,
            one.id,
            one.labels.unwrap_or_default().get(LABEL),
        )
    });
    Ok(found.collect())
}

async fn networks(docker: &Docker, label: &str) -> Result<Vec<Thing>> {
    let filters = [("label".to_owned(), vec![label.to_owned()])].into();
    let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
    let found = docker.list_networks(Some(options)).await?;
    let found = found.into_iter().map(|one| {
        thing(
            Kind::Network,
            one.id,
            one.labels.unwrap_or_default().get(LABEL),
        )
    });
    Ok(found.collect())
}

fn thing(kind: Kind, id: Option<String>, run: Option<&String>) -> Thing {
    Thing {
        kind,
        id: id.unwrap_or_default(),
        run: run.and_then(|run| run.parse().ok()),
    }
}
