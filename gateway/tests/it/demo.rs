//! `gateway demo`: what it prints works.

use std::net::{TcpListener, TcpStream};

use rustix::process::Signal;

use crate::support::{Gateway, PATIENCE, eventually, free_port, get, put, run, send, shake_hands};

#[test]
fn the_demo_serves_breaks_changes_and_ends() {
    let (port, tls_port, admin) = (free_port(), free_port(), free_port());
    let gateway = Gateway::start(&[
        "demo",
        "--port",
        &port.to_string(),
        "--tls-port",
        &tls_port.to_string(),
        "--admin",
        &format!("127.0.0.1:{admin}"),
    ]);
    let said = eventually("the instructions", || {
        Some(gateway.stdout()).filter(|text| text.contains("Ctrl-C"))
    });
    assert!(said.lines().count() < 15, "{said}");
    assert!(
        said.contains(&format!("curl --insecure https://127.0.0.1:{tls_port}/")),
        "{said}"
    );

    let answers: Vec<_> = (0..4).map(|_| get(port, "/").unwrap().body).collect();
    for name in ["red", "green"] {
        assert!(
            answers.contains(&format!("{name} answers GET /\n")),
            "{answers:?}"
        );
    }
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let greeting = shake_hands(&mut socket);
    assert!(
        greeting.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "{greeting}"
    );

    // The command that breaks a backend, as it is printed.
    let fault = said
        .split('\'')
        .find(|part| part.contains("/_fault"))
        .unwrap();
    let (backend, path) = fault
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let backend_port = backend.split(':').nth(1).unwrap().parse().unwrap();
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {backend}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    assert_eq!(send(backend_port, &request).unwrap().status, 200);
    eventually("red to leave", || {
        let health = get(admin, "/v1/backendHealth")?.body;
        health.contains("\"Down\"").then_some(())
    });
    assert_eq!(get(port, "/").unwrap().body, "green answers GET /\n");

    // The command that changes the pool, as it is printed.
    let body = said
        .split('\'')
        .find(|part| part.contains("backendAddresses"))
        .unwrap();
    let changed = put(admin, "/v1/backendAddressPools/colours", body).unwrap();
    assert_eq!(changed.status, 200, "{}", changed.body);
    eventually("blue", || {
        (get(port, "/").unwrap().body == "blue answers GET /\n").then_some(())
    });
    // A masked text frame, echoed: the socket did not notice.
    std::io::Write::write_all(&mut socket, &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).unwrap();
    let mut echo = [0; 4];
    std::io::Read::read_exact(&mut socket, &mut echo).unwrap();
    assert_eq!(echo, [0x81, 2, b'h', b'i']);

    drop(socket);
    gateway.signal(Signal::INT);
    let ended = gateway.ended();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_taken_port_is_named_with_the_option_that_moves_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (port, address) = (port.to_string(), format!("127.0.0.1:{port}"));
    let free = [free_port().to_string(), free_port().to_string()];
    let rows = [
        ("--port", [&port, &free[0]], "127.0.0.1:0"),
        ("--tls-port", [&free[0], &port], "127.0.0.1:0"),
        ("--admin", [&free[0], &free[1]], &*address),
    ];
    for (option, [http, https], admin) in rows {
        let ended = run(&[
            "demo",
            "--port",
            http,
            "--tls-port",
            https,
            "--admin",
            admin,
        ]);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(&address), "{}", ended.stderr);
        assert!(
            ended.stderr.contains(&format!("with {option}")),
            "{}",
            ended.stderr
        );
    }
}
