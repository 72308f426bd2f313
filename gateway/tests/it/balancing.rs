//! What becomes of WebSockets whose backend falls ill.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::support::{
    Backends, Gateway, PATIENCE, document, eventually, free_port, get, post, shake_hands,
};

/// "Hello", masked (RFC 6455 section 5.7), and as it comes back.
const HELLO_MASKED: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
const HELLO: &[u8] = b"\x81\x05Hello";

/// Probes once a second, and WebSockets as `web_socket` says.
pub(crate) fn probed(port: u16, backends: &[SocketAddr], web_socket: &str) -> String {
    let plain = document(port, backends);
    let settings = format!(
        r#""protocol": "Http", "probe": {{"id": "health"}}, "webSocket": {{{web_socket}}}"#
    );
    let probes = r#""probes": [{"name": "health", "properties": {"protocol": "Http",
        "host": "localhost", "path": "/health", "interval": 1, "timeout": 1,
        "unhealthyThreshold": 1}}],"#;
    plain
        .replacen(r#""protocol": "Http""#, &settings, 1)
        .replacen(
            r#""httpListeners""#,
            &format!(r#"{probes} "httpListeners""#),
            1,
        )
}

/// An open WebSocket, and whose it is.
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    pub(crate) backend: String,
}

impl Socket {
    pub(crate) fn open(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let read = shake_hands(&mut stream);
        let (_, backend) = read.rsplit_once("hello from ").unwrap();
        let backend = backend.to_owned();
        Self { stream, backend }
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn expect_echo(&mut self) {
        self.stream.write_all(HELLO_MASKED).unwrap();
        assert_eq!(self.read(HELLO.len()), HELLO);
    }

    /// Waits for a Close frame, answers it, and gives its code.
    pub(crate) fn closed_with(&mut self) -> u16 {
        let head = self.read(2);
        assert_eq!(head[0], 0x88, "a Close frame comes, and nothing else");
        let payload = self.read(usize::from(head[1]));
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        // Masked with zeroes, which is a mask, too.
        let mut answer = vec![0x88, 0x82, 0, 0, 0, 0];
        answer.extend(&payload[..2]);
        let _ = self.stream.write_all(&answer);
        code
    }
}

fn health(admin: u16, backend: SocketAddr) -> Option<String> {
    let body: serde_json::Value =
        serde_json::from_str(&get(admin, "/v1/backendHealth")?.body).ok()?;
    let settings = &body["backendAddressPools"][0]["backendHttpSettingsCollection"][0];
    let servers = settings["servers"].as_array()?.iter();
    let endpoint = backend.to_string();
    let mut of_backend = servers.filter(|server| server["endpoint"] == endpoint);
    Some(of_backend.next()?["health"].as_str()?.to_owned())
}

pub(crate) fn until_healthy(admin: u16, backend: SocketAddr, wanted: &str) {
    eventually("the backend's health", || {
        (health(admin, backend)? == wanted).then_some(())
    });
}

#[test]
fn tunnels_of_a_backend_that_falls_ill_end_as_the_settings_say() {
    let rows = [
        // webSocket; the code that clients of the ill backend hear
        (r#""onUnhealthy": "Keep""#, None),
        ("", None),
        (r#""onUnhealthy": "Close""#, Some(1001)),
        (r#""onUnhealthy": "Close", "closeCode": 1012"#, Some(1012)),
        (r#""onUnhealthy": "Drain", "closeOverInSec": 1"#, Some(1001)),
    ];
    let backends = Backends::named(["ill", "well"]);
    let both = [backends.address(0), backends.address(1)];
    for (web_socket, code) in rows {
        let folder = tempdir().unwrap();
        let config = folder.path().join("gateway.json");
        let (port, admin) = (free_port(), free_port());
        fs::write(&config, probed(port, &both, web_socket)).unwrap();
        let _gateway = Gateway::run(admin, &["--config", config.to_str().unwrap()]);
        both.iter().for_each(|one| until_healthy(admin, *one, "Up"));
        let sockets = (0..12).map(|_| Socket::open(port));
        let (mut ill, mut well): (Vec<_>, Vec<_>) =
            sockets.partition(|socket| socket.backend == "ill");
        assert!(ill.len() > 2 && well.len() > 2);

        backends.set_well(0, false);
        until_healthy(admin, both[0], "Down");
        let down_at = Instant::now();
        match code {
            Some(code) => {
                let codes: Vec<u16> = ill.iter_mut().map(Socket::closed_with).collect();
                assert_eq!(codes, vec![code; ill.len()], "{web_socket}");
                assert!(down_at.elapsed() < Duration::from_secs(4), "{web_socket}");
            }
            None => ill.iter_mut().for_each(Socket::expect_echo),
        }
        well.iter_mut().for_each(Socket::expect_echo);
        backends.set_well(0, true);
        until_healthy(admin, both[0], "Up");
        well.iter_mut().for_each(Socket::expect_echo);
    }
}

/// With nobody else to go to, the settings still say what they say.
#[test]
fn tunnels_end_with_all_backends_down_too_but_not_where_min_servers_serves_them() {
    let backends = Backends::named(["only"]);
    let only = [backends.address(0)];
    for min_servers in [0, 1] {
        let folder = tempdir().unwrap();
        let config = folder.path().join("gateway.json");
        let (port, admin) = (free_port(), free_port());
        let text = probed(port, &only, r#""onUnhealthy": "Close""#).replacen(
            r#""unhealthyThreshold": 1"#,
            &format!(r#""unhealthyThreshold": 1, "minServers": {min_servers}"#),
            1,
        );
        fs::write(&config, text).unwrap();
        let _gateway = Gateway::run(admin, &["--config", config.to_str().unwrap()]);
        until_healthy(admin, only[0], "Up");
        let mut socket = Socket::open(port);
        backends.set_well(0, false);
        until_healthy(admin, only[0], "Down");
        if min_servers == 0 {
            assert_eq!(socket.closed_with(), 1001);
        } else {
            socket.expect_echo();
            Socket::open(port).expect_echo();
        }
        backends.set_well(0, true);
        until_healthy(admin, only[0], "Up");
    }
}

#[test]
fn a_backend_that_is_resumed_starts_slowly() {
    let backends = Backends::named(["a", "b"]);
    let both = [backends.address(0), backends.address(1)];
    let folder = tempdir().unwrap();
    let config = folder.path().join("gateway.json");
    let (port, admin) = (free_port(), free_port());
    let policies = r#""loadDistributionPolicies": [{"name": "slowly", "properties":
        {"slowStartInSec": 2}}], "httpListeners""#;
    let rule = r#""loadDistributionPolicy": {"id": "slowly"}, "ruleType""#;
    let text = document(port, &both)
        .replacen(r#""httpListeners""#, policies, 1)
        .replacen(r#""ruleType""#, rule, 1);
    fs::write(&config, text).unwrap();
    let _gateway = Gateway::run(admin, &["--config", config.to_str().unwrap()]);
    let word = |word: &str| {
        let path = format!("/v1/backendAddressPools/pool/targets/{}/{word}", both[1]);
        assert!(post(admin, &path, "").unwrap().status < 300);
    };
    // Not before the other one has its whole share: it is new, too.
    eventually("a slow start", || {
        word("drain");
        word("resume");
        let answers = (0..20).map(|_| get(port, "/").unwrap().body);
        let of_second = answers.filter(|body| body.starts_with('b')).count();
        (of_second <= 5).then_some(())
    });
}
