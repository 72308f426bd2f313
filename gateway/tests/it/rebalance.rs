//! A pool that has grown, with clients that come back when they are closed.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::tempdir;

use crate::balancing::{Socket, probed, until_healthy};
use crate::support::{Backends, Gateway, PATIENCE, eventually, free_port, get, post, replace};

/// As [`probed`], by least connections.
fn by_least_connections(port: u16, backends: &[SocketAddr], web_socket: &str) -> String {
    let policies = r#""loadDistributionPolicies": [{"name": "least", "properties":
        {"loadDistributionAlgorithm": "LeastConnections"}}],"#;
    let rule = r#""loadDistributionPolicy": {"id": "least"}, "ruleType""#;
    probed(port, backends, web_socket)
        .replacen(
            r#""httpListeners""#,
            &format!(r#"{policies} "httpListeners""#),
            1,
        )
        .replacen(r#""ruleType""#, rule, 1)
}

/// Clients that come back whenever they are closed, until this is dropped.
struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Where each client is; `None` while it is on its way.
    places: Mutex<Vec<Option<String>>>,
    codes: Mutex<Vec<u16>>,
    over: AtomicBool,
}

impl Crowd {
    fn start(port: u16, count: usize) -> Self {
        let shared = Arc::new(Shared::default());
        shared.places.lock().unwrap().resize(count, None);
        let threads = (0..count).map(|number| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.stay(port, number))
        });
        let threads = threads.collect();
        Self { shared, threads }
    }

    /// How many are at each backend, once all are somewhere.
    fn places(&self) -> Option<BTreeMap<String, usize>> {
        let mut counted = BTreeMap::new();
        for place in &*self.shared.places.lock().unwrap() {
            *counted.entry(place.clone()?).or_insert(0) += 1;
        }
        Some(counted)
    }

    fn codes(&self) -> Vec<u16> {
        self.shared.codes.lock().unwrap().clone()
    }
}

impl Shared {
    /// A client's life. It panics when its connection ends without a Close frame, as 1006.
    fn stay(&self, port: u16, number: usize) {
        while !self.over.load(Ordering::Relaxed) {
            let mut socket = Socket::open(port);
            self.places.lock().unwrap()[number] = Some(socket.backend.clone());
            let moment = Some(Duration::from_millis(50));
            socket.stream.set_read_timeout(moment).unwrap();
            while matches!(&socket.stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
            {
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
            }
            socket.stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let code = socket.closed_with();
            self.places.lock().unwrap()[number] = None;
            self.codes.lock().unwrap().push(code);
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let ended = self.threads.drain(..).map(JoinHandle::join);
        let failed = ended.filter(Result::is_err).count();
        if !std::thread::panicking() {
            assert_eq!(failed, 0, "clients whose connection broke off");
        }
    }
}

/// Within 10 % of what each of `backends` has when all have the same.
fn is_even(places: &BTreeMap<String, usize>, backends: usize) -> bool {
    let mean = places.values().sum::<usize>() as f64 / backends as f64;
    let is_near = |count: &usize| (*count as f64 - mean).abs() <= mean / 10.0;
    places.len() == backends && places.values().all(is_near)
}

#[test]
fn a_pool_that_has_grown_is_evened_out() {
    let backends = Backends::named(["a", "b", "c", "d"]);
    let all: Vec<SocketAddr> = (0..4).map(|index| backends.address(index)).collect();
    let folder = tempdir().unwrap();
    let config = folder.path().join("gateway.json");
    let (port, admin) = (free_port(), free_port());
    let rebalance = r#""rebalance": {"thresholdPercent": 10, "tunnelsPerSecond": 50}"#;
    fs::write(&config, by_least_connections(port, &all[..2], rebalance)).unwrap();
    let _gateway = Gateway::run(admin, &["--config", config.to_str().unwrap()]);
    all[..2]
        .iter()
        .for_each(|one| until_healthy(admin, *one, "Up"));
    let crowd = Crowd::start(port, 100);
    eventually("an even pool", || {
        is_even(&crowd.places()?, 2).then_some(())
    });
    assert!(crowd.codes().is_empty(), "nobody touches it");

    replace(&config, &by_least_connections(port, &all, rebalance));
    eventually("all four even", || {
        is_even(&crowd.places()?, 4).then_some(())
    });
    // Those above the mean, and nobody twice.
    let told = eventually("the end of it", || {
        let told = rebalanced(admin)?;
        (told == crowd.codes().len() && crowd.places().is_some()).then_some(told)
    });
    let codes = crowd.codes();
    assert!(codes.iter().all(|code| *code == 1012), "{codes:?}");
    assert!((48..=55).contains(&told), "{told}");
    assert!(is_even(&crowd.places().unwrap(), 4));
}

/// What `/metrics` says of it.
fn rebalanced(admin: u16) -> Option<usize> {
    let metrics = get(admin, "/metrics")?.body;
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("gateway_tunnels_rebalanced_total "));
    count?.parse().ok().filter(|count| *count > 40)
}

#[test]
fn a_pool_is_evened_out_once_by_request_whatever_its_settings_say() {
    let backends = Backends::named(["a", "b"]);
    let both = [backends.address(0), backends.address(1)];
    let folder = tempdir().unwrap();
    let config = folder.path().join("gateway.json");
    let (port, admin) = (free_port(), free_port());
    fs::write(&config, by_least_connections(port, &both[..1], "")).unwrap();
    let _gateway = Gateway::run(admin, &["--config", config.to_str().unwrap()]);
    until_healthy(admin, both[0], "Up");
    let crowd = Crowd::start(port, 20);
    eventually("all at one", || (crowd.places()?.len() == 1).then_some(()));
    let text = by_least_connections(port, &both, "");
    replace(&config, &text);
    eventually("the second target", || {
        until_healthy(admin, both[1], "Up");
        Some(())
    });
    let path = "/v1/backendAddressPools/POOL/rebalance";
    let answer = post(admin, path, r#"{"tunnelsPerSecond": 100}"#).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
    let drains: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let drain = &drains["value"][0];
    assert_eq!(
        (&drain["kind"], &drain["total"]),
        (&"Rebalance".into(), &10.into())
    );
    eventually("both even", || is_even(&crowd.places()?, 2).then_some(()));
    eventually("ten clients that came back", || {
        (crowd.codes() == [1012; 10]).then_some(())
    });
    eventually("nothing to do", || {
        let answer = post(admin, path, "")?;
        let drains: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
        let is_over = |drain: &serde_json::Value| drain["left"] == 0;
        drains["value"]
            .as_array()?
            .iter()
            .all(is_over)
            .then_some(())
    });
    assert_eq!(crowd.codes(), [1012; 10]);

    // Clients that are hashed would come back to where they were.
    replace(&config, &text.replacen("LeastConnections", "IpHash", 1));
    eventually("the new policy", || {
        (post(admin, path, "")?.status == 409).then_some(())
    });
}
