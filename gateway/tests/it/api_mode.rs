//! `gateway run --state`: the API is the truth, and a crash takes nothing that was acknowledged.

use std::time::Duration;

use tempfile::tempdir;

use crate::support::{Backends, Gateway, document, eventually, free_port, get, pause, put};

#[test]
fn an_empty_state_waits_for_its_first_document() {
    let backends = Backends::named(["one"]);
    let folder = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let state = folder.path().to_str().unwrap();
    let gateway = Gateway::start_run(admin, &["--state", state]);
    let waiting = eventually("the API", || get(admin, "/readyz"));
    assert_eq!(waiting.status, 503, "{}", waiting.body);

    let dry = put(
        admin,
        "/v1/config?dryRun=true",
        &document(port, &[backends.address(0)]),
    );
    assert!(dry.unwrap().status < 300);
    assert!(get(port, "/").is_none(), "a dry run must not listen");

    let created = put(admin, "/v1/config", &document(port, &[backends.address(0)])).unwrap();
    assert_eq!(created.status, 201, "{}", created.body);
    assert_eq!(get(port, "/").unwrap().body, "one answers GET /\n");
    assert_eq!(get(admin, "/readyz").unwrap().status, 200);
    drop(gateway);
}

#[test]
fn what_was_acknowledged_survives_kill_nine() {
    let backends = Backends::named(["one"]);
    let folder = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let state = folder.path().to_str().unwrap();
    let gateway = Gateway::start_run(admin, &["--state", state]);
    eventually("the API", || get(admin, "/healthz"));
    let created = put(admin, "/v1/config", &document(port, &[backends.address(0)])).unwrap();
    assert_eq!(created.status, 201, "{}", created.body);
    gateway.kill_nine();

    let mut acknowledged = 1;
    for round in 0..6_u64 {
        let gateway = Gateway::run(admin, &["--state", state]);
        assert_eq!(get(port, "/").unwrap().body, "one answers GET /\n");
        let found = revision(admin);
        assert!(
            found == acknowledged || found == acknowledged + 1,
            "revision {found} after {acknowledged} was acknowledged"
        );
        assert_eq!(members(admin), found, "a revision is whole");

        let writer = std::thread::spawn(move || write_until_gone(admin, found));
        pause(Duration::from_millis(3 + 37 * round));
        gateway.kill_nine();
        acknowledged = writer.join().unwrap();
    }
    assert!(acknowledged > 1, "no write was ever acknowledged");
}

/// Revision n has n members, so that a mixture would show.
fn write_until_gone(admin: u16, from: u64) -> u64 {
    let mut acknowledged = from;
    loop {
        let members: Vec<_> = (0..=acknowledged)
            .map(|member| format!(r#"{{"ipAddress": "127.0.0.1", "port": {}}}"#, 1000 + member))
            .collect();
        let body = format!(
            r#"{{"properties": {{"backendAddresses": [{}]}}}}"#,
            members.join(",")
        );
        match put(admin, "/v1/backendAddressPools/spare", &body) {
            Some(answer) if answer.status < 300 => acknowledged += 1,
            Some(answer) => panic!("{}", answer.body),
            None => return acknowledged,
        }
    }
}

fn revision(admin: u16) -> u64 {
    let head = get(admin, "/v1/config").unwrap().head;
    let mut lines = head.lines();
    let value = lines.find_map(|line| line.strip_prefix("gateway-revision: "));
    value.unwrap().parse().unwrap()
}

/// The spare pool's members; revision 1 has no such pool.
fn members(admin: u16) -> u64 {
    let answer = get(admin, "/v1/backendAddressPools/spare").unwrap();
    if answer.status == 404 {
        return 1;
    }
    let pool: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    pool["properties"]["backendAddresses"]
        .as_array()
        .unwrap()
        .len() as u64
}
