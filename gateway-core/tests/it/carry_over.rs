//! A model of identity: random configurations one after another, and what must stay the same.
//!
//! The model reads each configuration for itself, pair by pair, and knows nothing of how snapshots
//! are compiled. Its rules are the table in `docs/reconfiguration.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use gateway_core::config::{
    BackendPool, BackendTarget, Config, HttpSettings, Listener, ListenerWebSocket, RoutingRule,
    TargetHost, TunnelSettings, parse,
};
use gateway_core::fixtures;
use gateway_core::health::HealthCell;
use gateway_core::name::{HttpSettingsName, ListenerName, PoolName};
use gateway_core::resource::JsonTree;
use gateway_core::snapshot::{
    Backend, CompileOptions, EndpointId, Generation, ListenerId, LoadCell, PerWorker, Resolution,
    Resolutions, Revision, Snapshot, Target, TargetId, compile,
};
use proptest::prelude::*;

use crate::hostile::whole;

const FQDN: &str = "two.test";

/// A small world, so that the same things come and go often.
#[derive(Debug, Clone)]
struct World {
    config: Config,
    dns: Resolutions,
}

fn port(index: u16) -> NonZeroU16 {
    NonZeroU16::new(8000 + index).expect("8000 and more")
}

fn address(index: u8) -> IpAddr {
    [10, 0, 0, index].into()
}

fn listener() -> impl Strategy<Value = Listener> {
    let most = prop::option::of(1..3_u32);
    (80..82_u16, most).prop_map(|(port, max_connections)| Listener {
        web_socket: ListenerWebSocket {
            max_connections,
            ..Default::default()
        },
        ..fixtures::listener(port)
    })
}

fn member() -> impl Strategy<Value = BackendTarget> {
    let host = prop_oneof![
        4 => (0..3_u8).prop_map(|index| TargetHost::Ip(address(index))),
        1 => Just(TargetHost::Fqdn(FQDN.into())),
    ];
    let own_port = prop::option::weighted(0.3, (0..2_u16).prop_map(port));
    (host, own_port, 1..4_u16).prop_map(|(host, port, weight)| BackendTarget {
        host,
        port,
        weight: NonZeroU16::new(weight).expect("from 1 up"),
    })
}

fn settings() -> impl Strategy<Value = HttpSettings> {
    let most = prop::option::of(1..3_u32);
    (0..2_u16, 1..3_u64, most).prop_map(|(index, timeout, max_connections)| HttpSettings {
        request_timeout: Duration::from_secs(timeout),
        web_socket: TunnelSettings {
            max_connections,
            ..Default::default()
        },
        ..fixtures::http_settings(port(index).get())
    })
}

fn rule() -> impl Strategy<Value = RoutingRule> {
    // Some names are never configured: compile must skip them.
    (0..4_u8, 0..4_u8, 0..4_u8).prop_map(|(listener, pool, settings)| {
        fixtures::rule(
            &format!("l{listener}"),
            &format!("p{pool}"),
            &format!("s{settings}"),
        )
    })
}

