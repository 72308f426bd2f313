//! Which header fields pass, which are dropped, and which are the gateway's own (reference section 4,
//! RFC 9110 section 7.6.1).

use std::net::SocketAddr;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, request, response};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_ORIGINAL_HOST: HeaderName = HeaderName::from_static("x-original-host");
const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const X_APPGW_TRACE_ID: HeaderName = HeaderName::from_static("x-appgw-trace-id");

/// What is told to the backend of the client and its request.
pub(crate) struct Origin<'a> {
    /// The client's address and port, as a field's value.
    pub(crate) client: &'a HeaderValue,
    /// What the peer says of those before it is kept.
    pub(crate) believed: bool,
    /// It came over TLS.
    pub(crate) secure: bool,
    /// The frontend port.
    pub(crate) port: &'a HeaderValue,
    /// The authority that was asked for.
    pub(crate) authority: Option<&'a HeaderValue>,
    /// The request's name in both logs.
    pub(crate) trace_id: &'a TraceId,
}

/// 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId([u8; 32]);

impl TraceId {
    /// A random one.
    pub(crate) fn random() -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut bits = fastrand::u128(..);
        let mut digits = [0; 32];
        for digit in &mut digits {
            *digit = DIGITS[(bits & 15) as usize];
            bits >>= 4;
        }
        Self(digits)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

/// A client's address as `X-Forwarded-For` has it.
pub(crate) fn client_value(client: SocketAddr) -> HeaderValue {
    HeaderValue::from_str(&client.to_string()).expect("an address is visible ASCII")
}

/// Makes a client's head a backend's: drops what is not for it and adds what is said of the client.
/// Framing is left to hyper, which writes it anew; `Host` is left as it is.
pub(crate) fn to_backend(head: &mut request::Parts, origin: &Origin<'_>) {
    let wants_trailers = wants_trailers(&head.headers);
    let chunked = head.headers.contains_key(TRANSFER_ENCODING);
    drop_fields(&mut head.headers, |name| !is_usual(name));
    if chunked {
        // RFC 9112 section 6.1: the coding has the last word, and is written anew.
        head.headers.remove(CONTENT_LENGTH);
    }
    if wants_trailers {
        head.headers
            .insert(TE, HeaderValue::from_static("trailers"));
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("te"));
    }
    add_forwarded_for(&mut head.headers, origin);
    let proto = if origin.secure { "https" } else { "http" };
    let headers = &mut head.headers;
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    headers.insert(X_FORWARDED_PORT, origin.port.clone());
    match origin.authority {
        Some(authority) => headers.insert(X_ORIGINAL_HOST, authority.clone()),
        None => headers.remove(X_ORIGINAL_HOST),
    };
    let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if let Ok(target) = HeaderValue::from_str(target) {
        headers.insert(X_ORIGINAL_URL, target);
    } else {
        headers.remove(X_ORIGINAL_URL);
    }
    if let Ok(trace_id) = HeaderValue::from_bytes(&origin.trace_id.0) {
        headers.insert(X_APPGW_TRACE_ID, trace_id);
    }
}

/// Makes a backend's head a client's. Says whether its framing may be trusted: a coding that is not
/// understood may not be passed on as if it were none.
pub(crate) fn to_client(head: &mut response::Parts) -> ResponseFraming {
    let framing = response_framing(&head.headers);
    drop_fields(&mut head.headers, |_| false);
    match framing {
        ResponseFraming::Ambiguous => {
            head.headers.remove(CONTENT_LENGTH);
        }
        ResponseFraming::Plain => collapse_length(&mut head.headers),
        ResponseFraming::Unknown => {}
    }
    framing
}

/// How an answer says where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseFraming {
    /// In one way, or by closing.
    Plain,
    /// By a coding and a length (RFC 9112 section 6.3): the coding counts, and the connection is not
    /// used again.
    Ambiguous,
    /// By a coding that is not understood.
    Unknown,
}

fn response_framing(headers: &HeaderMap) -> ResponseFraming {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => ResponseFraming::Plain,
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            if headers.contains_key(CONTENT_LENGTH) {
                ResponseFraming::Ambiguous
            } else {
                ResponseFraming::Plain
            }
        }
        _ => ResponseFraming::Unknown,
    }
}

