//! A gateway as a child process, backends in this one, and a client that sends what it is told.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use test_backend::{Backend, BackendOptions};
use tokio::runtime::Runtime;

pub(crate) use crate::free_port::free_port;

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        pause(Duration::from_millis(10));
    }
}

/// Between two questions, and before a crash that comes at any moment.
#[expect(
    clippy::disallowed_methods,
    reason = "the pause of a poll, or the moment of a crash"
)]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A command of the binary, without this machine's settings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GATEWAY_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a command that ended said.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs to the end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    let output = command(arguments).output().unwrap();
    Ended {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A gateway that runs; killed when dropped.
pub(crate) struct Gateway {
    child: Child,
    output: [Captured; 2],
}

/// A stream of the child, read as it comes.
struct Captured {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Gateway {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(command(arguments))
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = [
            capture(child.stdout.take().unwrap()),
            capture(child.stderr.take().unwrap()),
        ];
        Self { child, output }
    }

    /// Starts `gateway run` with the API on `admin`, and waits until it is ready.
    pub(crate) fn run(admin: u16, arguments: &[&str]) -> Self {
        let gateway = Self::start_run(admin, arguments);
        eventually("readiness", || {
            (get(admin, "/readyz")?.status == 200).then_some(())
        });
        gateway
    }

    /// As [`Gateway::run`], without waiting.
    pub(crate) fn start_run(admin: u16, arguments: &[&str]) -> Self {
        let admin = format!("127.0.0.1:{admin}");
        let mut all = vec!["run", "--admin", &admin, "--workers", "2", "--log", "text"];
        all.extend(arguments);
        Self::start(&all)
    }

    pub(crate) fn stdout(&self) -> String {
        self.output[0].text.lock().unwrap().clone()
    }

    pub(crate) fn stderr(&self) -> String {
        self.output[1].text.lock().unwrap().clone()
    }

    /// The child's process id.
    pub(crate) fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> Ended {
        let status = eventually("the gateway's end", || self.child.try_wait().unwrap());
        for stream in &mut self.output {
            stream.reader.take().unwrap().join().unwrap();
        }
        Ended {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }

    /// SIGKILL, and gone.
    pub(crate) fn kill_nine(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{}", self.stderr());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the gateway said:\n{}{}", self.stdout(), self.stderr());
        }
    }
}

fn capture(stream: impl Read + Send + 'static) -> Captured {
    let text = Arc::new(Mutex::new(String::new()));
    let reader = std::thread::spawn({
        let text = Arc::clone(&text);
        move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                writeln!(text.lock().unwrap(), "{line}").unwrap();
            }
        }
    });
    Captured {
        text,
        reader: Some(reader),
    }
}

/// Backends in this process.
pub(crate) struct Backends {
    runtime: Runtime,
    running: Vec<Backend>,
}

impl Backends {
    pub(crate) fn start(options: impl IntoIterator<Item = BackendOptions>) -> Self {
        let runtime = Runtime::new().unwrap();
        let start = |options| runtime.block_on(Backend::start(options)).unwrap();
        let running = options.into_iter().map(start).collect();
        Self { runtime, running }
    }

