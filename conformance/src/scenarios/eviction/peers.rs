//! Backends that are reached by name, or by TLS: certificates expire, names move.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, ensure};
use serde_json::json;

use super::{BOUND, SLACK};
use crate::harness::backend::TestBackend;
use crate::harness::certificates::BACKEND_NAME;
use crate::harness::document::{Document, plain_settings, quick_probe};
use crate::harness::gateway::Gateway;
use crate::harness::name_server::NameServer;
use crate::harness::ports::free_port;
use crate::harness::site::{get, wait_for_health};
use crate::harness::{PATIENCE, until};
use crate::scenario::{Stage, Told};

/// A TLS backend that comes back with a certificate whose time is over, and then with a good one.
pub(super) async fn tls_expires(stage: Stage) -> Result<Told> {
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
        "hostName": BACKEND_NAME,
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
pub(super) async fn name_goes_away(stage: Stage) -> Result<Told> {
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
            plain_settings("quick"),
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
