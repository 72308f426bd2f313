//! Which pages may open WebSockets: `Origin` against the patterns of the configuration (RFC 6455
//! section 10.2, RFC 6454).
//!
//! A browser lets any page open a WebSocket to any site, with that site's cookies, and tells by
//! `Origin` alone whose page it is. Both sides of the comparison are parsed into scheme, host and
//! port, so that nothing is allowed because its text looks alike.

use std::fmt;
use std::net::Ipv6Addr;

use http::{HeaderMap, header};

/// An origin, or a family of them: `https://app.example.com`, `https://*.example.com:8443`, `null`.
///
/// `*.` stands for one label or more, never for none.
#[derive(Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// What a page has whose origin nobody may know: a sandboxed frame, a local file.
    Null,
    /// Scheme, host and port.
    Tuple {
        /// In lower case.
        scheme: Box<str>,
        /// The host or, with `subdomains`, what is behind `*.`.
        host: OriginHost,
        /// Any name under `host`, and not `host`.
        subdomains: bool,
        /// The scheme's own where none is written; `None` where the scheme has none either.
        port: Option<u16>,
    },
}

/// A host by name or address.
#[derive(Clone, PartialEq, Eq)]
pub enum OriginHost {
    /// A name or an IPv4 address, in lower case; empty in `file://`.
    Name(Box<str>),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl OriginPattern {
    /// Reads a pattern of a configuration.
    ///
    /// # Errors
    /// Why it is none, for the end of a sentence.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "null" {
            return Ok(Self::Null);
        }
        let (scheme, authority) = text.split_once("://").ok_or("it has no `scheme://`")?;
        let subdomains = authority.starts_with("*.");
        let authority = authority.strip_prefix("*.").unwrap_or(authority);
        let written = Written::of(scheme, authority)?;
        let host = match written.host {
            // `*.0.0.1` would hold 127.0.0.1 too.
            Host::Name(name) if subdomains && !is_domain(name) => {
                return Err("a name has to stand behind `*.`");
            }
            Host::V6(_) if subdomains => return Err("a name has to stand behind `*.`"),
            Host::Name(name) => OriginHost::Name(name.to_ascii_lowercase().into()),
            Host::V6(address) => OriginHost::V6(address),
        };
        Ok(Self::Tuple {
            scheme: scheme.to_ascii_lowercase().into(),
            host,
            subdomains,
            port: written.port,
        })
    }

    /// Whether an `Origin` is this one, or of this family.
    fn allows(&self, origin: Option<&Written<'_>>) -> bool {
        match (self, origin) {
            (Self::Null, None) => true,
            (
                Self::Tuple {
                    scheme,
                    host,
                    subdomains,
                    port,
                },
                Some(origin),
            ) => {
                *port == origin.port
                    && scheme.eq_ignore_ascii_case(origin.scheme)
                    && match (host, &origin.host) {
                        (OriginHost::Name(name), Host::Name(seen)) if *subdomains => {
                            is_under(seen, name)
                        }
                        (OriginHost::Name(name), Host::Name(seen)) => {
                            name.eq_ignore_ascii_case(seen)
                        }
                        (OriginHost::V6(address), Host::V6(seen)) => address == seen,
                        (OriginHost::Name(_), Host::V6(_)) | (OriginHost::V6(_), Host::Name(_)) => {
                            false
                        }
                    }
            }
            (Self::Null, Some(_)) | (Self::Tuple { .. }, None) => false,
        }
    }
}

/// As it would be written, without a default port.
impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Tuple {
            scheme,
            host,
            subdomains,
            port,
        } = self
        else {
            return f.write_str("null");
        };
        write!(f, "{scheme}://{}", if *subdomains { "*." } else { "" })?;
        match host {
            OriginHost::Name(name) => f.write_str(name)?,
            OriginHost::V6(address) => write!(f, "[{address}]")?,
        }
        match port {
            Some(port) if port_of(scheme) != Some(*port) => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a handshake may come from where it says it comes from: `allowed` is empty, there is no
/// `Origin` (then it is no page's), or there is one and a pattern has it. Two `Origin` lines, or one
/// that is not one origin, come from nowhere that could be allowed.
pub fn may_come_from_there(headers: &HeaderMap, allowed: &[OriginPattern]) -> bool {
    let mut lines = headers.get_all(header::ORIGIN).iter();
    let (true, Some(line)) = (!allowed.is_empty(), lines.next()) else {
        return true;
    };
    let (None, Ok(text)) = (lines.next(), line.to_str()) else {
        return false;
    };
    let origin = match text.split_once("://") {
        _ if text == "null" => None,
        Some((scheme, authority)) => match Written::of(scheme, authority) {
            Ok(origin) => Some(origin),
            Err(_) => return false,
        },
        None => return false,
    };
    allowed
        .iter()
        .any(|pattern| pattern.allows(origin.as_ref()))
}

/// `scheme://host:port`, in its parts.
struct Written<'t> {
    scheme: &'t str,
    host: Host<'t>,
    /// The scheme's own where none is written.
    port: Option<u16>,
}

enum Host<'t> {
    Name(&'t str),
    V6(Ipv6Addr),
}

impl<'t> Written<'t> {
    fn of(scheme: &'t str, authority: &'t str) -> Result<Self, &'static str> {
        if !is_scheme(scheme) {
            return Err("its scheme is none");
        }
        if authority.contains(['/', '?', '#']) {
            return Err("an origin has no path, not even a `/` at its end");
        }
        let (host, port) = split_port(authority)?;
        let own_port = port_of(scheme);
        let host = if let Some(address) = host.strip_prefix('[') {
            let address = address.strip_suffix(']').unwrap_or_default();
            Host::V6(address.parse().map_err(|_| "its host is no IPv6 address")?)
        } else if is_host(host) || host.is_empty() && own_port.is_none() {
            Host::Name(host)
        } else {
            return Err(
                "its host is no name or address (in a name, other letters are written `xn--`)",
            );
        };
        Ok(Self {
            scheme,
            host,
            port: port.or(own_port),
        })
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let behind_address = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[behind_address..].find(':') else {
        return Ok((authority, None));
    };
    let (host, port) = authority.split_at(behind_address + colon);
    let port = &port[1..];
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port) if digits => Ok((host, Some(port))),
        _ => Err("its port is no number from 0 to 65535"),
    }
}

/// The port that goes without saying (RFC 6454 section 4, item 5).
fn port_of(scheme: &str) -> Option<u16> {
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    if is("http") || is("ws") {
        Some(80)
    } else if is("https") || is("wss") {
        Some(443)
    } else {
        None
    }
}

/// RFC 3986 section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// A name or an IPv4 address. Names with `_` are no host names, but browsers know them.
fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
}

/// Whether a host is no IPv4 address, nor the end of one.
fn is_domain(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `host` is a name under `domain`.
fn is_under(host: &str, domain: &str) -> bool {
    let Some(at) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    // Hosts are ASCII, so that any place is between two characters.
    host[at..].eq_ignore_ascii_case(domain) && host[..at].len() > 1 && host[..at].ends_with('.')
}

#[cfg(test)]
mod tests;
