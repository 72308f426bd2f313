//! Probes and eviction: a backend that stops answering its probe gets nothing more; one success
//! brings it back (reference section 5, design of the health state machine).

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::harness::backend::TestBackend;
use crate::harness::document::{Document, quick_probe};
use crate::harness::gateway::Gateway;
use crate::harness::name_server::NameServer;
use crate::harness::ports::free_port;
use crate::harness::site::{Site, backend_of, get, timed, wait_for_health};
use crate::harness::{PATIENCE, until};
use crate::scenario::{Plot, Scenario, Stage, Told};

const GROUP: &str = "eviction";

/// interval + (threshold - 1) * max(interval, timeout) + timeout, of the quick probe.
const BOUND: Duration = Duration::from_secs(3);
/// What jitter and a busy machine add.
const SLACK: Duration = Duration::from_millis(1500);

/// One way to fall ill.
struct Illness {
    name: &'static str,
    clause: &'static str,
    /// What goes wrong at the backend.
    fault: &'static str,
    /// Of the probe.
    probe: fn() -> Value,
    /// One of these is in the probe log.
    reason: &'static [&'static str],
}

const NOTHING: fn() -> Value = || json!({});
const WANTS_BODY: fn() -> Value = || json!({ "match": { "body": "is healthy" } });

const ILLNESSES: &[Illness] = &[
    Illness {
        name: "connections are refused",
        clause: "reference 5",
        fault: "?refuse=true",
        probe: NOTHING,
        reason: &["refused"],
    },
    Illness {
        name: "the probe hangs",
        clause: "reference 5",
        fault: "/health?mode=hang",
        probe: NOTHING,
        reason: &["no answer within", "timeout", "timed out"],
    },
    Illness {
        name: "the probe gets 500",
        clause: "reference 5",
        fault: "/health?status=500",
        probe: NOTHING,
        reason: &["500"],
    },
    Illness {
        name: "the probe gets 404",
        clause: "reference 5",
        fault: "/health?status=404",
        probe: NOTHING,
        reason: &["404"],
    },
    Illness {
        name: "a status outside a narrow match",
        clause: "reference 5 (match)",
        fault: "/health?status=302",
        probe: || json!({ "match": { "statusCodes": ["200-204", "418"] } }),
        reason: &["302"],
    },
    Illness {
        name: "the body lacks the text",
        clause: "reference 5 (match)",
        fault: "/health?body=ill",
        probe: WANTS_BODY,
        reason: &["body"],
    },
    Illness {
        name: "the probe is slower than its timeout",
        clause: "reference 5",
        fault: "/health?delayMs=1500",
        probe: NOTHING,
        reason: &["no answer within", "timeout", "timed out"],
    },
    Illness {
        name: "the probe is reset",
        clause: "reference 5",
        fault: "/health?mode=reset",
        probe: NOTHING,
        reason: &["reset", "closed"],
    },
    Illness {
        name: "the probe is closed without an answer",
        clause: "reference 5",
        fault: "/health?mode=empty",
        probe: NOTHING,
        reason: &["closed"],
    },
    Illness {
        name: "the probe gets garbage",
        clause: "reference 5",
        fault: "/health?mode=garbage",
        probe: NOTHING,
        reason: &["not valid HTTP", "HTTP"],
    },
    Illness {
        name: "the probe's body is truncated",
        clause: "reference 5 (match)",
        fault: "/health?mode=truncated",
        probe: WANTS_BODY,
        reason: &["closed", "body"],
    },
];

pub(crate) fn scenarios() -> Vec<Scenario> {
    let illnesses = ILLNESSES.iter().map(|illness| {
        story(illness.name, illness.clause, move |stage| {
            falls_ill_and_recovers(stage, illness)
        })
    });
    let others = [
        story("the process is killed", "reference 5", is_killed),
        story("no flap below the threshold", "reference 5", does_not_flap),
        story(
            "one success brings a target back",
            "reference 5",
            one_success,
        ),
        story(
            "all down: 502 at once, with the reason",
            "reference 5",
            all_down,
        ),
        story("an empty pool: 502 at once", "reference 5", empty_pool),
        story(
            "minServers members stay in",
            "reference 5 (minServers)",
            min_servers,
        ),
        story(
            "HTTPS: a certificate that expired",
            "reference 5, 8",
            tls_expires,
        ),
        story("DNS: a name that goes away", "reference 3", name_goes_away),
    ];
    illnesses.chain(others).collect()
}