/// Up to `most` of `values`, under the names `prefix0`, `prefix1` ...
fn named<N, T>(
    prefix: &'static str,
    most: usize,
    values: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = BTreeMap<N, T>>
where
    N: for<'n> From<&'n str> + Ord + std::fmt::Debug,
    T: std::fmt::Debug,
{
    prop::collection::btree_map(0..most, values, 0..=most).prop_map(move |values| {
        let name = |index| N::from(&format!("{prefix}{index}"));
        values
            .into_iter()
            .map(|(index, value)| (name(index), value))
            .collect()
    })
}

fn world() -> impl Strategy<Value = World> {
    let pool = prop::collection::vec(member(), 0..5).prop_map(|targets| BackendPool { targets });
    let answers = prop::option::of(prop::collection::btree_set(0..4_u8, 1..3));
    (
        named("l", 3, listener()),
        named("p", 3, pool),
        named("s", 3, settings()),
        named("r", 5, rule()),
        answers,
    )
        .prop_map(|(listeners, pools, http_settings, rules, answers)| {
            let resolution = match answers {
                Some(found) => Resolution::Addresses(found.into_iter().map(address).collect()),
                None => Resolution::Failed("SERVFAIL".into()),
            };
            World {
                config: Config {
                    listeners,
                    pools,
                    http_settings,
                    rules,
                    ..Config::default()
                },
                dns: [(FQDN.into(), resolution)].into(),
            }
        })
}

type TargetKey = (PoolName, SocketAddr);
type HealthKey = (PoolName, HttpSettingsName, SocketAddr);

/// Every (pool, address, port) that the configuration names, whether or not a rule leads there: with
/// a member's own port, else with that of any HTTP settings.
fn configured_targets(world: &World) -> BTreeSet<TargetKey> {
    let settings = world.config.http_settings.values();
    let settings_ports: Vec<NonZeroU16> = settings.map(|settings| settings.port).collect();
    let mut keys = BTreeSet::new();
    for (pool_name, pool) in &world.config.pools {
        for member in &pool.targets {
            let addresses = match &member.host {
                TargetHost::Ip(address) => vec![*address],
                TargetHost::Fqdn(name) => match &world.dns[name] {
                    Resolution::Addresses(addresses) => addresses.clone(),
                    Resolution::Failed(_) => vec![],
                },
            };
            let ports = member
                .port
                .map_or(settings_ports.clone(), |port| vec![port]);
            for address in addresses {
                let addresses = ports
                    .iter()
                    .map(|port| SocketAddr::new(address, port.get()));
                keys.extend(addresses.map(|address| (pool_name.clone(), address)));
            }
        }
    }
    keys
}

/// Who is known by which id, as far as snapshots have shown.
#[derive(Default)]
struct Model {
    ids: BTreeSet<u64>,
    endpoints: BTreeMap<SocketAddr, EndpointId>,
    listeners: BTreeMap<ListenerName, ListenerId>,
    targets: BTreeMap<TargetKey, (TargetId, PerWorker<LoadCell>)>,
    health: BTreeMap<HealthKey, Arc<HealthCell>>,
}

impl Model {
    /// Nobody had this id before.
    fn expect_new(&mut self, id: u64) {
        assert!(self.ids.insert(id), "id {id} is used again");
    }

    fn check(&mut self, world: &World, snapshot: &Snapshot) {
        self.check_endpoints(snapshot);
        self.check_listeners(world, snapshot);
        self.check_targets(world, snapshot);
        self.check_health(snapshot);
    }

    fn check_endpoints(&mut self, snapshot: &Snapshot) {
        let old = std::mem::take(&mut self.endpoints);
        for endpoint in &snapshot.endpoints {
            match old.get(&endpoint.bind) {
                Some(id) => assert_eq!(*id, endpoint.id),
                None => self.expect_new(endpoint.id.0),
            }
            assert!(Arc::ptr_eq(
                snapshot.endpoint(endpoint.id).expect("its own endpoint"),
                endpoint
            ));
            self.endpoints.insert(endpoint.bind, endpoint.id);
        }
        assert!(snapshot.endpoints.is_sorted_by_key(|endpoint| endpoint.id));
    }

    fn check_listeners(&mut self, world: &World, snapshot: &Snapshot) {
        for (name, id) in std::mem::take(&mut self.listeners) {
            let stays = world.config.listeners.contains_key(&name);
            assert_eq!(snapshot.has_listener(id), stays, "{name}");
            if stays {
                self.listeners.insert(name, id);
            }
        }
        for route in &snapshot.routes {
            match self.listeners.get(&route.listener) {
                Some(id) => assert_eq!(*id, route.listener_id),
                None => self.expect_new(route.listener_id.0),
            }
            self.listeners
                .insert(route.listener.clone(), route.listener_id);
        }
    }

    fn check_targets(&mut self, world: &World, snapshot: &Snapshot) {
        let configured = configured_targets(world);
        for (key, (id, load)) in std::mem::take(&mut self.targets) {
            let stays = configured.contains(&key);
            assert_eq!(snapshot.has_target(id), stays, "{key:?}");
            if stays {
                self.targets.insert(key, (id, load));
            }
        }
        for backend in &snapshot.backends {
            for target in &backend.targets {
                let key = (backend.pool.clone(), target.address);
                if let Some((id, load)) = self.targets.get(&key) {
                    assert!(*id == target.id && load.is_same(&target.load), "{key:?}");
                } else {
                    self.expect_new(target.id.0);
                    self.targets.insert(key, (target.id, target.load.clone()));
                }
            }
        }
    }

    fn check_health(&mut self, snapshot: &Snapshot) {
        let old = std::mem::take(&mut self.health);
        for backend in &snapshot.backends {
            for target in &backend.targets {
                let (pool, settings) = (backend.pool.clone(), backend.settings_name.clone());
                let key = (pool, settings, target.address);
                match old.get(&key) {
                    Some(cell) => assert!(Arc::ptr_eq(cell, &target.health), "{key:?}"),
                    None => self.expect_new(target.health.id),
                }
                self.health.insert(key, Arc::clone(&target.health));
            }
        }
    }
}

/// Apart from its ids and cells, a snapshot is what its configuration alone comes to.
fn check_content(snapshot: &Snapshot, from_nothing: &Snapshot) {
    assert_eq!(snapshot.backends.len(), from_nothing.backends.len());
    for (is, new) in snapshot.backends.iter().zip(&from_nothing.backends) {
        assert_eq!(
            (&is.pool, &is.settings_name),
            (&new.pool, &new.settings_name)
        );
        assert_eq!((&is.settings, &is.probe), (&new.settings, &new.probe));
        assert_eq!((&is.cycle, &is.unresolved), (&new.cycle, &new.unresolved));
        let members = |backend: &Backend| -> Vec<_> {
            let targets = backend.targets.iter();
            let member = |one: &Arc<Target>| (one.host.clone(), one.address, one.weight);
            targets.map(member).collect()
        };
        assert_eq!(members(is), members(new));
    }
}

/// What must hold of every snapshot by itself.
fn check_alone(world: &World, snapshot: &Snapshot) {
    let mut backends = BTreeSet::new();
    for (index, backend) in snapshot.backends.iter().enumerate() {
        assert_eq!(backend.index, index);
        assert!(backends.insert((backend.pool.clone(), backend.settings_name.clone())));
        let addresses: BTreeSet<_> = backend
            .targets
            .iter()
            .map(|target| target.address)
            .collect();
        assert_eq!(addresses.len(), backend.targets.len(), "each address once");
    }
    for (index, route) in snapshot.routes.iter().enumerate() {
        assert_eq!(route.index, index);
        assert!(Arc::ptr_eq(
            &snapshot.backends[route.backend.index],
            &route.backend
        ));
        let rule = &world.config.rules[&route.rule];
        assert_eq!(
            (&rule.pool, &rule.listener),
            (&route.backend.pool, &route.listener)
        );
    }
}

proptest! {
    #[test]
    fn what_did_not_change_is_carried_over(worlds in prop::collection::vec(world(), 1..8)) {
        let options = CompileOptions { workers: 2, ..CompileOptions::default() };
        let mut model = Model::default();
        let mut previous: Option<Snapshot> = None;
        for (number, world) in (1..).zip(&worlds) {
            let snapshot = compile(
                &world.config,
                &world.dns,
                &options,
                previous.as_ref(),
                Generation(number),
                Revision(number),
            );
            check_alone(world, &snapshot);
            let alone = compile(
                &world.config,
                &world.dns,
                &options,
                None,
                Generation(number),
                Revision(number),
            );
            check_content(&snapshot, &alone);
            model.check(world, &snapshot);
            previous = Some(snapshot);
        }
    }

    /// The same configuration again is the same gateway, cell by cell.
    #[test]
    fn compiling_again_changes_nothing(world in world()) {
        let options = CompileOptions { workers: 2, ..CompileOptions::default() };
        let compiled = |previous, number| {
            let (generation, revision) = (Generation(number), Revision(1));
            compile(&world.config, &world.dns, &options, previous, generation, revision)
        };
        let first = compiled(None, 1);
        let second = compiled(Some(&first), 2);
        prop_assert_eq!(first.backends.len(), second.backends.len());
        for (was, is) in first.backends.iter().zip(&second.backends) {
            prop_assert!(was.turn.is_same(&is.turn));
            prop_assert!(Arc::ptr_eq(&was.settings, &is.settings));
            prop_assert!(Arc::ptr_eq(&was.probe, &is.probe));
            for (was, is) in was.targets.iter().zip(&is.targets) {
                prop_assert!(Arc::ptr_eq(&was.health, &is.health) && was.load.is_same(&is.load));
                prop_assert!(Arc::ptr_eq(&was.drain, &is.drain));
                prop_assert_eq!((was.id, was.address, was.weight), (is.id, is.address, is.weight));
            }
        }
    }
}

/// Targets are shared with the snapshot before only where nothing at all of them is another.
#[test]
fn a_target_that_has_another_weight_or_name_is_made_anew_and_keeps_its_id() {
    let tree = JsonTree::from_value(&whole()).unwrap();
    let config = parse(&tree).unwrap().config;
    let answer = |name: &str, address: [u8; 4]| {
        let addresses = vec![address.into()];
        (name.into(), Resolution::Addresses(addresses))
    };
    let dns = Resolutions::from([
        answer("web.example", [10, 0, 0, 1]),
        answer("local.example", [127, 0, 0, 1]),
    ]);
    let options = CompileOptions {
        workers: 2,
        ..CompileOptions::default()
    };
    let compiled = |config: &Config, previous| {
        let (generation, revision) = (Generation(1), Revision(1));
        compile(config, &dns, &options, previous, generation, revision)
    };
    let with = |change: &dyn Fn(&mut BackendTarget)| {
        let mut config = config.clone();
        let pool = config.pools.get_mut(&"web".into()).unwrap();
        change(&mut pool.targets[0]);
        config
    };
    let first = compiled(&config, None);
    let old = &first.backends[0].targets[0];
    let same = compiled(&with(&|_| {}), Some(&first));
    assert!(Arc::ptr_eq(old, &same.backends[0].targets[0]));

    let heavy = with(&|member| member.weight = NonZeroU16::new(3).unwrap());
    let heavy = compiled(&heavy, Some(&first));
    let target = &heavy.backends[0].targets[0];
    assert_eq!((target.id, target.weight.get()), (old.id, 3));
    check_content(&same, &first);
    assert_ne!(heavy.backends[0].cycle, first.backends[0].cycle);

    let name = TargetHost::Fqdn("local.example".into());
    let named = compiled(&with(&|member| member.host = name.clone()), Some(&first));
    let target = &named.backends[0].targets[0];
    assert_eq!((target.id, target.address), (old.id, old.address));
    assert_eq!(target.host, name);
}
