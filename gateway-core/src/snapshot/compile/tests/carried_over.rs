//! What of a snapshot is the same as in the one before.

use std::time::Duration;

use super::*;

#[test]
fn another_certificate_timeout_probe_or_rule_removes_nothing() {
    let before = config(
        vec![("a", https("one", &[], false))],
        vec![rule(Some(1), 0, "a")],
    );
    let old = compiled(&before, None);
    only_backend(&old).targets[0].health.set(Health::Up);

    let mut after = before.clone();
    after
        .listeners
        .insert("a".into(), https("two", &["a.test"], true));
    after.rules = [("renamed".into(), rule(None, 9, "a"))].into();
    let settings = after.http_settings.get_mut(&"settings".into()).unwrap();
    settings.request_timeout = Duration::from_secs(1);
    let new = compiled(&after, Some(&old));

    let (was, is) = (only_backend(&old), only_backend(&new));
    assert_eq!(old.endpoints[0].id, new.endpoints[0].id);
    assert_eq!(old.routes[0].listener_id, new.routes[0].listener_id);
    assert_eq!(was.targets[0].id, is.targets[0].id);
    assert!(Arc::ptr_eq(&was.targets[0].health, &is.targets[0].health));
    assert!(was.targets[0].load.is_same(&is.targets[0].load) && was.turn.is_same(&is.turn));
    assert!(Arc::ptr_eq(&was.probe, &is.probe), "the plan is the same");
    assert!(!Arc::ptr_eq(&was.settings, &is.settings));
}

#[test]
fn a_target_that_no_rule_reaches_is_still_itself() {
    let with_rule = config(vec![("a", http(80, &[]))], vec![rule(None, 0, "a")]);
    let mut without_rule = with_rule.clone();
    without_rule.rules.clear();
    let first = compiled(&with_rule, None);
    let target = &only_backend(&first).targets[0];
    let listener = first.routes[0].listener_id;

    let second = compiled(&without_rule, Some(&first));
    assert!(second.backends.is_empty());
    assert!(second.has_target(target.id) && second.has_listener(listener));
    let third = compiled(&with_rule, Some(&second));
    let again = &only_backend(&third).targets[0];
    assert_eq!(again.id, target.id);
    assert!(again.load.is_same(&target.load));
    assert!(
        !Arc::ptr_eq(&again.health, &target.health),
        "nobody probed it meanwhile"
    );
}

#[test]
fn settings_of_one_port_share_load_but_not_health() {
    let listeners = vec![
        ("a", http(80, &[])),
        ("b", http(81, &[])),
        ("c", http(82, &[])),
    ];
    let mut rules: Vec<_> = (0..)
        .zip(&listeners)
        .map(|(at, (name, _))| rule(None, at, name))
        .collect();
    rules[1].http_settings = "same-port".into();
    rules[2].http_settings = "other-port".into();
    let mut config = config(listeners, rules);
    config
        .http_settings
        .insert("same-port".into(), http_settings(8080));
    config
        .http_settings
        .insert("other-port".into(), http_settings(9090));
    let snapshot = compiled(&config, None);
    let [a, b, c] = [0, 1, 2].map(|at| &snapshot.backends[at].targets[0]);
    assert!(a.id == b.id && a.load.is_same(&b.load));
    assert!(Arc::ptr_eq(&a.drain, &b.drain));
    assert_ne!(a.health.id, b.health.id);
    assert!(a.id != c.id && !a.load.is_same(&c.load));
}

#[test]
fn what_is_removed_and_put_back_is_somebody_new() {
    let full = config(vec![("a", http(80, &[]))], vec![rule(None, 0, "a")]);
    let first = compiled(&full, None);
    let mut empty = full.clone();
    empty.listeners.clear();
    empty.pools.get_mut(&"pool".into()).unwrap().targets.clear();
    let second = compiled(&empty, Some(&first));
    assert!(second.endpoints.is_empty());
    assert!(!second.has_target(only_backend(&first).targets[0].id));
    assert!(!second.has_listener(first.routes[0].listener_id));

    let third = compiled(&full, Some(&second));
    assert_ne!(third.endpoints[0].id, first.endpoints[0].id);
    assert_ne!(third.routes[0].listener_id, first.routes[0].listener_id);
    let (was, is) = (
        &only_backend(&first).targets[0],
        &only_backend(&third).targets[0],
    );
    assert!(was.id != is.id && was.health.id != is.health.id);
}