fn story<F>(name: &str, clause: &'static str, tell: impl Fn(Stage) -> F + 'static) -> Scenario
where
    F: Future<Output = Result<Told>> + 'static,
{
    Scenario {
        group: GROUP,
        name: name.to_owned(),
        clause,
        plot: Plot::Story(Rc::new(move |stage| tell(stage).boxed_local())),
    }
}

async fn falls_ill_and_recovers(stage: Stage, illness: &'static Illness) -> Result<Told> {
    let site = Site::open(&stage, (illness.probe)(), false).await?;
    let told = async {
        shares_the_load(&site).await?;
        site.backends[0].fault(illness.fault).await?;
        evicted(&site, illness.reason).await?;
        site.backends[0].heal().await?;
        comes_back(&site).await
    };
    told.await.map_err(|error| site.explain(error))?;
    Ok(Told::Whole)
}

/// Both backends get requests.
async fn shares_the_load(site: &Site) -> Result<()> {
    until("both backends answer", PATIENCE, async || {
        let mut seen = [false; 2];
        for _ in 0..8 {
            let name = backend_of(&site.get("/").await?)?;
            seen[usize::from(name == site.backends[1].name)] = true;
        }
        Ok((seen == [true; 2]).then_some(()))
    })
    .await
}

/// The first backend goes down within the bound, for one of `reasons`; from then on it is sent
/// nothing, and no client notices.
async fn evicted(site: &Site, reasons: &[&str]) -> Result<()> {
    let (reason, took) = timed(site.wait_for(0, "Down", BOUND + SLACK)).await?;
    ensure!(
        reasons.iter().any(|expected| reason.contains(expected)),
        "after {took:?} the probe log says {reason:?}, and none of {reasons:?}"
    );
    let before = site.backends[0].requests().await?.len();
    for number in 0..20 {
        let answer = site.get(&format!("/after/{number}")).await?;
        ensure!(
            answer.status == 200,
            "after the eviction: {} {}",
            answer.status,
            answer.text()
        );
        ensure!(backend_of(&answer)? == "b2", "the evicted backend answers");
        let (_, name) = site.websocket(&format!("/ws/after/{number}")).await?;
        ensure!(name == "b2", "the evicted backend gets a handshake");
    }
    let after = site.backends[0].requests().await?;
    ensure!(
        after.len() == before,
        "the evicted backend was sent {:?}",
        &after[before..]
    );
    Ok(())
}

async fn comes_back(site: &Site) -> Result<()> {
    site.wait_for(0, "Up", BOUND + SLACK).await?;
    shares_the_load(site).await
}

/// Not a fault of its own making: the process is gone, and a new one comes at the same address.
async fn is_killed(stage: Stage) -> Result<Told> {
    let mut site = Site::open(&stage, json!({}), false).await?;
    let address = site.backends[0].address;
    site.backends[0].kill().await?;
    let reason = site
        .wait_for(0, "Down", BOUND + SLACK)
        .await
        .map_err(|error| site.explain(error))?;
    ensure!(reason.contains("refused"), "the probe log says {reason:?}");
    for _ in 0..20 {
        let answer = site.get("/").await?;
        ensure!(backend_of(&answer)? == "b2", "the dead backend answers");
    }
    site.backends[0] = TestBackend::start_at(&stage.programs, "b1", address, None).await?;
    comes_back(&site)
        .await
        .map_err(|error| site.explain(error))?;
    Ok(Told::Whole)
}

/// One failure below the threshold of two, over and over: the target stays.
async fn does_not_flap(stage: Stage) -> Result<Told> {
    let probe = json!({ "unhealthyThreshold": 3 });
    let site = Site::open(&stage, probe, false).await?;
    let backend = &site.backends[0];
    for _ in 0..2 {
        backend.fault("/health?status=500").await?;
        let before = backend.probes().await?;
        until("a probe fails", BOUND + SLACK, async || {
            Ok((backend.probes().await? > before).then_some(()))
        })
        .await?;
        backend.heal().await?;
        let failed = backend.probes().await?;
        ensure!(
            failed < before + 3,
            "the machine is too slow for this scenario"
        );
        until("a probe succeeds", BOUND + SLACK, async || {
            Ok((backend.probes().await? > failed).then_some(()))
        })
        .await?;
        let target = site.gateway.admin.target(backend.address.port()).await?;
        ensure!(target.health == "Up", "below the threshold: {target:?}");
    }
    let log = site.gateway.log().lines();
    let down = log
        .iter()
        .find(|line| line.contains("Down") && line.contains("health"));
    ensure!(down.is_none(), "a transition was logged: {down:?}");
    Ok(Told::Whole)
}

