//! Listeners that come and go by the API.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{DRAINED, echoes};
use crate::harness::ports::free_port;
use crate::harness::site::{Site, get};
use crate::harness::wire::Wire;
use crate::harness::{PATIENCE, until};

/// A second listener on a new port: live when the API has answered; gone, with a Close for its
/// tunnels, when its rule and it are deleted. The first one notices nothing.
pub(super) async fn come_and_go(site: Site) -> Result<()> {
    let (mut staying, _) = site.websocket("/echo").await?;
    let port = free_port()?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let admin = site.gateway.admin;
    for (place, body) in parts(port) {
        admin.put(place, &body).await?;
    }
    ensure!(
        get(address, "/").await?.status == 200,
        "the new listener does not serve"
    );
    let mut leaving = open_tunnel(address).await?;
    echoes(&mut leaving, "on the new listener").await?;
    for (place, _) in parts(port).iter().rev() {
        let answer = admin.request("DELETE", place, "", None).await?;
        ensure!(
            (200..300).contains(&answer.status),
            "DELETE {place}: {}",
            answer.text()
        );
    }
    let close = leaving.exactly(4, DRAINED).await?;
    let code = u16::from_be_bytes([close[2], close[3]]);
    ensure!(
        close[0] == 0x88 && matches!(code, 1001 | 1012),
        "not a Close 1001 or 1012: {close:?}"
    );
    until("the port is closed", PATIENCE, async || {
        Ok(TcpStream::connect(address).await.is_err().then_some(()))
    })
    .await?;
    echoes(&mut staying, "not concerned").await
}

fn parts(port: u16) -> [(&'static str, Value); 3] {
    let part = |properties: Value| json!({ "name": "second", "properties": properties });
    [
        ("/v1/frontendPorts/second", part(json!({ "port": port }))),
        (
            "/v1/httpListeners/second",
            part(json!({
                "protocol": "Http",
                "frontendIPConfiguration": { "id": "frontendIPConfigurations/loopback" },
                "frontendPort": { "id": "frontendPorts/second" },
            })),
        ),
        (
            "/v1/requestRoutingRules/second",
            part(json!({
                "ruleType": "Basic",
                "httpListener": { "id": "httpListeners/second" },
                "backendAddressPool": { "id": "backendAddressPools/pool" },
                "backendHttpSettings": { "id": "backendHttpSettingsCollection/settings" },
            })),
        ),
    ]
}

async fn open_tunnel(address: SocketAddr) -> Result<Wire> {
    let (wire, answer) = crate::harness::site::handshake(address, "/echo").await?;
    ensure!(answer.status == 101, "{} {}", answer.status, answer.text());
    Ok(wire)
}
