//! Members that are names: a name server and a resolver of their own, so that the answer is the
//! scenario's to change.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::deaths::Fate;
use super::load::{Kind, Load, numbers};
use super::pair::{Leg, document, target, wait_for};
use super::tunnels::Tunnels;
use super::verdict::{fated, no_failures};
use super::{SLACK, SOON};
use crate::harness::backend::{TestBackend, Wish};
use crate::harness::gateway::Gateway;
use crate::harness::name_server::NameServer;
use crate::harness::ports::free_port;
use crate::harness::site::{explain, timed};
use crate::harness::{NotHere, until};
use crate::scenario::{Stage, Told};

/// Every answer may be kept for a second.
pub(super) const TTL: Duration = Duration::from_secs(1);
/// The member of the pool.
const MEMBER: &str = "member.backend.test";
/// The system lets nobody but the superuser listen on a port below 1024.
const DNS_PORT: u16 = 53;

/// A name server, and a wrapper for a program that is to ask it.
pub(super) struct Resolver {
    names: NameServer,
    wrapper: Vec<String>,
    /// No other resolver of this machine has it.
    number: u8,
    _folder: tempfile::TempDir,
}

impl Resolver {
    /// Not everywhere: it takes a name server on port 53 of some loopback address, and a mount
    /// namespace with an `/etc/resolv.conf` of its own.
    pub(super) async fn start() -> Result<Self> {
        let mut refused = None;
        for number in 1..=u8::MAX {
            let at = SocketAddr::from(([127, 0, 53, number], DNS_PORT));
            match NameServer::start(at).await {
                Ok(names) => return Self::before(names, at, number).await,
                // Another scenario's, or another run's.
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    refused = Some(format!("cannot listen on {at}: {error}"));
                    break;
                }
            }
        }
        Err(NotHere::Resolver(refused.unwrap_or("no loopback address is free".into())).into())
    }

    async fn before(names: NameServer, at: SocketAddr, number: u8) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("resolv.conf");
        std::fs::write(
            &file,
            format!("nameserver {}\noptions timeout:1\n", at.ip()),
        )?;
        let Some(wrapper) = wrapper(&file).await else {
            let why = "no mount namespace can be made here".to_owned();
            return Err(NotHere::Resolver(why).into());
        };
        Ok(Self {
            names,
            wrapper,
            number,
            _folder: folder,
        })
    }

    /// What every name has from now on.
    pub(super) fn answer(&self, backends: &[&TestBackend]) {
        let addresses = backends.iter().filter_map(|backend| match backend.address {
            SocketAddr::V4(address) => Some(*address.ip()),
            SocketAddr::V6(_) => None,
        });
        self.names.set(addresses.collect());
    }

    /// Backends at one port of addresses of their own: a name has no port.
    pub(super) async fn backends<const COUNT: usize>(
        &self,
        stage: &Stage,
        leg: Leg,
    ) -> Result<[TestBackend; COUNT]> {
        let file = stage.certificates.backend();
        let tls = (leg == Leg::Tls).then_some(file.as_path());
        let mut backends: Vec<TestBackend> = Vec::new();
        for place in 1..=COUNT {
            let port = backends.first().map(|first| first.address.port());
            let wish = Wish {
                tls,
                port,
                loopback: Ipv4Addr::new(127, 1, u8::try_from(place)?, self.number),
                ..Wish::default()
            };
            let name = format!("b{place}");
            backends.push(TestBackend::start_as(stage, &name, wish).await?.0);
        }
        Ok(backends.try_into().expect("as many as were asked for"))
    }

    /// A gateway whose only member is the name.
    pub(super) async fn gateway(
        &self,
        stage: &Stage,
        leg: Leg,
        probe: &Value,
        member_port: u16,
    ) -> Result<(Gateway, SocketAddr)> {
        let port = free_port()?;
        let member = json!({ "fqdn": MEMBER, "port": member_port });
        let pool = json!({ "backendAddresses": [member] });
        let document = document(leg, &stage.certificates, probe)
            .with("backendAddressPools", "pool", pool)
            .http(port, "pool", "settings");
        let programs = &stage.programs;
        let gateway = Gateway::with_file_in(programs, document, Some(&self.wrapper)).await?;
        Ok((gateway, SocketAddr::from(([127, 0, 0, 1], port))))
    }
}

