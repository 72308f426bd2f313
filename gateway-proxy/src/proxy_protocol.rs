//! The PROXY protocol's header, versions 1 and 2, at the start of a connection: who the client is
//! when another proxy stands before us.
//!
//! Strict, since a header decides whom access rules see. Not here: whether an endpoint wants a
//! header at all, and the time it may take.
//! <https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The longest header of version 1, CRLF included (section 2.1).
const MAX_V1: usize = 107;
/// The longest header of version 2 that is taken: far more than any TLVs in use need.
const MAX_V2: usize = 4096;
/// What a header of version 2 starts with (section 2.2).
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED: usize = 16;
const V1_PREFIX: &[u8; 6] = b"PROXY ";

/// The two ends of the connection that the sender of the header took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProxiedAddresses {
    /// The client.
    pub(crate) source: SocketAddr,
    /// Where the client connected to.
    pub(crate) destination: SocketAddr,
}

/// Why a connection that must open with a header is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyProtocolError {
    /// The bytes are no header.
    #[error("malformed PROXY protocol header: {0}")]
    Malformed(&'static str),
    /// The connection ended inside the header.
    #[error("the connection ended inside the PROXY protocol header")]
    Ended,
    /// The socket failed.
    #[error("reading the PROXY protocol header")]
    Io(#[from] io::Error),
}

/// How far the bytes so far have come.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// All of them belong to the header, which goes on.
    Partial,
    /// The header ends after `length` bytes.
    Complete {
        length: usize,
        addresses: Option<ProxiedAddresses>,
    },
}

