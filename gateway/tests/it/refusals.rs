//! Starts that are refused, and whether the words help.

use std::fs;
use std::net::TcpListener;

use tempfile::tempdir;

use crate::support::{Gateway, document, eventually, free_port, get, run};

#[test]
fn an_admin_api_for_everybody_is_refused_with_what_is_missing() {
    let folder = tempdir().unwrap();
    let state = folder.path().join("state");
    let token = folder.path().join("token");
    fs::write(&token, "correct-horse-battery\n").unwrap();
    let (state, token) = (state.to_str().unwrap(), token.to_str().unwrap());
    let rows: [(&[&str], &str); 3] = [
        (
            &[],
            "add --admin-token-file FILE and --admin-cert FILE, or listen on 127.0.0.1",
        ),
        (&["--admin-token-file", token], "add --admin-cert FILE, or"),
        (
            &["--admin-cert", "any.pem"],
            "add --admin-token-file FILE, or",
        ),
    ];
    for (more, expected) in rows {
        let mut arguments = vec!["run", "--state", state, "--admin", "0.0.0.0:0"];
        arguments.extend(more);
        let ended = run(&arguments);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempdir().unwrap();
    let config = folder.path().join("gateway.json");
    fs::write(&config, document(port, &[])).unwrap();
    let config = config.to_str().unwrap();
    let ended = run(&["run", "--config", config, "--admin", "127.0.0.1:0"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let expected = format!(
        "error: cannot listen on 127.0.0.1:{port}: another process listens there; stop it, or bind \
         another port with --map-port 80=8080"
    );
    assert!(ended.stderr.contains(&expected), "{}", ended.stderr);

    let admin = format!("127.0.0.1:{port}");
    let ended = run(&["run", "--config", config, "--admin", &admin]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let expected = "choose another address with --admin";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn a_bad_file_is_drawn_and_nothing_starts() {
    let folder = tempdir().unwrap();
    let config = folder.path().join("gateway.json");
    fs::write(&config, document(80, &[]).replace("\"Basic\"", "\"Bsic\"")).unwrap();
    let ended = run(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("gateway.json has 1 error\n"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("did you mean `Basic`?"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_file_in_the_place_of_the_socket_is_left_alone() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("precious");
    fs::write(&file, "precious").unwrap();
    let state = folder.path().join("state");
    let admin = format!("unix:{}", file.display());
    let ended = run(&["run", "--state", state.to_str().unwrap(), "--admin", &admin]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("no socket"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn a_port_that_is_mapped_twice_is_refused() {
    let folder = tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let maps = "80=8080,80=8081";
    let ended = run(&["run", "--state", state, "--map-port", maps]);
    assert_eq!(ended.status.code(), Some(1));
    let expected = "--map-port maps 80 to 8080 and to 8081";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn a_second_process_on_the_same_state_is_told_so() {
    let folder = tempdir().unwrap();
    let state = folder.path().to_str().unwrap();
    let admin = free_port();
    let _first = Gateway::start_run(admin, &["--state", state]);
    eventually("the first", || get(admin, "/healthz"));
    let ended = run(&["run", "--state", state, "--admin", "127.0.0.1:0"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let expected = "is in use by another gateway process";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);
}

#[test]
fn a_healthcheck_finds_a_gateway_that_lives() {
    let folder = tempdir().unwrap();
    let (admin, health) = (free_port(), free_port());
    let state = folder.path().to_str().unwrap();
    let health_address = format!("0.0.0.0:{health}");
    let admin_address = format!("127.0.0.1:{admin}");
    let ask = |option: &str, address: &str| run(&["healthcheck", option, address]).status.code();
    assert_eq!(ask("--admin", &admin_address), Some(1));
    let _gateway = Gateway::start_run(admin, &["--state", state, "--health", &health_address]);
    eventually("the API", || get(admin, "/healthz"));
    assert_eq!(ask("--admin", &admin_address), Some(0));
    assert_eq!(ask("--health", &health_address), Some(0));
    assert_eq!(get(health, "/v1/config").unwrap().status, 404);
    assert_eq!(
        get(health, "/readyz").unwrap().status,
        503,
        "no document yet"
    );
}
