//! The configuration changes while connections are open: what a change does not name does not
//! notice it, what it removes is drained, and nothing that was accepted is lost in a crash.

mod listeners;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::harness::document::pool;
use crate::harness::frames::{TEXT, masked, unmasked};
use crate::harness::site::{Site, backend_of};
use crate::harness::wire::Wire;
use crate::harness::{PATIENCE, until};
use crate::scenario::Scenario;

const GROUP: &str = "reconfiguration";

/// Beyond the drain timeout of three seconds.
const DRAINED: Duration = Duration::from_secs(8);

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![
        story(
            "a PUT of a pool closes no WebSocket",
            "design 1, 4",
            put_keeps_tunnels,
        ),
        story(
            "a removed target is drained with a Close",
            "design 5",
            removal_drains,
        ),
        story(
            "requests in flight finish at a removed target",
            "design 5",
            requests_finish,
        ),
        story(
            "a listener comes and goes",
            "design 4",
            listeners::come_and_go,
        ),
        story("a refused PUT changes nothing", "design 4", refused_put),
        story("a stale If-Match gets 412", "design 7", stale_precondition),
        story(
            "a deleted pool in use is refused",
            "reference 2",
            delete_in_use,
        ),
        story("kill -9 keeps what was accepted", "design 4", survives_kill),
        story("a changed file is taken up", "design 4", file_reload),
        story(
            "a bad file is refused, the old one serves on",
            "design 4",
            bad_file,
        ),
        story(
            "the API refuses writes where a file is the truth",
            "design 4",
            file_is_read_only,
        ),
        story(
            "SIGTERM drains, and ends with status 0",
            "design 5",
            sigterm,
        ),
    ]
}

fn story<F>(name: &str, clause: &'static str, tell: impl Fn(Site) -> F + Copy + 'static) -> Scenario
where
    F: Future<Output = Result<()>> + 'static,
{
    super::at_site(GROUP, name, clause, !name.contains("file"), tell)
}

const POOL: &str = "/v1/backendAddressPools/pool";

/// PUTs the pool with these of the site's backends.
async fn put_pool(site: &Site, members: &[usize]) -> Result<()> {
    let members: Vec<_> = members
        .iter()
        .map(|&index| site.backends[index].address)
        .collect();
    let body = json!({ "name": "pool", "properties": pool(&members) });
    site.gateway.admin.put(POOL, &body).await?;
    Ok(())
}

/// An open WebSocket to each backend, by the backend's index.
async fn tunnels(site: &Site) -> Result<[Wire; 2]> {
    let mut found = [None, None];
    until("a WebSocket to each backend", PATIENCE, async || {
        let (wire, name) = site.websocket("/echo").await?;
        found[usize::from(name == site.backends[1].name)].get_or_insert(wire);
        Ok(found.iter().all(Option::is_some).then_some(()))
    })
    .await?;
    let [Some(first), Some(second)] = found else {
        anyhow::bail!("a backend got no WebSocket");
    };
    Ok([first, second])
}

async fn echoes(wire: &mut Wire, text: &str) -> Result<()> {
    wire.send(&masked(TEXT, text.as_bytes())).await?;
    let expected = unmasked(TEXT, text.as_bytes());
    let received = wire
        .exactly(expected.len(), PATIENCE)
        .await
        .context("the echo of a WebSocket")?;
    ensure!(received == expected, "echo: {received:?}");
    Ok(())
}

async fn put_keeps_tunnels(site: Site) -> Result<()> {
    let mut open = tunnels(&site).await?;
    for round in 0..5 {
        // Another pool, then this one with and without what does not matter to the open ones.
        let other = json!({ "name": "other", "properties": pool(&[]) });
        site.gateway
            .admin
            .put("/v1/backendAddressPools/other", &other)
            .await?;
        put_pool(&site, if round % 2 == 0 { &[1, 0] } else { &[0, 1] }).await?;
        for wire in &mut open {
            echoes(wire, "still here")
                .await
                .with_context(|| format!("after PUT {round}"))?;
        }
    }
    Ok(())
}

async fn removal_drains(site: Site) -> Result<()> {
    let [mut leaving, mut staying] = tunnels(&site).await?;
    put_pool(&site, &[1]).await?;
    for _ in 0..10 {
        ensure!(
            backend_of(&site.get("/").await?)? == "b2",
            "a removed target gets requests"
        );
    }
    let close = leaving.exactly(4, DRAINED).await.context("no Close came")?;
    ensure!(close[0] == 0x88, "not a Close frame: {close:?}");
    let code = u16::from_be_bytes([close[2], close[3]]);
    ensure!(matches!(code, 1001 | 1012), "Close {code}");
    // Our part of the closing handshake, then the end; a reason may follow the code.
    leaving
        .exactly(usize::from(close[1] & 0x7f) - 2, PATIENCE)
        .await?;
    leaving.send(&masked(0x8, &code.to_be_bytes())).await?;
    leaving.ends(DRAINED).await?;
    echoes(&mut staying, "not concerned").await
}

async fn requests_finish(site: Site) -> Result<()> {
    let slow = tokio::join!(site.get("/slow/1500"), site.get("/slow/1500"), async {
        until("both requests are at the backends", PATIENCE, async || {
            let mut count = 0;
            for backend in &site.backends {
                count += backend
                    .requests()
                    .await?
                    .iter()
                    .filter(|at| at.starts_with("/slow"))
                    .count();
            }
            Ok((count == 2).then_some(()))
        })
        .await?;
        put_pool(&site, &[1]).await
    });
    slow.2?;
    for answer in [slow.0?, slow.1?] {
        ensure!(
            answer.status == 200 && answer.broken.is_none(),
            "cut off: {answer:?}"
        );
    }
    Ok(())
}

