//! What the proxy hears of health while nobody asks anything of it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::balancing::{probed, until_healthy};
use crate::support::{Backends, Gateway, HANDSHAKE, PATIENCE, eventually, free_port};

/// How many of `count` handshakes, one after another, are let through.
fn let_through(port: u16, count: usize) -> usize {
    let mut open = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(HANDSHAKE.as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        match &status[9..] {
            b"101" => open.push(stream),
            b"503" => {}
            other => panic!("{}", String::from_utf8_lossy(other)),
        }
    }
    open.len()
}

/// Nobody knocks while the pool is down: its handshakes could not notice that it was.
#[test]
fn the_ramp_begins_anew_for_a_pool_that_was_down_unseen() {
    let backends = Backends::named(["one"]);
    let (admin, port, folder) = (free_port(), free_port(), tempdir().unwrap());
    let file = folder.path().join("gateway.json");
    let rate = r#""maxHandshakesPerSecond": 40, "handshakeRampInSec": 4"#;
    fs::write(&file, probed(port, &[backends.address(0)], rate)).unwrap();
    let _gateway = Gateway::run(admin, &["--config", file.to_str().unwrap()]);
    let started = Instant::now();
    let is = |wanted: &str| until_healthy(admin, backends.address(0), wanted);
    is("Up");
    eventually("the end of the start's ramp", || {
        (started.elapsed() > Duration::from_secs(4)).then_some(())
    });
    assert_eq!(let_through(port, 40), 40);
    backends.set_well(0, false);
    is("Down");
    backends.set_well(0, true);
    is("Up");
    let first = let_through(port, 40);
    assert!(first < 40, "all at once, as if it had never been away");
}
