//! Peers that are gone without a word: no FIN, no reset. The kernel finds them, and is told how soon.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::house::{House, Plan};
use super::{over_both, story};
use crate::harness::frames::{TEXT, masked};
use crate::harness::wire::Wire;
use crate::harness::{PATIENCE, until};
use crate::scenario::{Scenario, Told};

/// `tcpUserTimeoutInSec`.
const UNACKNOWLEDGED: u64 = 2;
/// The kernel looks when it sends once more, after pauses that double.
const NOTICED: Duration = Duration::from_secs(UNACKNOWLEDGED + 8);

/// Of /proc/net/tcp: the state of a connection, and the timer that waits for keep-alive.
const ESTABLISHED: &str = "01";
const KEEP_ALIVE: &str = "02";
/// The first probe of keep-alive, in the hundredths of a second that the file has.
const FIRST_PROBE: u64 = 30 * 100;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = over_both(
        "TCP keep-alive watches both legs of a silent tunnel, without being asked",
        Plan::by_hand,
        kept_alive,
    );
    all.push(story(
        "tcpUserTimeoutInSec ends the tunnel of a host that is gone with bytes on the way",
        || Plan::of(1).leaving(),
        vanished,
    ));
    all
}

async fn kept_alive(house: House) -> Result<Told> {
    let (client, _backend) = house.tunnel().await?;
    let (client_at, backend_at) = (client.local_address()?, house.by_hand()?);
    until("keep-alive waits at both legs", PATIENCE, async || {
        let sockets = sockets()?;
        let open = sockets.iter().filter(|socket| socket.state == ESTABLISHED);
        let to_client = open
            .clone()
            .filter(|socket| (socket.local, socket.remote) == (house.front, client_at));
        let to_backend = open.filter(|socket| socket.remote == backend_at);
        let is_watched = |socket: &Socket| socket.timer == KEEP_ALIVE && socket.due <= FIRST_PROBE;
        let legs = [to_client.collect::<Vec<_>>(), to_backend.collect()];
        let are_watched =
            |leg: &Vec<&Socket>| !leg.is_empty() && leg.iter().all(|socket| is_watched(socket));
        Ok(legs.iter().all(are_watched).then_some(()))
    })
    .await?;
    Ok(Told::Whole)
}

/// A connection, as the kernel tells of it.
struct Socket {
    local: SocketAddr,
    remote: SocketAddr,
    state: String,
    timer: String,
    /// When it rings, in hundredths of a second.
    due: u64,
}

/// All TCP sockets of IPv4 on this machine (proc(5), `/proc/net/tcp`).
fn sockets() -> Result<Vec<Socket>> {
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let lines = table.lines().skip(1);
    lines
        .map(|line| socket(line).with_context(|| format!("no socket: {line:?}")))
        .collect()
}

fn socket(line: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (timer, due) = fields.get(5)?.split_once(':')?;
    Some(Socket {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        state: (*fields.get(3)?).to_owned(),
        timer: timer.to_owned(),
        due: u64::from_str_radix(due, 16).ok()?,
    })
}

/// `0100007F:1F90`: an address as it lies in memory, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let ip = Ipv4Addr::from(u32::from_str_radix(ip, 16).ok()?.to_ne_bytes());
    Some(SocketAddr::from((ip, u16::from_str_radix(port, 16).ok()?)))
}

/// Two tunnels to the same host, of which one was opened under the setting. A host that is gone
/// acknowledges nothing; without the setting the kernel tries for a quarter of an hour.
async fn vanished(house: House) -> Result<Told> {
    let (mut patient, _) = house.websocket("/echo").await?;
    let impatient = json!({ "tcpUserTimeoutInSec": UNACKNOWLEDGED });
    house.put_tunnels(impatient).await?;
    let (mut wire, _) = house.websocket("/echo").await?;
    for wire in [&mut patient, &mut wire] {
        echoes(wire).await?;
    }
    house.backends[0].partition().await?;
    for wire in [&mut patient, &mut wire] {
        wire.send(&masked(TEXT, b"are you there?")).await?;
    }
    let asked = Instant::now();
    wire.is_reset(NOTICED).await?;
    let after = asked.elapsed();
    ensure!(
        after >= Duration::from_secs(UNACKNOWLEDGED),
        "it was ended after {after:?}"
    );
    let listed = house.admin().get("/v1/connections").await?;
    let listed = listed["value"].as_array().context("no list")?;
    let left: Vec<_> = listed.iter().map(|told| told["client"].as_str()).collect();
    let patient_at = patient.local_address()?.to_string();
    ensure!(
        left == [Some(&*patient_at)],
        "{patient_at} alone is to be left, and there are {left:?}"
    );
    Ok(Told::Measured(format!(
        "after {:.1} s",
        after.as_secs_f64()
    )))
}

async fn echoes(wire: &mut Wire) -> Result<()> {
    wire.send(&masked(TEXT, b"here")).await?;
    let came = wire.frame(PATIENCE).await?;
    ensure!(came.payload == b"here", "instead of the echo: {came:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernels_table_are_read() {
        let line = "   7: 0100007F:1F90 0200007F:C350 01 00000000:00000000 02:00000BA3 00000000 \
                    1000        0 123456 2 0000000000000000 20 4 30 10 -1";
        let read = socket(line).unwrap();
        // On a machine whose low byte comes first, as all are that run this.
        assert_eq!(read.local.to_string(), "127.0.0.1:8080");
        assert_eq!(read.remote.to_string(), "127.0.0.2:50000");
        assert_eq!((&*read.state, &*read.timer, read.due), ("01", "02", 0xba3));
    }
}
