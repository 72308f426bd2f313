//! Ends the tunnels of a target that turns unhealthy, where the HTTP settings that they were opened
//! under say so (`onUnhealthy`).
//!
//! What counts is not the event but how things stand when it comes: whoever is down by then and was not
//! when this last looked has lost its tunnels. So a missed event takes nothing, and a target that
//! `minServers` serves although it is down keeps its tunnels for as long as it does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use gateway_core::config::OnUnhealthy;
use gateway_core::name::{HttpSettingsName, PoolName};
use gateway_core::routing::lost;
use gateway_core::snapshot::{Snapshot, TargetId};
use gateway_probe::HealthEvent;
use gateway_proxy::{DrainOrder, Proxy};
use tokio::sync::broadcast::{Receiver, error::RecvError, error::TryRecvError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::live::Live;

/// Ends tunnels until `stop`.
pub(crate) async fn watch(
    mut events: Receiver<HealthEvent>,
    mut live: watch::Receiver<Arc<Live>>,
    proxy: Arc<Proxy>,
    stop: CancellationToken,
) {
    let mut losses = Losses::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            event = events.recv() => if matches!(event, Err(RecvError::Closed)) { return },
            changed = live.changed() => if changed.is_err() { return },
        }
        // What comes together is looked at once.
        while !matches!(
            events.try_recv(),
            Err(TryRecvError::Empty | TryRecvError::Closed)
        ) {}
        let snapshot = live.borrow_and_update().snapshot.clone();
        let new = snapshot.map(|snapshot| losses.judge(&snapshot));
        for loss in new.unwrap_or_default() {
            end(&proxy, loss).await;
        }
    }
}

async fn end(proxy: &Proxy, loss: Loss) {
    let pool = loss.pool.as_str();
    let order = DrainOrder::unhealthy(loss.then, pool, loss.address, &loss.settings);
    let Some(order) = order else { return };
    let ending = proxy.end_tunnels(order, move |tunnel| {
        tunnel.target_id == loss.target
            && tunnel.on_unhealthy == loss.then
            && HttpSettingsName::from(tunnel.settings) == loss.settings
    });
    ending.await;
}

/// A target that is down for good: nobody serves it in spite of that.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Loss {
    pool: PoolName,
    settings: HttpSettingsName,
    target: TargetId,
    address: SocketAddr,
    /// What becomes of its tunnels.
    then: OnUnhealthy,
}

/// Who is down, and what settings have ever said of that.
#[derive(Debug, Default)]
struct Losses {
    /// Tunnels keep the settings that they were opened under.
    said: BTreeMap<(PoolName, HttpSettingsName), BTreeSet<OnUnhealthy>>,
    /// Health cells whose loss is known.
    known: BTreeSet<u64>,
}

