//! A running backend: its sockets, its tasks, its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use tokio::io;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::serve;
use crate::faults::Faults;
use crate::journal::{Journal, RequestSeen};
use crate::tls::TlsIdentity;

/// What a backend is to be.
#[derive(Debug, Clone)]
pub struct BackendOptions {
    /// Said in every answer (`X-Backend`).
    pub name: String,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// So many ports of that address besides, which follow that one, or free ones where that is port
    /// 0: one backend that looks like many. Its answers say at which (`X-Backend-Port`).
    pub more: usize,
    /// A second, plain address that no fault touches.
    pub control: Option<SocketAddr>,
    /// Speak TLS at `listen`.
    pub tls: Option<TlsIdentity>,
    /// So many requests are kept in the log, the newest; 0 keeps none, which is fastest.
    pub record: usize,
}

impl Default for BackendOptions {
    fn default() -> Self {
        Self {
            name: "backend".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            more: 0,
            control: None,
            tls: None,
            record: 1000,
        }
    }
}

/// What every connection of a backend shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) name_value: HeaderValue,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) stop: CancellationToken,
    has_several_ports: bool,
    tasks: TaskTracker,
    connections: AtomicU64,
}

impl Shared {
    /// Where a connection came in, if the backend has several ports.
    pub(crate) fn port_to_say(&self, tcp: &TcpStream) -> Option<u16> {
        let address = self.has_several_ports.then(|| tcp.local_addr());
        Some(address?.ok()?.port())
    }
}

/// A running backend. It ends when this is dropped; [`Backend::stop`] also waits for the end.
#[derive(Debug)]
pub struct Backend {
    shared: Arc<Shared>,
    address: SocketAddr,
    more: Vec<SocketAddr>,
    control_address: Option<SocketAddr>,
}

impl Backend {
    /// Binds and serves, on the current tokio runtime.
    ///
    /// Fails where an address cannot be bound, or where the name is no header value.
    pub async fn start(options: BackendOptions) -> io::Result<Self> {
        let name_value = HeaderValue::from_str(&options.name)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let mut listeners = vec![(listener, address)];
        for number in 1..=options.more {
            let listener = TcpListener::bind(beside(options.listen, number)?).await?;
            let address = listener.local_addr()?;
            listeners.push((listener, address));
        }
        let control = match options.control {
            Some(control) => Some(TcpListener::bind(control).await?),
            None => None,
        };
        let control_address = control.as_ref().map(TcpListener::local_addr).transpose()?;

        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let faults = Faults::new(tasks.clone(), stop.clone());
        let shared = Arc::new(Shared {
            name: options.name,
            name_value,
            faults,
            journal: Journal::new(options.record),
            stop,
            has_several_ports: options.more > 0,
            tasks: tasks.clone(),
            connections: AtomicU64::new(0),
        });
        let tls = options.tls.map(|identity| TlsAcceptor::from(identity.0));
        let more = listeners[1..].iter().map(|(_, address)| *address).collect();
        for (listener, address) in listeners {
            let (shared, tls) = (Arc::clone(&shared), tls.clone());
            tasks.spawn(listen_unless_refusing(shared, listener, address, tls));
        }
        if let Some(control) = control {
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                let idle = shared.stop.child_token();
                tokio::select! {
                    () = accept(&shared, &control, None, &idle) => {}
                    () = shared.stop.cancelled() => {}
                }
            });
        }
        Ok(Self {
            shared,
            address,
            more,
            control_address,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where else it listens.
    pub fn more_addresses(&self) -> &[SocketAddr] {
        &self.more
    }

    /// Where it takes orders whatever is wrong with it.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control_address
    }

    /// What is wrong with it.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// The log of requests, oldest first. Control requests are not in it.
    pub fn requests_seen(&self) -> Vec<RequestSeen> {
        self.shared.journal.all()
    }

    /// Ends it: WebSockets are closed with 1001, other connections at once.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// The `number`th address besides `listen`.
fn beside(listen: SocketAddr, number: usize) -> io::Result<SocketAddr> {
    let port = match listen.port() {
        0 => Some(0),
        first => u16::try_from(number)
            .ok()
            .and_then(|number| first.checked_add(number)),
    };
    let port = port.ok_or_else(|| io::Error::other("there are no ports beyond 65535"))?;
    Ok(SocketAddr::new(listen.ip(), port))
}

/// Serves `listener`, but while the backend is deaf, and closes it for as long as it is to refuse.
async fn listen_unless_refusing(
    shared: Arc<Shared>,
    mut listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
) {
    loop {
        let idle = shared.stop.child_token();
        while !shared.faults.peek(|set| set.refuse) {
            tokio::select! {
                biased;
                () = shared.faults.until(|set| set.refuse || set.deaf) => {}
                () = shared.stop.cancelled() => return,
                () = accept(&shared, &listener, tls.as_ref(), &idle) => {}
            }
            tokio::select! {
                () = shared.faults.until(|set| set.refuse || !set.deaf) => {}
                () = shared.stop.cancelled() => return,
            }
        }
        drop(listener);
        idle.cancel();
        tokio::select! {
            () = shared.faults.until(|set| !set.refuse) => {}
            () = shared.stop.cancelled() => return,
        }
        listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                // Someone else has the port meanwhile; refusing goes on until it is free.
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        };
    }
}

/// Between two attempts at what the system refused.
const RETRY: Duration = Duration::from_millis(20);

async fn accept(
    shared: &Arc<Shared>,
    listener: &TcpListener,
    tls: Option<&TlsAcceptor>,
    idle: &CancellationToken,
) {
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => start_connection(shared, tcp, tls, idle),
            // Out of descriptors, as a rule: some connection will end.
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

fn start_connection(
    shared: &Arc<Shared>,
    tcp: TcpStream,
    tls: Option<&TlsAcceptor>,
    idle: &CancellationToken,
) {
    // Only speed is at stake.
    let _ = tcp.set_nodelay(true);
    let id = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let connection = serve(Arc::clone(shared), id, tcp, tls.cloned(), idle.clone());
    shared.tasks.spawn(connection);
}