/// Down, then exactly one good probe is enough.
async fn one_success(stage: Stage) -> Result<Told> {
    let site = Site::open(&stage, json!({}), false).await?;
    let backend = &site.backends[0];
    backend.fault("/health?status=500").await?;
    site.wait_for(0, "Down", BOUND + SLACK).await?;
    backend.heal().await?;
    let before = backend.probes().await?;
    site.wait_for(0, "Up", BOUND + SLACK).await?;
    let probes = backend.probes().await? - before;
    ensure!(probes <= 2, "it took {probes} good probes");
    Ok(Told::Whole)
}

async fn all_down(stage: Stage) -> Result<Told> {
    let site = Site::open(&stage, json!({}), false).await?;
    for (index, backend) in site.backends.iter().enumerate() {
        backend.fault("/health?status=503").await?;
        site.wait_for(index, "Down", BOUND + SLACK).await?;
    }
    is_502_at_once(&site)
        .await
        .map_err(|error| site.explain(error))?;
    for backend in &site.backends {
        let seen = backend.requests().await?;
        ensure!(seen.is_empty(), "{} was sent {seen:?}", backend.name);
        backend.heal().await?;
    }
    site.wait_for(0, "Up", BOUND + SLACK).await?;
    ensure!(
        site.get("/").await?.status == 200,
        "nothing works after the recovery"
    );
    Ok(Told::Whole)
}

async fn is_502_at_once(site: &Site) -> Result<()> {
    let (answer, took) = timed(site.get("/")).await?;
    ensure!(answer.status == 502, "{} {}", answer.status, answer.text());
    ensure!(took < Duration::from_millis(500), "the 502 took {took:?}");
    ensure!(
        !answer.values("retry-after").is_empty(),
        "the 502 has no Retry-After"
    );
    ensure!(!answer.text().trim().is_empty(), "the 502 gives no reason");
    let ((_, answer), took) = timed(site.handshake("/chat")).await?;
    ensure!(
        answer.status == 502,
        "upgrade: {} {}",
        answer.status,
        answer.text()
    );
    ensure!(
        took < Duration::from_millis(500),
        "the upgrade's 502 took {took:?}"
    );
    ensure!(
        !answer.text().trim().is_empty(),
        "the upgrade's 502 gives no reason"
    );
    Ok(())
}

async fn empty_pool(stage: Stage) -> Result<Told> {
    let port = free_port()?;
    let document = Document::new()
        .with("probes", "quick", quick_probe())
        .with(
            "backendHttpSettingsCollection",
            "settings",
            crate::harness::document::plain_settings("quick"),
        )
        .pool("pool", &[])
        .http(port, "pool", "settings");
    let _gateway = Gateway::with_file(&stage.programs, document).await?;
    let (answer, took) = timed(get(SocketAddr::from(([127, 0, 0, 1], port)), "/")).await?;
    ensure!(answer.status == 502, "{} {}", answer.status, answer.text());
    ensure!(took < Duration::from_millis(500), "the 502 took {took:?}");
    Ok(Told::Whole)
}

/// Both ill, one of two must stay: requests go on.
async fn min_servers(stage: Stage) -> Result<Told> {
    let site = Site::open(&stage, json!({ "minServers": 1 }), false).await?;
    for backend in &site.backends {
        backend.fault("/health?status=500").await?;
    }
    let probes = site.backends[1].probes().await?;
    // Three more probes of each are more than the threshold.
    until("both are ill", 2 * (BOUND + SLACK), async || {
        Ok((site.backends[1].probes().await? > probes + 3).then_some(()))
    })
    .await?;
    let answer = site.get("/").await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    Ok(Told::Whole)
}

