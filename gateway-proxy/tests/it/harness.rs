//! A gateway on free ports, scripted backends, and clients that say exactly the bytes they are given.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gateway_core::config::{BackendPool, Config, FrontendAddress, HttpSettings, Listener};
use gateway_core::fixtures;
use gateway_core::name::HttpSettingsName;
use gateway_core::snapshot::{
    CompileOptions, Generation, Resolutions, Revision, Snapshot, compile,
};
use gateway_net::material::Material;
use gateway_proxy::{AccessSink, Proxy, ProxyOptions};

pub(crate) use crate::free_port::free_port;

/// Nothing here takes this long unless something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One listener, one pool, one rule; tests change what they are about.
pub(crate) fn config(port: u16, backends: &[SocketAddr]) -> Config {
    let listener = Listener {
        address: FrontendAddress::Private(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ..fixtures::listener(port)
    };
    let settings = HttpSettings {
        request_timeout: PATIENCE,
        ..fixtures::http_settings(80)
    };
    Config {
        name: "test".into(),
        ..fixtures::site("listener", listener, pool(backends), settings)
    }
}

/// A pool of these.
pub(crate) fn pool(backends: &[SocketAddr]) -> BackendPool {
    let members = backends.iter();
    fixtures::pool(members.map(|backend| (backend.ip(), Some(backend.port()))))
}

/// The one set of HTTP settings of [`config`].
pub(crate) fn settings(config: &mut Config) -> &mut HttpSettings {
    let name = HttpSettingsName::from("settings");
    config.http_settings.get_mut(&name).unwrap()
}

/// A running proxy.
pub(crate) struct Gateway {
    pub(crate) proxy: Proxy,
    pub(crate) address: SocketAddr,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    suspects: Arc<Mutex<Vec<u64>>>,
    runtime: tokio::runtime::Runtime,
    workers: usize,
}

impl Gateway {
    /// One worker, one listener, `backends` in one pool.
    pub(crate) fn start(backends: &[SocketAddr]) -> Self {
        Self::start_with(backends, |_| {})
    }

    /// The same with a changed configuration.
    pub(crate) fn start_with(backends: &[SocketAddr], change: impl FnOnce(&mut Config)) -> Self {
        Self::start_logging(backends, None, change)
    }

    /// The same with an access log.
    pub(crate) fn start_logging(
        backends: &[SocketAddr],
        access_log: Option<AccessSink>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        Self::start_workers(1, backends, access_log, change)
    }

    /// The same with so many workers.
    pub(crate) fn start_workers(
        workers: usize,
        backends: &[SocketAddr],
        access_log: Option<AccessSink>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let suspects: Arc<Mutex<Vec<u64>>> = Arc::default();
        let seen = Arc::clone(&suspects);
        let proxy = Proxy::start(ProxyOptions {
            workers,
            on_suspect: Arc::new(move |id| seen.lock().unwrap().push(id)),
            access_log,
        });
        let port = free_port();
        let gateway = Self {
            proxy: proxy.unwrap(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            snapshot: Mutex::default(),
            suspects,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            workers,
        };
        let mut config = config(port, backends);
        change(&mut config);
        gateway.apply(&config);
        gateway
    }

    /// What `config` would be, if it were published next.
    pub(crate) fn compile(&self, config: &Config) -> Snapshot {
        let live = self.snapshot.lock().unwrap();
        let generation = live.as_ref().map_or(0, |live| live.generation.0) + 1;
        let options = CompileOptions {
            workers: self.workers,
            ..CompileOptions::default()
        };
        compile(
            config,
            &Resolutions::default(),
            &options,
            live.as_deref(),
            Generation(generation),
            Revision(generation),
        )
    }

    /// Publishes `config`, and returns when it is live.
    pub(crate) fn apply(&self, config: &Config) {
        let snapshot = Arc::new(self.compile(config));
        let material = Arc::new(Material::load(config, None).unwrap());
        let prepared = self.proxy.prepare(Arc::clone(&snapshot), material).unwrap();
        self.runtime.block_on(self.proxy.publish(prepared));
        *self.snapshot.lock().unwrap() = Some(snapshot);
    }

    /// What is live.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(self.snapshot.lock().unwrap().as_ref().unwrap())
    }

    /// Waits for what the proxy is asked.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Drains the proxy.
    pub(crate) fn drain(&self, deadline: Duration) {
        self.runtime.block_on(self.proxy.drain(deadline));
    }

    /// The health cells that were found in doubt.
    pub(crate) fn suspects(&self) -> Vec<u64> {
        self.suspects.lock().unwrap().clone()
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// A new connection that takes few bytes at a time.
    pub(crate) fn connect_with_window(&self, bytes: usize) -> Client {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.connect(&self.address.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    /// Sends `request` on a connection of its own, and gives all that comes back until the end.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(request);
        client.rest()
    }
}

/// A client that knows no HTTP.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Sends bytes as they are. A gateway that has closed already is no failure here.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref());
    }

    /// Ends the connection by a reset.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.0)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// Ends the client's direction.
    pub(crate) fn finish(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Reads up to and with `end`.
    pub(crate) fn until(&mut self, end: &str) -> String {
        let (mut got, mut byte) = (Vec::new(), [0]);
        while !got.ends_with(end.as_bytes()) {
            match self.0.read(&mut byte) {
                Ok(1) => got.push(byte[0]),
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&got)),
            }
        }
        String::from_utf8(got).unwrap()
    }

    /// Reads a head.
    pub(crate) fn head(&mut self) -> String {
        self.until("\r\n\r\n")
    }

    /// Reads a head and a body of `length` bytes.
    pub(crate) fn answer(&mut self, length: usize) -> String {
        let mut answer = self.head().into_bytes();
        let start = answer.len();
        answer.resize(start + length, 0);
        self.0.read_exact(&mut answer[start..]).unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Reads the first answer, tells the gateway that nothing more comes, and reads the rest.
    pub(crate) fn answers_then_close(&mut self) -> String {
        let head = self.head();
        self.finish();
        head + &self.rest()
    }

    /// Reads to the end; a reset is one, too.
    pub(crate) fn rest(&mut self) -> String {
        self.rest_and_end().0
    }

    /// Reads to the end, and says whether that was a reset.
    pub(crate) fn rest_and_end(&mut self) -> (String, bool) {
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        let reset = loop {
            match self.0.read(&mut buffer) {
                Ok(0) => break false,
                Ok(read) => got.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break true,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&got)),
            }
        };
        (String::from_utf8_lossy(&got).into_owned(), reset)
    }
}

