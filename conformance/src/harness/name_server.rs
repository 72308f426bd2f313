//! A name server of our own, for members that are names: it answers what the scenario says, for a
//! second, and forgets on demand.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// A running name server. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct NameServer {
    addresses: Arc<Mutex<Vec<Ipv4Addr>>>,
    _task: JoinSet<()>,
}

impl NameServer {
    /// Listens at `at`; there is no name yet.
    pub(crate) async fn start(at: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(at).await?;
        let addresses = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        task.spawn(serve(socket, Arc::clone(&addresses)));
        Ok(Self {
            addresses,
            _task: task,
        })
    }

    /// What every name has from now on; nothing: there is no such name.
    pub(crate) fn set(&self, addresses: Vec<Ipv4Addr>) {
        *self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = addresses;
    }
}

async fn serve(socket: UdpSocket, addresses: Arc<Mutex<Vec<Ipv4Addr>>>) {
    let mut packet = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut packet).await {
        let lock = addresses.lock();
        let known = lock.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(answer) = answer(&packet[..length], &known) {
            // A client that is gone asks again, or does not care.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// The answer to a query with one question (RFC 1035 section 4.1).
fn answer(query: &[u8], known: &[Ipv4Addr]) -> Option<Vec<u8>> {
    const TYPE_A: [u8; 2] = [0, 1];
    const NO_SUCH_NAME: u8 = 3;
    let name = query.get(12..)?.iter().position(|&byte| byte == 0)?;
    let question = query.get(12..12 + name + 5)?;
    let is_a = question[name + 1..name + 3] == TYPE_A;
    let records = if is_a { known } else { &[] };
    let count = u8::try_from(records.len()).ok()?;
    let code = if known.is_empty() { NO_SUCH_NAME } else { 0 };
    let mut answer = query[..2].to_vec();
    // A response, recursion desired and available; one question, and as many answers as there are.
    answer.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(question);
    for address in records {
        // The name of the question, A, IN, one second, four bytes.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