    pub(crate) fn named<const N: usize>(names: [&str; N]) -> Self {
        Self::start(names.map(|name| BackendOptions {
            name: name.to_owned(),
            ..BackendOptions::default()
        }))
    }

    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        self.running[index].address()
    }

    /// Ends one; those behind it move up.
    pub(crate) fn stop(&mut self, index: usize) {
        self.runtime.block_on(self.running.remove(index).stop());
    }

    /// Makes the backend's probes fail, or succeed again.
    pub(crate) fn set_well(&self, index: usize, is_well: bool) {
        let status = if is_well { 200 } else { 500 };
        self.running[index]
            .faults()
            .update(|faults| faults.health.status = status);
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        for backend in self.running.drain(..) {
            self.runtime.block_on(backend.stop());
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// One request on a connection of its own; `None` where there is no answer.
pub(crate) fn send(port: u16, request: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    exchange(&mut stream, request)
}

/// One request and all of its answer.
pub(crate) fn exchange(stream: &mut (impl Read + Write), request: &str) -> Option<Answer> {
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    // A TLS peer that leaves without a goodbye has said all that we want to know.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

pub(crate) fn get(port: u16, path: &str) -> Option<Answer> {
    get_from(port, "127.0.0.1", path)
}

pub(crate) fn get_from(port: u16, host: &str, path: &str) -> Option<Answer> {
    send(port, &get_request(host, path))
}

pub(crate) fn get_request(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

pub(crate) fn put(port: u16, path: &str, body: &str) -> Option<Answer> {
    with_body(port, "PUT", path, body)
}

pub(crate) fn post(port: u16, path: &str, body: &str) -> Option<Answer> {
    with_body(port, "POST", path, body)
}

fn with_body(port: u16, method: &str, path: &str, body: &str) -> Option<Answer> {
    send(
        port,
        &format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
}

/// The handshake of RFC 6455 section 1.3, whose accept value everybody knows.
pub(crate) const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Origin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// Shakes hands, and reads the answer and the backend's greeting, one unmasked frame.
pub(crate) fn shake_hands(stream: &mut (impl Read + Write)) -> String {
    stream.write_all(HANDSHAKE.as_bytes()).unwrap();
    let mut read = Vec::new();
    let mut more = |count: usize| {
        let mut bytes = vec![0; count];
        let outcome = stream.read_exact(&mut bytes);
        assert!(outcome.is_ok(), "{}", String::from_utf8_lossy(&read));
        read.extend(&bytes);
        read.ends_with(b"\r\n\r\n").then_some(())
    };
    while more(1).is_none() {}
    let mut frame = [0; 2];
    stream.read_exact(&mut frame).unwrap();
    let mut greeting = vec![0; usize::from(frame[1])];
    stream.read_exact(&mut greeting).unwrap();
    read.extend(greeting);
    String::from_utf8(read).unwrap()
}

/// A certificate for localhost with its key, as a listener's file has it.
pub(crate) fn write_listener_certificate(path: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(path, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// TLS to localhost, verified against `root` alone.
pub(crate) fn tls(
    port: u16,
    root: &CertificateDer<'static>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port)).unwrap())
}

/// A document with one plain listener and one pool.
pub(crate) fn document(port: u16, backends: &[SocketAddr]) -> String {
    let members: Vec<_> = backends
        .iter()
        .map(|at| format!(r#"{{"ipAddress": "{}", "port": {}}}"#, at.ip(), at.port()))
        .collect();
    let members = members.join(", ");
    format!(
        r#"{{
  "name": "test",
  "properties": {{
    "frontendIPConfigurations": [{{"name": "local", "properties": {{"privateIPAddress": "127.0.0.1"}}}}],
    "frontendPorts": [{{"name": "http", "properties": {{"port": {port}}}}}],
    "backendAddressPools": [{{"name": "pool", "properties": {{"backendAddresses": [{members}]}}}}],
    "backendHttpSettingsCollection": [{{"name": "plain", "properties": {{"port": 80, "protocol": "Http"}}}}],
    "httpListeners": [{{"name": "web", "properties": {{
      "frontendIPConfiguration": {{"id": "local"}}, "frontendPort": {{"id": "http"}}, "protocol": "Http"
    }}}}],
    "requestRoutingRules": [{{"name": "all", "properties": {{
      "ruleType": "Basic", "priority": 1, "httpListener": {{"id": "web"}},
      "backendAddressPool": {{"id": "pool"}}, "backendHttpSettings": {{"id": "plain"}}
    }}}}]
  }}
}}
"#
    )
}

/// Puts a new version of a file in the old one's place, as editors do.
pub(crate) fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}