/// A backend whose connections are played by a script, one thread each.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// One connection at a backend.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    /// The how-manieth connection of its backend, from 0.
    pub(crate) index: usize,
}

impl Backend {
    /// Plays `script` on each connection.
    pub(crate) fn start(script: impl Fn(Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let script = Arc::new(script);
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                let index = {
                    let mut log = log.lock().unwrap();
                    log.push(Vec::new());
                    log.len() - 1
                };
                let peer = Peer {
                    stream,
                    seen: Arc::clone(&log),
                    index,
                };
                let script = Arc::clone(&script);
                std::thread::spawn(move || script(peer));
            }
        });
        Self { address, seen }
    }

    /// Answers every request with `response`, however many come on a connection.
    pub(crate) fn answering(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::start(move |mut peer| {
            while peer.request().is_some() {
                peer.send(&response);
            }
        })
    }

    /// `200` with the body `ok`.
    pub(crate) fn ok() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// All bytes of each connection so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        seen.iter().map(text).collect()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// How many request lines were seen in all.
    pub(crate) fn requests(&self) -> usize {
        let seen = self.seen();
        let lines = seen
            .iter()
            .map(|bytes| bytes.matches(" HTTP/1.1\r\n").count());
        lines.sum()
    }
}

impl Peer {
    /// Reads some bytes; `None` at the end.
    pub(crate) fn read(&mut self) -> Option<Vec<u8>> {
        let mut buffer = [0; 4096];
        let read = self
            .stream
            .read(&mut buffer)
            .ok()
            .filter(|read| *read > 0)?;
        let mut seen = self.seen.lock().unwrap();
        seen[self.index].extend_from_slice(&buffer[..read]);
        Some(buffer[..read].to_vec())
    }

    /// Reads until `end` has come since the last call; `None` when the connection ends before.
    pub(crate) fn until(&mut self, end: &str) -> Option<String> {
        let mut got = String::new();
        while !got.contains(end) {
            got.push_str(&String::from_utf8_lossy(&self.read()?));
        }
        Some(got)
    }

    /// Reads a request with its body, by its framing.
    pub(crate) fn request(&mut self) -> Option<String> {
        let mut got = self.until("\r\n\r\n")?;
        loop {
            let (head, body) = got.split_once("\r\n\r\n").unwrap();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            let chunked = head.contains("transfer-encoding: chunked");
            if body.len() >= length && (!chunked || body.contains("0\r\n")) {
                return Some(got);
            }
            got.push_str(&String::from_utf8_lossy(&self.read()?));
        }
    }

    /// Writes bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads until the connection ends.
    pub(crate) fn drain(&mut self) {
        while self.read().is_some() {}
    }
}

/// Waits for `state`, since it need not come about at once.
#[expect(clippy::disallowed_methods, reason = "the pause between two looks")]
pub(crate) fn eventually(what: &str, state: impl Fn() -> bool) {
    let start = Instant::now();
    while !state() {
        assert!(start.elapsed() < PATIENCE, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(2));
    }
}