async fn refused_put(site: Site) -> Result<()> {
    let mut open = tunnels(&site).await?;
    let before = site.gateway.admin.get("/v1/config").await?;
    let bad = [
        json!({ "name": "pool", "properties": { "backendAddresses": [{ "ipAddress": "not one" }] } }),
        json!({ "name": "pool", "properties": { "backendAddresses": 7 } }),
    ];
    for body in bad {
        let answer = site
            .gateway
            .admin
            .request("PUT", POOL, "", Some(&body))
            .await?;
        ensure!(answer.status == 400, "{} {}", answer.status, answer.text());
        let kind = answer.values("content-type").join("");
        ensure!(
            kind.starts_with("application/problem+json"),
            "content type {kind}"
        );
    }
    ensure!(
        site.gateway.admin.get("/v1/config").await? == before,
        "the document changed"
    );
    for wire in &mut open {
        echoes(wire, "unmoved").await?;
    }
    Ok(())
}

async fn stale_precondition(site: Site) -> Result<()> {
    let admin = site.gateway.admin;
    let current = admin.request("GET", POOL, "", None).await?;
    let tag = current.values("etag").join("");
    ensure!(!tag.is_empty(), "the pool has no ETag");
    let members = [site.backends[0].address];
    let body = json!({ "name": "pool", "properties": pool(&members) });
    let condition = format!("If-Match: {tag}\r\n");
    let first = admin.request("PUT", POOL, &condition, Some(&body)).await?;
    ensure!(first.status == 200, "{} {}", first.status, first.text());
    let second = admin.request("PUT", POOL, &condition, Some(&body)).await?;
    ensure!(second.status == 412, "{} {}", second.status, second.text());
    Ok(())
}

async fn delete_in_use(site: Site) -> Result<()> {
    let answer = site.gateway.admin.request("DELETE", POOL, "", None).await?;
    ensure!(
        matches!(answer.status, 400 | 409),
        "{} {}",
        answer.status,
        answer.text()
    );
    ensure!(
        site.get("/").await?.status == 200,
        "the pool is gone all the same"
    );
    Ok(())
}

async fn survives_kill(mut site: Site) -> Result<()> {
    put_pool(&site, &[1]).await?;
    let before = site.gateway.admin.get("/v1/config").await?;
    site.gateway.kill_and_restart().await?;
    let after = site.gateway.admin.get("/v1/config").await?;
    ensure!(after == before, "before {before}\nafter {after}");
    site.wait_for(1, "Up", PATIENCE).await?;
    ensure!(
        backend_of(&site.get("/").await?)? == "b2",
        "another pool serves"
    );
    Ok(())
}

/// The site's document with only the second backend.
fn without_first(site: &Site) -> String {
    let mut document = site.document.clone().into_json();
    document["properties"]["backendAddressPools"][0]["properties"] =
        pool(&[site.backends[1].address]);
    document.to_string()
}

async fn file_reload(site: Site) -> Result<()> {
    let [_, mut staying] = tunnels(&site).await?;
    site.gateway.replace_file(&without_first(&site))?;
    until("the new file is live", PATIENCE, async || {
        let targets = site.gateway.admin.targets().await?;
        let gone = format!(":{}", site.backends[0].address.port());
        Ok(targets
            .iter()
            .all(|target| !target.endpoint.ends_with(&gone))
            .then_some(()))
    })
    .await?;
    for _ in 0..10 {
        ensure!(
            backend_of(&site.get("/").await?)? == "b2",
            "the old file serves"
        );
    }
    echoes(&mut staying, "through the reload").await
}

async fn bad_file(site: Site) -> Result<()> {
    let lines = site.gateway.log().lines().len();
    site.gateway
        .replace_file("{ \"properties\": { \"httpListeners\": 7 ")?;
    until("the refusal is reported", PATIENCE, async || {
        let log = site.gateway.log().lines();
        let said = log
            .iter()
            .skip(lines)
            .any(|line| line.contains("gateway.json"));
        Ok(said.then_some(()))
    })
    .await?;
    ensure!(
        site.get("/").await?.status == 200,
        "the old document does not serve on"
    );
    site.gateway.replace_file(&without_first(&site))?;
    until("the next good file is taken up", PATIENCE, async || {
        Ok((site.gateway.admin.targets().await?.len() == 1).then_some(()))
    })
    .await
}

async fn file_is_read_only(site: Site) -> Result<()> {
    let body = json!({ "name": "pool", "properties": pool(&[site.backends[0].address]) });
    let answer = site
        .gateway
        .admin
        .request("PUT", POOL, "", Some(&body))
        .await?;
    ensure!(answer.status == 409, "{} {}", answer.status, answer.text());
    ensure!(
        answer.text().contains("gateway.json"),
        "which file? {}",
        answer.text()
    );
    Ok(())
}

async fn sigterm(mut site: Site) -> Result<()> {
    let (mut open, _) = site.websocket("/echo").await?;
    let (status, close) = tokio::join!(site.gateway.terminate(), async {
        let close = open.exactly(4, DRAINED).await?;
        open.exactly(usize::from(close[1] & 0x7f) - 2, PATIENCE)
            .await?;
        open.send(&masked(0x8, &close[2..4])).await?;
        open.ends(DRAINED).await?;
        anyhow::Ok(close)
    });
    let close = close?;
    let code = u16::from_be_bytes([close[2], close[3]]);
    ensure!(
        close[0] == 0x88 && matches!(code, 1001 | 1012),
        "not a Close 1001 or 1012: {close:?}"
    );
    ensure!(
        status?.success(),
        "the gateway ends with {:?}",
        site.gateway.log().tail(5)
    );
    Ok(())
}
