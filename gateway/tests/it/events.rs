//! `/v1/events` of a real process: what an operator sees while things happen.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::tempdir;

use crate::support::{
    Backends, Gateway, HANDSHAKE, PATIENCE, document, eventually, free_port, get, put, send,
    shake_hands,
};

/// Somebody who listens, as `curl -N` does.
struct Listener(BufReader<TcpStream>);

/// One event.
#[derive(Debug, Default)]
struct Heard {
    id: String,
    kind: String,
    data: Value,
}

impl Listener {
    fn open(admin: u16, query: &str, last_event_id: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", admin)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let last = last_event_id.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
        // HTTP/1.0: the answer comes without chunks.
        write!(
            stream,
            "GET /v1/events{query} HTTP/1.0\r\nHost: localhost\r\n{last}\r\n"
        )
        .unwrap();
        let mut listener = Self(BufReader::new(stream));
        while !listener
            .line()
            .expect("an answer")
            .starts_with(": listening")
        {}
        listener
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).unwrap();
        (read > 0).then_some(line)
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Heard> {
        let mut heard = Heard::default();
        loop {
            let line = self.line()?;
            let (field, value) = line.trim_end().split_once(": ").unwrap_or_default();
            match field {
                "id" => value.clone_into(&mut heard.id),
                "event" => value.clone_into(&mut heard.kind),
                "data" => heard.data = serde_json::from_str(value).unwrap(),
                _ if line == "\n" && !heard.kind.is_empty() => return Some(heard),
                _ => {}
            }
        }
    }

    /// The next event that is looked for; others are passed over.
    fn until(&mut self, what: &str, is_it: impl Fn(&Heard) -> bool) -> Heard {
        loop {
            let heard = self.next();
            let heard = heard.unwrap_or_else(|| panic!("the stream ended before {what}"));
            if is_it(&heard) {
                return heard;
            }
        }
    }
}

/// With probes every second, so that a dead member is found out.
fn probed(document: &str) -> String {
    let probe = r#""probes": [{"name": "often", "properties": {
        "protocol": "Http", "path": "/", "interval": 1, "timeout": 1, "unhealthyThreshold": 1}}],
        "backendHttpSettingsCollection""#;
    document
        .replace(r#""backendHttpSettingsCollection""#, probe)
        .replace(
            r#""protocol": "Http"}}]"#,
            r#""protocol": "Http", "probe": {"id": "often"}}}]"#,
        )
}

#[test]
fn an_operator_sees_changes_health_and_the_end() {
    let mut backends = Backends::named(["one", "two"]);
    let state = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let gateway = Gateway::start_run(admin, &["--state", state.path().to_str().unwrap()]);
    eventually("the API", || get(admin, "/healthz"));
    let mut all = Listener::open(admin, "", None);
    let mut health_only = Listener::open(admin, "?types=health", None);

    let members = [backends.address(0), backends.address(1)];
    let text = probed(&document(port, &members));
    let answer = put(admin, "/v1/config", &text).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    let published = all.until("the revision", |heard| heard.kind == "revision");
    assert_eq!(published.data["revision"], 1);
    assert_eq!(published.data["cause"], "change");
    let changes = published.data["changes"].as_array().unwrap();
    let pool = changes
        .iter()
        .find(|one| one["resource"] == "backendAddressPools/pool");
    assert_eq!(pool.unwrap()["change"], "created");

    let target = members[1].to_string();
    let turned = |to: &'static str| {
        let target = target.clone();
        move |heard: &Heard| heard.data["target"] == *target && heard.data["to"] == to
    };
    all.until("the member that is up", turned("Up"));
    backends.stop(1);
    let down = all.until("the member that is down", turned("Down"));
    assert_eq!(down.kind, "health");
    assert_eq!(down.data["from"], "Up");
    assert_eq!(down.data["pool"], "pool");
    assert!(down.data["reason"].as_str().unwrap().contains("refused"));
    let same = health_only.until("the same", turned("Down"));
    assert_eq!(same.id, down.id);

    // Who comes back gets what came behind.
    let mut again = Listener::open(admin, "", Some(&published.id));
    again.until("the same once more", |heard| heard.id == down.id);

    gateway.signal(Signal::TERM);
    all.until("the drain", |heard| heard.data["phase"] == "Draining");
    all.until("the end", |heard| heard.data["phase"] == "Ended");
    assert!(all.next().is_none(), "more behind the end");
    let ended = gateway.ended();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(!ended.stderr.contains("cut off"), "{}", ended.stderr);
}

#[test]
fn an_operator_sees_refused_handshakes_and_drains() {
    let backends = Backends::named(["one", "two"]);
    let state = tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let _gateway = Gateway::start_run(admin, &["--state", state.path().to_str().unwrap()]);
    eventually("the API", || get(admin, "/healthz"));
    let one = [backends.address(0)];
    let answer = put(admin, "/v1/config", &document(port, &one)).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    let mut listener = Listener::open(admin, "?types=drain,refusedHandshakes", None);

    let old = HANDSHAKE.replace("Version: 13", "Version: 8");
    let old = old.replace("Connection: Upgrade", "Connection: Upgrade, close");
    for _ in 0..3 {
        assert_eq!(send(port, &old).unwrap().status, 426);
    }
    let mut seen = 0;
    while seen < 3 {
        let heard = listener.next().unwrap();
        assert_eq!(heard.kind, "refusedHandshakes");
        let refusal = &heard.data["refusals"][0];
        assert_eq!(refusal["listener"], "web");
        assert_eq!(refusal["pool"], "pool");
        assert_eq!(refusal["reason"], "version");
        assert_eq!(refusal["count"], heard.data["count"]);
        seen += heard.data["count"].as_u64().unwrap();
    }
    assert_eq!(seen, 3);

    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    shake_hands(&mut client);
    let other = [backends.address(1)];
    put(admin, "/v1/config", &document(port, &other)).unwrap();
    let started = listener.until("the drain", |heard| heard.kind == "drain");
    assert_eq!(started.data["phase"], "Started");
    assert_eq!(started.data["kind"], "TargetRemoved");
    // The client hears 1001 and leaves.
    client.read_exact(&mut [0; 4]).unwrap();
    drop(client);
    let finished = listener.until("its end", |heard| heard.data["phase"] == "Finished");
    assert_eq!(finished.data["id"], started.data["id"]);
    assert_eq!(finished.data["total"], 1);
    assert_eq!(finished.data["left"], 0);
}
