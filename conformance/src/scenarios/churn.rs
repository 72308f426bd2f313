//! Reconfiguration under load: hundreds of WebSockets echo and requests come steadily, while resources
//! are added, changed and removed at random, and once the gateway is killed and restarted.
//!
//! A model says what may be seen at any time; whatever it does not explain fails the scenario. What is
//! done follows from `--seed`.

mod connect;
mod driver;
mod plan;
mod requests;
mod resources;
mod scene;
mod sockets;
mod timeline;
mod world;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_util::future::try_join_all;
use tokio::task::JoinSet;

use driver::Driver;
use plan::{Plan, Supplies};
use resources::document;
use scene::Scene;
use world::World;

use crate::harness::backend::{TestBackend, Wish};
use crate::harness::document::Document;
use crate::harness::gateway::Gateway;
use crate::harness::ports::{free_port, free_ports};
use crate::harness::until;
use crate::scenario::{self, Plot, Scenario, Stage, Told};

const NAME: &str = "500 WebSockets and steady HTTP through random changes and a kill -9";

const SOCKETS: usize = 500;
/// Clients with one request on each connection, and with many.
const FRESH: usize = 6;
const KEPT: usize = 10;
/// Hosts, and so many ports on each of them: members differ by one, by the other, or by both.
const BACKENDS: u8 = 4;
const PORTS: u16 = 4;
/// More port numbers than ports, so that listeners can move.
const NUMBERS: usize = 10;
/// To open all WebSockets, on a busy machine.
const ALL_OPEN: Duration = Duration::from_secs(90);
/// For all that comes before and after the changes.
const SPARE: Duration = Duration::from_secs(300);
/// Between two operations, at most.
const PAUSE_MILLIS: u64 = 250;

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        group: "churn",
        name: NAME.to_owned(),
        clause: "design 4, docs/reconfiguration.md",
        plot: Plot::LongStory(scenario::story(churn)),
    }]
}

async fn churn(stage: Stage) -> Result<Told> {
    let mut random = stage.random(NAME);
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let first = free_ports(PORTS)?;
    let backends = try_join_all((1..=BACKENDS).map(|number| backend(&stage, number, first)));
    let backends = backends.await?;
    let supplies = supplies(&stage, &backends, first, taken.local_addr()?.port())?;
    let world = World::new(supplies.beginning());
    let document = Document::from_json(document(&world.resources));
    let gateway = Gateway::with_state(&stage.programs, document).await?;
    let scene = Scene::new(
        world,
        supplies.numbers.clone(),
        backends
            .iter()
            .map(|it| Ok((it.name.clone(), address(it)?)))
            .collect::<Result<_>>()?,
        stage.certificates.client.clone(),
    );
    let uris = supplies.certificates.iter().map(|uri| (**uri).to_owned());
    let mut driver = Driver::new(
        Rc::clone(&scene),
        gateway,
        uris.zip(stage.certificates.leaves.clone()).collect(),
        supplies.numbers.clone(),
        random.fork(),
    );
    let plan = Plan::new(random.u64(..), supplies);
    let running = run(&mut driver, plan, stage.churn, &mut random);
    let told = match tokio::time::timeout(stage.churn + SPARE, running).await {
        Ok(told) => told,
        Err(_) => Err(anyhow!("not done {SPARE:?} after the changes should end")),
    };
    told.map(Told::Measured)
        .map_err(|error| explain(&driver, error))
}

/// A host of its own with a backend at each of the ports from `first` on.
async fn backend(stage: &Stage, number: u8, first: u16) -> Result<TestBackend> {
    let name = format!("b{number}");
    let wish = Wish {
        port: Some(first),
        more: PORTS - 1,
        loopback: Ipv4Addr::new(127, 4, 0, number),
        ..Wish::default()
    };
    Ok(TestBackend::start_as(stage, &name, wish).await?.0)
}

fn address(backend: &TestBackend) -> Result<Ipv4Addr> {
    match backend.address {
        SocketAddr::V4(at) => Ok(*at.ip()),
        SocketAddr::V6(at) => bail!("a backend at {at}"),
    }
}

