//! `gateway run --config`: the file is the truth.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use rustix::process::Signal;
use tempfile::{TempDir, tempdir};

use crate::support::{
    Backends, Gateway, PATIENCE, command, document, eventually, free_port, get, put, replace,
};

struct Setup {
    backends: Backends,
    port: u16,
    admin: u16,
    config: PathBuf,
    gateway: Gateway,
    _folder: TempDir,
}

/// A gateway that serves the first of two backends.
fn setup(more: &[&str]) -> Setup {
    let backends = Backends::named(["one", "two"]);
    let folder = tempdir().unwrap();
    let config = folder.path().join("gateway.json");
    let (port, admin) = (free_port(), free_port());
    fs::write(&config, document(port, &[backends.address(0)])).unwrap();
    let mut arguments = vec!["--config", config.to_str().unwrap()];
    arguments.extend(more);
    let gateway = Gateway::run(admin, &arguments);
    Setup {
        backends,
        port,
        admin,
        config,
        gateway,
        _folder: folder,
    }
}

impl Setup {
    fn answers(&self) -> String {
        get(self.port, "/").unwrap().body
    }
}

#[test]
fn a_new_version_is_taken_up_and_a_bad_one_is_refused() {
    let setup = setup(&[]);
    assert_eq!(setup.answers(), "one answers GET /\n");

    replace(
        &setup.config,
        &document(setup.port, &[setup.backends.address(1)]),
    );
    eventually("the second backend", || {
        (setup.answers() == "two answers GET /\n").then_some(())
    });

    let bad = document(setup.port, &[]).replace("\"Basic\"", "\"Bsic\"");
    replace(&setup.config, &bad);
    eventually("the refusal", || {
        setup
            .gateway
            .stderr()
            .contains("did you mean `Basic`?")
            .then_some(())
    });
    assert_eq!(setup.answers(), "two answers GET /\n");
    assert_eq!(get(setup.admin, "/readyz").unwrap().status, 200);
    let metrics = get(setup.admin, "/metrics").unwrap().body;
    assert!(
        metrics.contains("gateway_config_reload_failures_total 1\n"),
        "{metrics}"
    );
    assert!(metrics.contains("gateway_config_revision 2\n"), "{metrics}");

    replace(
        &setup.config,
        &document(setup.port, &[setup.backends.address(0)]),
    );
    eventually("the first backend", || {
        (setup.answers() == "one answers GET /\n").then_some(())
    });
}

#[test]
fn a_pipe_in_the_place_of_the_file_is_not_waited_for() {
    let setup = setup(&[]);
    fs::remove_file(&setup.config).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &setup.config,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    setup.gateway.signal(Signal::HUP);
    eventually("the refusal", || {
        let told = setup.gateway.stderr();
        told.contains("not a file that can be read again")
            .then_some(())
    });
    assert_eq!(setup.answers(), "one answers GET /\n");
    setup.gateway.signal(Signal::TERM);
    assert_eq!(setup.gateway.ended().status.code(), Some(0));
}

#[test]
fn a_port_that_is_taken_leaves_everything_as_it_was() {
    let setup = setup(&[]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    replace(&setup.config, &document(port, &[setup.backends.address(1)]));
    eventually("the refusal", || {
        setup
            .gateway
            .stderr()
            .contains("another process listens there")
            .then_some(())
    });
    assert_eq!(setup.answers(), "one answers GET /\n");
}

#[test]
fn the_service_manager_is_told() {
    let folder = tempdir().unwrap();
    let socket = folder.path().join("notify");
    let heard = UnixDatagram::bind(&socket).unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut words = [0; 256];
        let count = heard.recv(&mut words).unwrap();
        String::from_utf8_lossy(&words[..count]).into_owned()
    };
    let config = folder.path().join("gateway.json");
    fs::write(&config, document(free_port(), &[])).unwrap();
    let admin = format!("127.0.0.1:{}", free_port());
    let mut command = command(&[
        "run",
        "--config",
        config.to_str().unwrap(),
        "--admin",
        &admin,
    ]);
    command.env("NOTIFY_SOCKET", &socket);
    let gateway = Gateway::spawn(command);
    assert_eq!(hear(), "READY=1\n");
    gateway.signal(Signal::HUP);
    let reloading = hear();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(hear(), "READY=1\n");
    gateway.signal(Signal::TERM);
    assert_eq!(hear(), "STOPPING=1\n");
    assert_eq!(gateway.ended().status.code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let setup = setup(&["--drain-timeout", "3600"]);
    let mut stuck = TcpStream::connect(("127.0.0.1", setup.port)).unwrap();
    stuck
        .write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        .unwrap();
    eventually("the request to be in flight", || {
        let health = get(setup.admin, "/v1/backendHealth")?.body;
        health.contains("\"load\": 1").then_some(())
    });
    setup.gateway.signal(Signal::TERM);
    eventually("the drain", || {
        setup.gateway.stderr().contains("draining").then_some(())
    });
    let ready = get(setup.admin, "/readyz").unwrap();
    assert_eq!(ready.status, 503, "{}", ready.body);
    setup.gateway.signal(Signal::TERM);
    let ended = setup.gateway.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("ended at once"), "{}", ended.stderr);
    drop(stuck);
}

#[test]
fn the_api_only_reads() {
    let setup = setup(&[]);
    let refused = put(
        setup.admin,
        "/v1/backendAddressPools/pool",
        r#"{"properties": {"backendAddresses": []}}"#,
    );
    let refused = refused.unwrap();
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(
        refused.body.contains("gateway.json; change the file"),
        "{}",
        refused.body
    );
    let pool = get(setup.admin, "/v1/backendAddressPools/pool").unwrap();
    assert_eq!(pool.status, 200, "{}", pool.body);
}

#[test]
fn terminated_it_drains_and_ends_with_status_0() {
    let setup = setup(&["--drain-timeout", "5"]);
    assert_eq!(setup.answers(), "one answers GET /\n");
    setup.gateway.signal(Signal::TERM);
    let ended = setup.gateway.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("drained"), "{}", ended.stderr);
}

#[test]
fn hung_up_it_opens_its_access_log_anew() {
    let folder = tempdir().unwrap();
    let log = folder.path().join("access.log");
    let moved = folder.path().join("access.log.1");
    let setup = setup(&["--access-log", log.to_str().unwrap()]);
    setup.answers();
    eventually("the first record", || {
        fs::read_to_string(&log)
            .ok()
            .filter(|text| text.contains("\"requestUri\":\"/\""))
    });
    fs::rename(&log, &moved).unwrap();
    setup.gateway.signal(Signal::HUP);
    eventually("SIGHUP to be seen", || {
        setup.gateway.stderr().contains("SIGHUP").then_some(())
    });
    get(setup.port, "/after");
    let fresh = eventually("the second record", || {
        fs::read_to_string(&log)
            .ok()
            .filter(|text| text.contains("/after"))
    });
    let record: serde_json::Value = serde_json::from_str(fresh.lines().next().unwrap()).unwrap();
    assert_eq!(record["properties"]["httpStatus"], 200);
}
