//! Which tunnels a new snapshot drains.

use std::collections::BTreeMap;

use gateway_core::config::{Config, OnUnhealthy};
use gateway_core::fixtures;
use gateway_core::health::Health;
use gateway_core::snapshot::{CompileOptions, Generation, Revision, compile};

use super::*;
use crate::access_log::RouteLabels;

fn config(listener: &str, members: &[&str]) -> Config {
    let members = members.iter().map(|member| (member.parse().unwrap(), None));
    let pool = fixtures::pool(members);
    fixtures::site(listener, fixtures::listener(80), pool, settings())
}

fn snapshot(config: &Config, previous: Option<&Snapshot>) -> Arc<Snapshot> {
    let options = CompileOptions {
        workers: 2,
        ..CompileOptions::default()
    };
    let (resolutions, generation) = (BTreeMap::new(), Generation(1));
    let revision = Revision(1);
    let snapshot = compile(
        config,
        &resolutions,
        &options,
        previous,
        generation,
        revision,
    );
    Arc::new(snapshot)
}

/// Opens a tunnel to each target of `snapshot`; returns the clients' ends, and the backends'.
async fn tunnels(set: &Rc<TunnelSet>, snapshot: &Snapshot) -> Vec<(TcpStream, TcpStream)> {
    let route = &snapshot.routes[0];
    let mut peers = Vec::new();
    for target in &route.backend.targets {
        let ((client, near), (backend, far)) = (pair().await, pair().await);
        let about = about(route.listener_id, target.id, &target.load);
        set.open(near.into(), b"", far.into(), b"", about);
        peers.push((client, backend));
    }
    peers
}

/// Shows that exactly the tunnels that are `expected` to drain do: their clients hear a Close frame,
/// the others still get messages.
async fn expect_drained(
    set: &TunnelSet,
    peers: &mut [(TcpStream, TcpStream)],
    expected: &[bool],
    name: &str,
) {
    let draining: Vec<_> = set
        .entries
        .borrow()
        .iter()
        .map(|(_, entry)| !matches!(entry.standing, Standing::Open))
        .collect();
    assert_eq!(draining, expected, "{name}");
    for ((client, backend), drains) in peers.iter_mut().zip(draining) {
        if !drains {
            backend.write_all(&frame(b"alive")).await.unwrap();
        }
        let mut first = [0];
        client.read_exact(&mut first).await.unwrap();
        assert_eq!(first[0] == 0x88, drains, "{name}");
    }
}

#[test]
fn only_the_tunnels_of_what_is_gone_drain() {
    let mut without_rule = config("web", &["127.0.0.1", "127.0.0.2"]);
    without_rule.rules.clear();
    let mut elsewhere = config("web", &["127.0.0.1", "127.0.0.2"]);
    let other = elsewhere.pools[&"pool".into()].clone();
    elsewhere.pools.insert("other".into(), other);
    for rule in elsewhere.rules.values_mut() {
        rule.pool = "other".into();
    }
    let rows = [
        (
            "nothing changed",
            config("web", &["127.0.0.1", "127.0.0.2"]),
            [false, false],
        ),
        (
            "a target added",
            config("web", &["127.0.0.1", "127.0.0.2", "127.0.0.3"]),
            [false, false],
        ),
        (
            "a target removed",
            config("web", &["127.0.0.2"]),
            [true, false],
        ),
        (
            "the listener renamed",
            config("other", &["127.0.0.1", "127.0.0.2"]),
            [true, true],
        ),
        ("the only rule taken away", without_rule, [false, false]),
        (
            "the only rule pointed at another pool",
            elsewhere,
            [false, false],
        ),
        ("everything gone", Config::default(), [true, true]),
    ];
    for (name, next, expected) in rows {
        run(async {
            let set = Rc::new(TunnelSet::new(Arc::default()));
            let first = snapshot(&config("web", &["127.0.0.1", "127.0.0.2"]), None);
            let mut peers = tunnels(&set, &first).await;
            set.refresh(&snapshot(&next, Some(&first))).await;
            expect_drained(&set, &mut peers, &expected, name).await;
        });
    }
}

#[test]
fn a_tunnel_that_opens_behind_a_refresh_is_judged_by_it() {
    run(async {
        let set = Rc::new(TunnelSet::new(Arc::default()));
        let both = config("web", &["127.0.0.1", "127.0.0.2"]);
        let first = snapshot(&both, None);
        set.refresh(&first).await;
        set.refresh(&snapshot(&config("web", &["127.0.0.2"]), Some(&first)))
            .await;
        // Handshakes that were under way.
        let mut peers = tunnels(&set, &first).await;
        expect_drained(&set, &mut peers, &[true, false], "behind").await;
    });
}

/// Who sees targets go down tells the tunnels that are open by then; this one was not.
#[test]
fn a_tunnel_that_opens_to_a_target_that_went_down_is_judged_by_its_settings() {
    let rows = [
        (OnUnhealthy::Keep, Health::Down, false),
        (OnUnhealthy::Drain, Health::Down, true),
        (OnUnhealthy::Close, Health::Down, true),
        (OnUnhealthy::Close, Health::Up, false),
    ];
    for (on_unhealthy, health, drains) in rows {
        run(async {
            let set = Rc::new(TunnelSet::new(Arc::default()));
            let live = snapshot(&config("web", &["127.0.0.1"]), None);
            set.refresh(&live).await;
            let route = &live.routes[0];
            let target = &route.backend.targets[0];
            target.health.set(health);
            let ((client, near), (backend, far)) = (pair().await, pair().await);
            let mut about = about(route.listener_id, target.id, &target.load);
            let mut settings = settings();
            settings.web_socket.on_unhealthy = on_unhealthy;
            about.settings = Arc::new(settings);
            let mut identity = identity(target.id, &target.load);
            identity.route = Some(Arc::new(RouteLabels::new(route)));
            about.identity = Arc::new(identity);
            set.open(near.into(), b"", far.into(), b"", about);
            let name = format!("{on_unhealthy:?} {health:?}");
            expect_drained(&set, &mut [(client, backend)], &[drains], &name).await;
        });
    }
}
