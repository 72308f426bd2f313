//! Open WebSockets and drains over the API of a running gateway.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{
    Backends, Gateway, PATIENCE, document, eventually, free_port, get, send, shake_hands,
};

fn post(admin: u16, path: &str) -> (u16, Value) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    let answer = send(admin, &request).unwrap();
    let body = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
    (answer.status, body)
}

fn read(admin: u16, path: &str) -> Value {
    serde_json::from_str(&get(admin, path).unwrap().body).unwrap()
}

fn open(port: u16) -> TcpStream {
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(shake_hands(&mut client).starts_with("HTTP/1.1 101 "));
    client
}

/// Reads a Close with this code, answers, and reads the end.
fn expect_close(client: &mut TcpStream, code: u16) {
    let mut head = [0; 4];
    client.read_exact(&mut head).unwrap();
    assert_eq!(
        (head[0], u16::from_be_bytes([head[2], head[3]])),
        (0x88, code)
    );
    client
        .write_all(&[0x88, 0x82, 0, 0, 0, 0, head[2], head[3]])
        .unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.len() + 2, usize::from(head[1]));
}

fn health(admin: u16) -> Value {
    let health = read(admin, "/v1/backendHealth");
    health["backendAddressPools"][0]["backendHttpSettingsCollection"][0]["servers"][0]["health"]
        .clone()
}

/// With a file as the truth, too: none of this is configuration.
#[test]
fn a_tunnel_is_seen_its_target_drained_and_resumed() {
    let backends = Backends::named(["one"]);
    let folder = tempdir().unwrap();
    let config = folder.path().join("gateway.json");
    let (port, admin) = (free_port(), free_port());
    fs::write(&config, document(port, &[backends.address(0)])).unwrap();
    let gateway = Gateway::run(admin, &["--config", config.to_str().unwrap()]);
    let mut client = open(port);
    let list = read(admin, "/v1/connections?pool=pool");
    assert_eq!(list["count"], 1, "{list}");
    let tunnel = &list["value"][0];
    let address = backends.address(0).to_string();
    let shown = ["listener", "pool", "settings", "target", "host", "state"]
        .map(|name| tunnel[name].as_str().unwrap().to_owned());
    let expected = [
        "web",
        "pool",
        "plain",
        &address,
        "server.example.com",
        "Open",
    ];
    assert_eq!(shown, expected);
    assert_eq!(tunnel["client"], client.local_addr().unwrap().to_string());

    let target = format!("/v1/backendAddressPools/pool/targets/{address}");
    let (status, drain) = post(admin, &format!("{target}/drain"));
    assert_eq!((status, &drain["total"]), (202, &Value::from(1)), "{drain}");
    assert_eq!(health(admin), "Draining");
    assert_eq!(get(port, "/").unwrap().status, 502);
    expect_close(&mut client, 1001);
    drop(client);
    let path = format!("/v1/drains/{}", drain["id"].as_str().unwrap());
    let ended = eventually("the end of the drain", || {
        let drain = read(admin, &path);
        (drain["state"] == "Finished").then_some(drain)
    });
    assert_eq!(ended["closed"], 1, "{ended}");

    assert_eq!(post(admin, &format!("{target}/resume")).0, 204);
    assert_ne!(health(admin), "Draining");
    assert_eq!(get(port, "/").unwrap().status, 200);

    // One is closed with a code and a reason, and the end of the process closes the other.
    let mut clients = [open(port), open(port)];
    let own = clients[0].local_addr().unwrap().to_string();
    let list = read(admin, "/v1/connections");
    let mut tunnels = list["value"].as_array().unwrap().iter();
    let tunnel = tunnels.find(|tunnel| tunnel["client"] == *own).unwrap();
    let id = tunnel["id"].as_str().unwrap();
    let request = format!(
        "DELETE /v1/connections/{id}?code=4001&reason=moved HTTP/1.1\r\nHost: 127.0.0.1\r\n\
         Connection: close\r\n\r\n"
    );
    assert_eq!(send(admin, &request).unwrap().status, 202);
    expect_close(&mut clients[0], 4001);
    gateway.signal(Signal::TERM);
    expect_close(&mut clients[1], 1001);
    let drains = read(admin, "/v1/drains");
    assert_eq!(drains["value"][0]["kind"], "Shutdown", "{drains}");
    drop(clients);
    assert_eq!(gateway.ended().status.code(), Some(0));
}
