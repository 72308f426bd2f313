//! `gateway healthcheck`: asks a running gateway whether it lives, where no other client is at hand
//! (a container image that holds nothing else).

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::{AdminAddress, HealthcheckArgs};

/// For connecting, and for each part of the answer.
const PATIENCE: Duration = Duration::from_secs(2);

const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Succeeds when the gateway answers that it lives.
pub(crate) fn healthcheck(arguments: &HealthcheckArgs) -> ExitCode {
    let (place, answer) = match (arguments.health, &arguments.admin) {
        (Some(health), _) => (health.to_string(), ask_address(health)),
        (None, AdminAddress::Tcp(address)) => (address.to_string(), ask_address(*address)),
        (None, AdminAddress::Unix(path)) => {
            let stream = UnixStream::connect(path);
            let answer = stream.and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                ask(stream)
            });
            (path.display().to_string(), answer)
        }
    };
    match answer {
        Ok(status) if status.contains(" 200 ") => ExitCode::SUCCESS,
        Ok(status) => failed(&place, &format!("it answers {status:?}")),
        Err(error) => failed(&place, &error.to_string()),
    }
}

fn failed(place: &str, reason: &str) -> ExitCode {
    eprintln!("error: no healthy gateway at {place}: {reason}");
    ExitCode::FAILURE
}

fn ask_address(address: SocketAddr) -> io::Result<String> {
    let stream = TcpStream::connect_timeout(&reachable(address), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    ask(stream)
}

/// Who listens on all addresses is asked by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// The status line of the answer; no more than the start of it is read.
fn ask(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(REQUEST)?;
    let mut start = Vec::new();
    stream.take(64).read_to_end(&mut start)?;
    let text = String::from_utf8_lossy(&start);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