/// A TLS backend that comes back with a certificate whose time is over, and then with a good one.
async fn tls_expires(stage: Stage) -> Result<Told> {
    let certificates = &stage.certificates;
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let good = certificates.backend();
    let mut backend = TestBackend::start_at(&stage.programs, "b1", anywhere, Some(&good)).await?;
    let address = backend.address;
    let port = free_port()?;
    let mut probe = quick_probe();
    probe["protocol"] = json!("Https");
    let settings = json!({
        "port": 443,
        "protocol": "Https",
        "hostName": crate::harness::certificates::BACKEND_NAME,
        "requestTimeout": 5,
        "probe": { "id": "probes/quick" },
        "trustedRootCertificates": [{ "id": "trustedRootCertificates/root" }],
    });
    let document = Document::new()
        .with(
            "trustedRootCertificates",
            "root",
            json!({ "data": certificates.root }),
        )
        .with("probes", "quick", probe)
        .with("backendHttpSettingsCollection", "settings", settings)
        .pool("pool", &[address])
        .http(port, "pool", "settings");
    let gateway = Gateway::with_file(&stage.programs, document).await?;
    let front = SocketAddr::from(([127, 0, 0, 1], port));
    wait_for_health(&gateway, address.port(), "Up", PATIENCE).await?;
    ensure!(
        get(front, "/").await?.status == 200,
        "the good certificate is not accepted"
    );

    backend.kill().await?;
    let expired = certificates.expired();
    let mut backend = TestBackend::start_at(&stage.programs, "b1", address, Some(&expired)).await?;
    let says = until("the log names the certificate", BOUND + SLACK, async || {
        let target = gateway.admin.target(address.port()).await?;
        let expired = target.reason.to_lowercase().contains("expired");
        Ok((target.health == "Down" && expired).then_some(()))
    });
    says.await?;
    ensure!(
        get(front, "/").await?.status == 502,
        "an expired certificate is accepted"
    );

    backend.kill().await?;
    let _backend = TestBackend::start_at(&stage.programs, "b1", address, Some(&good)).await?;
    wait_for_health(&gateway, address.port(), "Up", BOUND + SLACK).await?;
    ensure!(
        get(front, "/").await?.status == 200,
        "it does not come back"
    );
    Ok(Told::Whole)
}

/// The gateway gets a resolver of its own by a mount namespace; where that cannot be had, this is
/// not told.
async fn name_goes_away(stage: Stage) -> Result<Told> {
    let server_at = SocketAddr::from(([127, 0, 0, 153], 53));
    let Ok(names) = NameServer::start(server_at, Ipv4Addr::LOCALHOST).await else {
        return Ok(Told::NotHere(format!("cannot listen on {server_at}")));
    };
    let folder = tempfile::tempdir()?;
    let resolv = folder.path().join("resolv.conf");
    std::fs::write(
        &resolv,
        format!("nameserver {}\noptions timeout:1\n", server_at.ip()),
    )?;
    let Some(wrapper) = own_resolver(&resolv).await else {
        return Ok(Told::NotHere(
            "no mount namespace can be made here".to_owned(),
        ));
    };
    let backend = TestBackend::start(&stage.programs, "b1").await?;
    let port = free_port()?;
    let member = json!({ "fqdn": "member.backend.test", "port": backend.address.port() });
    let document = Document::new()
        .with("probes", "quick", quick_probe())
        .with(
            "backendHttpSettingsCollection",
            "settings",
            crate::harness::document::plain_settings("quick"),
        )
        .with(
            "backendAddressPools",
            "pool",
            json!({ "backendAddresses": [member] }),
        )
        .http(port, "pool", "settings");
    let gateway = Gateway::with_file_in(&stage.programs, document, Some(&wrapper)).await?;
    let front = SocketAddr::from(([127, 0, 0, 1], port));
    until("the name is served", BOUND + SLACK, async || {
        Ok((get(front, "/").await?.status == 200).then_some(()))
    })
    .await?;
    // The name goes: its TTL is a second, the last good answer stays, so requests go on.
    names.set(None);
    let probes = backend.probes().await?;
    until(
        "probes go on past the TTL",
        2 * (BOUND + SLACK),
        async || Ok((backend.probes().await? > probes + 3).then_some(())),
    )
    .await?;
    ensure!(
        get(front, "/").await?.status == 200,
        "the last good answer was dropped"
    );
    // The name moves to where nobody listens: out, with the reason.
    names.set(Some(Ipv4Addr::new(127, 0, 0, 154)));
    until("the moved name is down", 2 * (BOUND + SLACK), async || {
        Ok((get(front, "/").await?.status == 502).then_some(()))
    })
    .await?;
    let targets = gateway.admin.targets().await?;
    let down = targets
        .iter()
        .any(|target| target.health == "Down" && !target.reason.is_empty());
    ensure!(down, "no target is down: {targets:?}");
    names.set(Some(Ipv4Addr::LOCALHOST));
    until("the name is back", 2 * (BOUND + SLACK), async || {
        Ok((get(front, "/").await?.status == 200).then_some(()))
    })
    .await?;
    Ok(Told::Whole)
}

/// A command that becomes another one which sees `resolv` as `/etc/resolv.conf`.
async fn own_resolver(resolv: &std::path::Path) -> Option<Vec<String>> {
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