/// A command that becomes another one which sees `resolv` as `/etc/resolv.conf`.
async fn wrapper(resolv: &Path) -> Option<Vec<String>> {
    let script = format!(
        "mount --bind '{}' /etc/resolv.conf && exec \"$@\"",
        resolv.display()
    );
    let wrapper = ["unshare", "--mount", "sh", "-c", &script, "sh"]
        .map(str::to_owned)
        .to_vec();
    let mut trial = tokio::process::Command::new(&wrapper[0]);
    let trial = trial.args(&wrapper[1..]).arg("true").output().await.ok()?;
    trial.status.success().then_some(wrapper)
}

/// Waits until the gateway has this target, or has it no more.
pub(super) async fn wait_until_known(
    gateway: &Gateway,
    address: SocketAddr,
    known: bool,
    limit: Duration,
) -> Result<()> {
    until(&format!("{address} known: {known}"), limit, async || {
        let is_known = target(gateway, address).await?.is_some();
        Ok((is_known == known).then_some(()))
    })
    .await
}

/// While the name is gone the last good answer counts; where it moves, traffic goes.
pub(super) async fn goes_away(stage: Stage) -> Result<Told> {
    let resolver = Resolver::start().await?;
    let [there, elsewhere] = resolver.backends(&stage, Leg::Plain).await?;
    resolver.answer(&[&there]);
    let port = there.address.port();
    let opened = resolver
        .gateway(&stage, Leg::Plain, &json!({}), port)
        .await?;
    let (gateway, front) = opened;
    let told = async {
        wait_for(&gateway, there.address, "Up", SOON).await?;
        let load = Load::start(front, Kind::Requests);
        resolver.answer(&[]);
        // Three probes take longer than the answer may be kept.
        let probes = there.probes().await?;
        until("probes go on past the TTL", SOON, async || {
            Ok((there.probes().await? > probes + 3).then_some(()))
        })
        .await?;
        load.served(&["b1"], 5, load.next(), SOON).await?;
        resolver.answer(&[&elsewhere]);
        // A failing question is asked again after 1, 2, 4 seconds.
        load.served(&["b2"], 5, load.next(), SOON).await?;
        no_failures(&load.stop().await)
    };
    told.await.map_err(|error| explain(gateway.log(), error))?;
    Ok(Told::Whole)
}

/// One address of two goes, a third comes: traffic follows, and the one that stays never notices.
pub(super) async fn moves(stage: Stage) -> Result<Told> {
    let resolver = Resolver::start().await?;
    let [goes, stays, comes] = resolver.backends(&stage, Leg::Plain).await?;
    resolver.answer(&[&goes, &stays]);
    let port = goes.address.port();
    let opened = resolver
        .gateway(&stage, Leg::Plain, &json!({}), port)
        .await?;
    let (gateway, front) = opened;
    let told = async {
        for backend in [&goes, &stays] {
            wait_for(&gateway, backend.address, "Up", SOON).await?;
        }
        let (since, _) = wait_for(&gateway, stays.address, "Up", SOON).await?;
        let tunnels = Tunnels::open(front).await?;
        let load = Load::start(front, Kind::Requests);
        load.served(&["b1", "b2"], 5, 0, SOON).await?;

        resolver.answer(&[&stays, &comes]);
        let gone = timed(wait_until_known(&gateway, goes.address, false, SOON));
        let ((), gone) = gone.await?;
        ensure!(gone <= TTL + SLACK, "it followed after {gone:?}");
        let from = load.next();
        load.served(&["b2", "b3"], 20, from, SOON).await?;
        let until = load.next();
        no_failures(&load.stop().await)?;
        let seen = numbers(&goes.requests().await?);
        let late: Vec<usize> = seen.into_iter().filter(|number| *number >= from).collect();
        ensure!(late.is_empty(), "of {from}..{until}, b1 was sent {late:?}");

        let (still, _) = wait_for(&gateway, stays.address, "Up", SOON).await?;
        ensure!(
            since == still,
            "the health of the one that stays began anew"
        );
        tunnels.echo_on("b2", SOON).await?;
        fated(&tunnels.of("b2"), &[], Fate::GoOn, Instant::now())?;
        Ok(format!("followed after {:.1} s", gone.as_secs_f64()))
    };
    let figures = told.await.map_err(|error| explain(gateway.log(), error))?;
    Ok(Told::Measured(figures))
}