impl Losses {
    /// Who is lost now and was not before, and has tunnels that may end for it.
    fn judge(&mut self, snapshot: &Snapshot) -> Vec<Loss> {
        let mut lost_now = BTreeSet::new();
        let mut new = Vec::new();
        for backend in &snapshot.backends {
            let key = (backend.pool.clone(), backend.settings_name.clone());
            let said = self.said.entry(key).or_default();
            said.insert(backend.settings.web_socket.on_unhealthy);
            for target in lost(backend) {
                lost_now.insert(target.health.id);
                let has_tunnels = target.load.iter().any(|cell| cell.tunnels() > 0);
                if !has_tunnels || self.known.contains(&target.health.id) {
                    continue;
                }
                let of = |&then: &OnUnhealthy| Loss {
                    pool: backend.pool.clone(),
                    settings: backend.settings_name.clone(),
                    target: target.id,
                    address: target.address,
                    then,
                };
                let ends = said.iter().filter(|then| **then != OnUnhealthy::Keep);
                new.extend(ends.map(of));
            }
        }
        self.known = lost_now;
        new
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use gateway_core::config::{Config, parse};
    use gateway_core::health::Health;
    use gateway_core::resource::JsonTree;
    use gateway_core::snapshot::{CompileOptions, Generation, Resolutions, Revision, compile};

    use super::*;

    fn config(on_unhealthy: &str) -> Config {
        let text = format!(
            r#"{{"properties": {{
                "frontendIPConfigurations": [{{"name": "f", "properties": {{"privateIPAddress": "127.0.0.1"}}}}],
                "frontendPorts": [{{"name": "p", "properties": {{"port": 80}}}}],
                "backendAddressPools": [{{"name": "pool", "properties": {{"backendAddresses": [
                    {{"ipAddress": "10.0.0.1"}}, {{"ipAddress": "10.0.0.2"}}]}}}}],
                "backendHttpSettingsCollection": [{{"name": "s", "properties": {{
                    "port": 80, "protocol": "Http", "webSocket": {{"onUnhealthy": "{on_unhealthy}"}}}}}}],
                "httpListeners": [{{"name": "l", "properties": {{"frontendIPConfiguration": {{"id": "f"}},
                    "frontendPort": {{"id": "p"}}, "protocol": "Http"}}}}],
                "requestRoutingRules": [{{"name": "r", "properties": {{"httpListener": {{"id": "l"}},
                    "backendAddressPool": {{"id": "pool"}}, "backendHttpSettings": {{"id": "s"}}}}}}]
            }}}}"#
        );
        parse(&JsonTree::parse(&text).unwrap()).unwrap().config
    }

    fn compiled(on_unhealthy: &str, previous: Option<&Snapshot>) -> Snapshot {
        let options = CompileOptions {
            workers: 1,
            ..CompileOptions::default()
        };
        compile(
            &config(on_unhealthy),
            &Resolutions::default(),
            &options,
            previous,
            Generation(1),
            Revision(1),
        )
    }

    /// Whose tunnels end how, by the last number of the address.
    fn judged(losses: &mut Losses, snapshot: &Snapshot) -> Vec<(u16, OnUnhealthy)> {
        let new = losses.judge(snapshot).into_iter();
        new.map(|loss| {
            let last = loss.address.to_string();
            let last = last.split(['.', ':']).nth(3).unwrap();
            (last.parse::<NonZeroU16>().unwrap().get(), loss.then)
        })
        .collect()
    }

    #[test]
    fn each_loss_is_told_once_and_again_after_a_recovery() {
        let (mut losses, snapshot) = (Losses::default(), compiled("Close", None));
        let [first, second] = &snapshot.backends[0].targets[..] else {
            panic!("there are two targets");
        };
        assert_eq!(judged(&mut losses, &snapshot), []);
        first.load.of(0).tunnel_opened();
        first.health.set(Health::Down);
        // Who has no tunnels has none to lose.
        second.health.set(Health::Down);
        let close = OnUnhealthy::Close;
        assert_eq!(judged(&mut losses, &snapshot), [(1, close)]);
        assert_eq!(judged(&mut losses, &snapshot), []);
        first.health.set(Health::Up);
        assert_eq!(judged(&mut losses, &snapshot), []);
        first.health.set(Health::Down);
        assert_eq!(judged(&mut losses, &snapshot), [(1, close)]);
    }

    #[test]
    fn tunnels_of_older_settings_end_as_those_said() {
        let mut losses = Losses::default();
        let keep = compiled("Keep", None);
        let target = |snapshot: &Snapshot| Arc::clone(&snapshot.backends[0].targets[0]);
        target(&keep).load.of(0).tunnel_opened();
        target(&keep).health.set(Health::Down);
        assert_eq!(judged(&mut losses, &keep), []);
        target(&keep).health.set(Health::Up);
        let drain = compiled("Drain", Some(&keep));
        assert_eq!(judged(&mut losses, &drain), []);
        let kept_again = compiled("Keep", Some(&drain));
        target(&kept_again).health.set(Health::Down);
        assert_eq!(judged(&mut losses, &kept_again), [(1, OnUnhealthy::Drain)]);
    }
}