fn supplies(stage: &Stage, backends: &[TestBackend], first: u16, taken: u16) -> Result<Supplies> {
    let certificates = [stage.certificates.gateway(), stage.certificates.renewed()];
    Ok(Supplies {
        numbers: (0..NUMBERS).map(|_| free_port()).collect::<Result<_>>()?,
        hosts: backends.iter().map(address).collect::<Result<_>>()?,
        ports: (first..).take(PORTS.into()).collect(),
        certificates: certificates.map(|file| format!("file://{}", file.display()).into()),
        taken,
    })
}

/// Opens everything, changes everything, looks at everything once more.
async fn run(
    driver: &mut Driver,
    mut plan: Plan,
    length: Duration,
    random: &mut fastrand::Rng,
) -> Result<String> {
    let scene = Rc::clone(&driver.scene);
    driver.begin().await?;
    let mut clients = JoinSet::new();
    for number in 0..SOCKETS {
        clients.spawn_local(sockets::keep_open(
            Rc::clone(&scene),
            number as u64,
            random.fork(),
        ));
    }
    all_open(&scene).await?;
    for number in 0..FRESH + KEPT {
        let most = if number < FRESH { 1 } else { 30 };
        clients.spawn_local(requests::keep_asking(
            Rc::clone(&scene),
            most,
            random.fork(),
        ));
    }
    for operation in plan.all_bad() {
        driver.perform(operation).await?;
    }
    let started = Instant::now();
    let mut killed = false;
    while started.elapsed() < length {
        let world = scene.settled();
        if killed || started.elapsed() < length / 2 {
            driver.perform(plan.next(&world)).await?;
        } else {
            killed = true;
            let change = plan.careful(&world);
            driver.kill(&change).await?;
            all_open(&scene).await.context("after the kill")?;
        }
        no_fault(&scene)?;
        // Sometimes at once, sometimes when the clients have seen what the last one did.
        tokio::time::sleep(Duration::from_millis(random.u64(..PAUSE_MILLIS))).await;
    }
    until("the last drain ends", ALL_OPEN, async || {
        no_fault(&scene)?;
        Ok((!scene.is_draining()).then_some(()))
    })
    .await?;
    all_open(&scene).await.context("at the end")?;
    scene.is_ending.set(true);
    let all = async {
        while clients.join_next().await.transpose()?.is_some() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(ALL_OPEN, all)
        .await
        .context("the clients do not end")??;
    no_fault(&scene)?;
    Ok(figures(driver))
}

async fn all_open(scene: &Scene) -> Result<()> {
    until("all WebSockets are open", ALL_OPEN, async || {
        no_fault(scene)?;
        Ok((scene.open_tunnels() == SOCKETS).then_some(()))
    })
    .await
    .with_context(|| format!("{} are open", scene.open_tunnels()))
}

fn no_fault(scene: &Scene) -> Result<()> {
    let mut faults = scene.faults();
    faults.extend(scene.overdue());
    let count = faults.len();
    faults.truncate(5);
    ensure!(
        count == 0,
        "{count} faults, the first of them\n{}",
        faults.join("\n")
    );
    Ok(())
}

/// What went wrong, with what was done before it and what the gateway said.
fn explain(driver: &Driver, error: anyhow::Error) -> anyhow::Error {
    let mut text = String::new();
    for line in &driver.log {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    }
    let log = driver.gateway.log().tail(40);
    error.context(format!("the last operations\n{text}gateway log\n{log}"))
}

fn figures(driver: &Driver) -> String {
    let counts = &driver.scene.counts;
    let at = |times: &[Duration], part: usize| {
        let mut times = times.to_vec();
        times.sort_unstable();
        let index = (times.len() * part / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default().as_secs_f64() * 1e3
    };
    let latencies = &driver.latencies;
    format!(
        "{} operations to revision {}; {} messages on {} WebSockets, {} of them drained within {:.1} s; \
         {} requests, {} connections that a change ended; live within {:.1} ms (p50) and {:.1} ms (p95), \
         of which apply {:.1} and {:.1}, store {:.1} and {:.1} besides",
        driver.done,
        driver.scene.revision.get(),
        counts.messages.get(),
        counts.opened.get(),
        counts.drained.get(),
        counts.longest_drain.get().as_secs_f64(),
        counts.requests.get(),
        counts.failed.get(),
        at(&latencies.whole, 50),
        at(&latencies.whole, 95),
        at(&latencies.apply, 50),
        at(&latencies.apply, 95),
        at(&latencies.store, 50),
        at(&latencies.store, 95),
    )
}