/// Reads the header and not one byte more. `None` for `LOCAL`, `UNKNOWN` and families that are not
/// TCP: the socket's own addresses hold then.
///
/// # Errors
/// Whatever is no header of version 1 or 2: close the connection. Has no time limit of its own.
pub(crate) async fn read(
    stream: &mut TcpStream,
) -> Result<Option<ProxiedAddresses>, ProxyProtocolError> {
    let mut header = Vec::new();
    let mut ahead = vec![0; 536];
    loop {
        // What is peeked at is consumed only when known to belong to the header, so that TLS or
        // HTTP behind it finds its first byte. It is consumed at once, or peeking would spin.
        let seen = stream.peek(&mut ahead).await?;
        if seen == 0 {
            return Err(ProxyProtocolError::Ended);
        }
        let known = header.len();
        header.extend_from_slice(&ahead[..seen]);
        let progress = parse(&header)?;
        let consumed = match progress {
            Progress::Partial => seen,
            Progress::Complete { length, .. } => length - known,
        };
        stream.read_exact(&mut ahead[..consumed]).await?;
        if let Progress::Complete { addresses, .. } = progress {
            return Ok(addresses);
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Progress, ProxyProtocolError> {
    if starts_alike(bytes, V2_SIGNATURE) {
        parse_v2(bytes)
    } else if starts_alike(bytes, V1_PREFIX) {
        parse_v1(bytes)
    } else {
        Err(ProxyProtocolError::Malformed("neither version 1 nor 2"))
    }
}

/// Whether `bytes` begin with `prefix`, as far as they go.
fn starts_alike(bytes: &[u8], prefix: &[u8]) -> bool {
    let common = bytes.len().min(prefix.len());
    bytes[..common] == prefix[..common]
}

fn parse_v1(bytes: &[u8]) -> Result<Progress, ProxyProtocolError> {
    let within = &bytes[..bytes.len().min(MAX_V1)];
    let Some(end) = within.iter().position(|&byte| byte == b'\n') else {
        return match bytes.len() {
            0..MAX_V1 => Ok(Progress::Partial),
            _ => Err(ProxyProtocolError::Malformed("longer than 107 bytes")),
        };
    };
    let line = within[..end]
        .strip_prefix(V1_PREFIX)
        .and_then(|line| line.strip_suffix(b"\r"))
        .ok_or(ProxyProtocolError::Malformed(
            "a line that ends without CRLF",
        ))?;
    let line = str::from_utf8(line).map_err(|_| ProxyProtocolError::Malformed("not ASCII"))?;
    Ok(Progress::Complete {
        length: end + 1,
        addresses: v1_addresses(line)?,
    })
}

/// Reads what stands between `PROXY ` and CRLF.
fn v1_addresses(line: &str) -> Result<Option<ProxiedAddresses>, ProxyProtocolError> {
    let mut fields = line.split(' ');
    let family = fields.next();
    if family == Some("UNKNOWN") {
        return Ok(None);
    }
    let fields: Vec<_> = fields.collect();
    let [source, destination, source_port, destination_port] = fields[..] else {
        return Err(ProxyProtocolError::Malformed("not four fields"));
    };
    let (source, destination) = match family {
        Some("TCP4") => (v1_ip::<Ipv4Addr>(source)?, v1_ip::<Ipv4Addr>(destination)?),
        Some("TCP6") => (v1_ip::<Ipv6Addr>(source)?, v1_ip::<Ipv6Addr>(destination)?),
        Some(_) | None => return Err(ProxyProtocolError::Malformed("unknown family")),
    };
    Ok(Some(ProxiedAddresses {
        source: SocketAddr::new(source, v1_port(source_port)?),
        destination: SocketAddr::new(destination, v1_port(destination_port)?),
    }))
}

fn v1_ip<A: FromStr + Into<IpAddr>>(text: &str) -> Result<IpAddr, ProxyProtocolError> {
    text.parse::<A>()
        .map(Into::into)
        .map_err(|_| ProxyProtocolError::Malformed("not an address of its family"))
}

/// Digits alone, without a leading zero: `str::parse` would take `+80`.
fn v1_port(text: &str) -> Result<u16, ProxyProtocolError> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    text.parse()
        .ok()
        .filter(|_| canonical)
        .ok_or(ProxyProtocolError::Malformed("not a port"))
}

fn parse_v2(bytes: &[u8]) -> Result<Progress, ProxyProtocolError> {
    let local = match bytes.get(12) {
        None => return Ok(Progress::Partial),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(ProxyProtocolError::Malformed("neither LOCAL nor PROXY")),
    };
    let Some(fixed) = bytes.first_chunk::<V2_FIXED>() else {
        return Ok(Progress::Partial);
    };
    let block = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let length = V2_FIXED + block;
    // LOCAL's family is ignored (section 2.2).
    let needed = if local { 0 } else { v2_block(fixed[13])? };
    if block < needed {
        return Err(ProxyProtocolError::Malformed("shorter than its addresses"));
    }
    if length > MAX_V2 {
        return Err(ProxyProtocolError::Malformed("longer than 4096 bytes"));
    }
    if bytes.len() < length {
        return Ok(Progress::Partial);
    }
    let addresses = match (local, fixed[13]) {
        (false, 0x11) => Some(v2_addresses::<4>(&bytes[V2_FIXED..])),
        (false, 0x21) => Some(v2_addresses::<16>(&bytes[V2_FIXED..])),
        _ => None,
    };
    Ok(Progress::Complete { length, addresses })
}

/// How many bytes the addresses of a family take.
fn v2_block(family: u8) -> Result<usize, ProxyProtocolError> {
    match family {
        0x00 => Ok(0),
        0x11 | 0x12 => Ok(12),
        0x21 | 0x22 => Ok(36),
        0x31 | 0x32 => Ok(216),
        _ => Err(ProxyProtocolError::Malformed("unknown family")),
    }
}

/// Reads two addresses of `N` bytes and two ports. The caller has checked that they are there.
fn v2_addresses<const N: usize>(block: &[u8]) -> ProxiedAddresses
where
    IpAddr: From<[u8; N]>,
{
    let ip = |at: usize| {
        let octets: [u8; N] = block[at..at + N].try_into().expect("a slice of N bytes");
        IpAddr::from(octets)
    };
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    ProxiedAddresses {
        source: SocketAddr::new(ip(0), port(2 * N)),
        destination: SocketAddr::new(ip(N), port(2 * N + 2)),
    }
}

#[cfg(test)]
mod tests;
