//! Moves bytes: one thread per core, each with its own runtime, sockets, upstream pools and counters.
//!
//! Knows nothing of documents, probes or the admin API: it gets a
//! [`Snapshot`](gateway_core::snapshot::Snapshot) and serves by it. Begin with `serve`.

#![forbid(unsafe_code)]

mod access_log;
mod body;
mod client_connection;
mod client_io;
mod error;
mod exchange;
mod forwarded_headers;
mod gate;
mod gathered;
mod guests;
mod in_flight;
mod limits;
mod listener;
mod metrics;
mod proxy;
mod proxy_protocol;
mod refusal;
mod request_head;
mod respond;
mod serve;
mod timer;
mod tls;
mod tunnel;
mod tunnel_control;
mod upgrade;
mod upstream;
mod view;
mod worker;

pub use access_log::AccessSink;
pub use error::{ProxyError, Side};
pub use metrics::HandshakeFailures;
pub use proxy::{PrepareError, Prepared, Proxy, ProxyOptions};
pub use refusal::HandshakeRefusal;
pub use tls::TlsSetupError;
pub use tunnel::{DrainOrder, Pace};