/// Equal lengths, repeated, are one (RFC 9110 section 8.6), and go on without leading zeros, which
/// are octal to some. Unequal ones, and what is none, go: hyper has refused them where they frame a
/// body, but not in answers to HEAD and in 304.
fn collapse_length(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lines.next() else { return };
    let text = first.as_bytes();
    // Twenty digits may be more than fit.
    let is_number = (1..20).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    if lines.next().is_none() && is_number && (text[0] != b'0' || text == b"0") {
        return;
    }
    match length(headers) {
        Some(length) => {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        None => {
            headers.remove(CONTENT_LENGTH);
        }
    }
}

/// The length that a head says, if it says one and no other.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    let lines = headers.get_all(CONTENT_LENGTH).iter();
    let elements = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let mut lengths = elements.map(|element| {
        let digits = element.trim_ascii();
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let digits = is_number.then(|| str::from_utf8(digits).ok())?;
        digits?.parse::<u64>().ok()
    });
    let first = lengths.next()??;
    lengths.all(|other| other == Some(first)).then_some(first)
}

/// Whether a field means something to the next hop only.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    match *name {
        CONNECTION | TRANSFER_ENCODING | UPGRADE | TE => true,
        _ => matches!(
            name.as_str(),
            "keep-alive" | "proxy-connection" | "http2-settings"
        ),
    }
}

/// Drops what is for one hop only, what `Connection` names except for what a message cannot be
/// without (RFC 9110 section 7.6.1), and what is `unwanted` besides. It looks at every name once:
/// asking the map for each name to drop would hash them all for nothing.
fn drop_fields(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let mut names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name) || unwanted(name))
        .cloned()
        .collect();
    if names.contains(&CONNECTION) {
        names.extend(named_by_connection(headers));
    }
    for name in names {
        headers.remove(name);
    }
}

/// Empty for the usual `keep-alive`, `close` and `upgrade`, without an allocation.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    const USUAL: [&[u8]; 3] = [b"keep-alive", b"close", b"upgrade"];
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !USUAL.iter().any(|usual| token.eq_ignore_ascii_case(usual)))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER].contains(name))
        .collect()
}

/// Names with anything but letters, digits and `-` are dropped (reference section 4): `X_Forwarded_For`
/// must not become `X-Forwarded-For` in some backend's environment.
fn is_usual(name: &HeaderName) -> bool {
    name.as_str()
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Drops from trailers what may not be there (RFC 9110 section 6.5.1): framing, routing, hop-by-hop.
pub(crate) fn keep_plain_trailers(trailers: &mut HeaderMap) {
    let unwanted: Vec<HeaderName> = trailers
        .keys()
        .filter(|name| {
            is_hop_by_hop(name)
                || [HOST, CONTENT_LENGTH, TRAILER].contains(name)
                || name.as_str().starts_with("x-forwarded-")
                || !is_usual(name)
        })
        .cloned()
        .collect();
    for name in unwanted {
        trailers.remove(name);
    }
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// Appended to what arrived (reference section 4), or put in its place where the peer is not to be
/// believed: the last entry is always ours.
fn add_forwarded_for(headers: &mut HeaderMap, origin: &Origin<'_>) {
    if origin.believed && headers.contains_key(X_FORWARDED_FOR) {
        let mut list = Vec::new();
        for line in headers.get_all(X_FORWARDED_FOR) {
            list.extend_from_slice(line.as_bytes());
            list.extend_from_slice(b", ");
        }
        list.extend_from_slice(origin.client.as_bytes());
        if let Ok(list) = HeaderValue::from_bytes(&list) {
            headers.insert(X_FORWARDED_FOR, list);
            return;
        }
    }
    headers.insert(X_FORWARDED_FOR, origin.client.clone());
}

/// The target that a backend sees: origin form, behind the settings' prefix.
pub(crate) fn target(uri: Uri, prefix: Option<&str>) -> Uri {
    if uri.authority().is_none() && prefix.is_none() || uri.path() == "*" {
        return uri;
    }
    let own = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // The absolute form may go without a path: `http://a?b` (RFC 9112 section 3.2.1).
    let relative = own.strip_prefix('/').unwrap_or(own);
    let joined = [prefix.unwrap_or("/"), relative].concat();
    // Both halves were parsed before; their sum can only be too long, and then goes without prefix.
    Uri::try_from(joined).unwrap_or(uri)
}

#[cfg(test)]
mod tests;
