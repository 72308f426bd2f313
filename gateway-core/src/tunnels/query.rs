//! Which tunnels are asked for: filters, order and place in the list, from the query of a URL.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::page::{Place, Sort, SortBy};
use super::{TunnelFacts, TunnelId};

/// The most tunnels on a page.
const MOST_PER_PAGE: usize = 1000;
/// The tunnels on a page unless somebody says.
const PER_PAGE: usize = 100;

/// Parameters of a filter, and what each wants.
const FILTERS: [(&str, &str); 8] = [
    ("listener", "the name of a listener"),
    ("rule", "the name of a rule"),
    ("pool", "the name of a backend address pool"),
    (
        "target",
        "an address, with or without a port, such as 10.0.0.4:8080",
    ),
    ("client", "an address or a network, such as 10.0.0.0/8"),
    ("olderThan", "a number of seconds, such as 3600"),
    ("idleFor", "a number of seconds, such as 60"),
    ("subprotocol", "a subprotocol; empty for those without one"),
];

/// Which tunnels are meant: those that match all that is given. The default matches all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TunnelFilter {
    listener: Option<String>,
    rule: Option<String>,
    pool: Option<String>,
    target: Option<AddressPattern>,
    client: Option<IpNet>,
    older_than: Option<Duration>,
    idle_for: Option<Duration>,
    subprotocol: Option<String>,
}

/// An address, with any port or with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPattern {
    ip: IpAddr,
    port: Option<u16>,
}

impl AddressPattern {
    /// Reads `10.0.0.4`, `10.0.0.4:80`, `::1`, `[::1]` or `[::1]:80`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            let (ip, port) = (address.ip(), Some(address.port()));
            return Some(Self { ip, port });
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let ip = match bare {
            Some(bare) => IpAddr::V6(bare.parse().ok()?),
            None => text.parse().ok()?,
        };
        Some(Self { ip, port: None })
    }

    /// Whether it is this address.
    pub fn matches(&self, address: SocketAddr) -> bool {
        self.ip == address.ip() && self.port.is_none_or(|port| port == address.port())
    }
}

/// A parameter that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}: {message}")]
pub struct QueryProblem {
    /// Which.
    pub parameter: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl QueryProblem {
    fn wanted(parameter: &str, value: &str, wanted: &str) -> Self {
        Self {
            parameter: parameter.to_owned(),
            message: format!("{value:?} is not {wanted}"),
        }
    }

    fn unknown(parameter: &str, others: &[&str]) -> Self {
        let known = FILTERS
            .iter()
            .map(|(name, _)| *name)
            .chain(others.iter().copied());
        Self {
            parameter: parameter.to_owned(),
            message: format!(
                "no such parameter; there are: {}",
                known.collect::<Vec<_>>().join(", ")
            ),
        }
    }
}

impl TunnelFilter {
    /// Takes what a query says of a filter. `Ok(false)` where `name` is none of its parameters.
    fn set(&mut self, name: &str, value: &str) -> Result<bool, QueryProblem> {
        let Some((_, wanted)) = FILTERS.iter().find(|(filter, _)| *filter == name) else {
            return Ok(false);
        };
        let wrong = || QueryProblem::wanted(name, value, wanted);
        let is_new = match name {
            "listener" => put(&mut self.listener, resource_name(value)),
            "rule" => put(&mut self.rule, resource_name(value)),
            "pool" => put(&mut self.pool, resource_name(value)),
            "target" => put(&mut self.target, AddressPattern::parse(value)),
            "client" => put(&mut self.client, network(value)),
            "olderThan" => put(&mut self.older_than, seconds(value)),
            "idleFor" => put(&mut self.idle_for, seconds(value)),
            _ => put(&mut self.subprotocol, Some(value.to_owned())),
        };
        match is_new {
            Some(true) => Ok(true),
            Some(false) => Err(QueryProblem {
                parameter: name.to_owned(),
                message: "is given twice; a filter takes one value".to_owned(),
            }),
            None => Err(wrong()),
        }
    }

    /// Whether it matches all tunnels.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a tunnel is meant. Names compare without regard to case, as ids do.
    pub fn matches(&self, tunnel: &TunnelFacts<'_>) -> bool {
        let named = |wanted: &Option<String>, name: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let client = tunnel.client.ip().to_canonical();
        let subprotocol = tunnel.subprotocol.unwrap_or_default();
        named(&self.listener, tunnel.listener)
            && named(&self.rule, tunnel.rule)
            && named(&self.pool, tunnel.pool)
            && self
                .target
                .is_none_or(|target| target.matches(tunnel.target))
            && self.client.is_none_or(|net| net.contains(&client))
            && self.older_than.is_none_or(|least| tunnel.age >= least)
            && self.idle_for.is_none_or(|least| tunnel.idle >= least)
            && self
                .subprotocol
                .as_deref()
                .is_none_or(|wanted| wanted == subprotocol)
    }
}

impl fmt::Display for TunnelFilter {
    /// As it would be asked for, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs().to_string());
        let target = self.target.map(|target| match target.port {
            Some(port) => SocketAddr::new(target.ip, port).to_string(),
            None => target.ip.to_string(),
        });
        let given = [
            ("listener", self.listener.clone()),
            ("rule", self.rule.clone()),
            ("pool", self.pool.clone()),
            ("target", target),
            ("client", self.client.map(|client| client.to_string())),
            ("olderThan", seconds(self.older_than)),
            ("idleFor", seconds(self.idle_for)),
            ("subprotocol", self.subprotocol.clone()),
        ];
        let given = given
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        let given = given.collect::<Vec<_>>().join("&");
        f.write_str(if given.is_empty() { "all" } else { &given })
    }
}

/// What `GET /v1/connections` asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// Which tunnels.
    pub filter: TunnelFilter,
    /// In which order.
    pub sort: Sort,
    /// At most so many.
    pub limit: usize,
    /// Only those behind this one.
    pub after: Option<Place>,
}

impl ListQuery {
    /// Reads the parameters of a URL's query, decoded.
    ///
    /// # Errors
    /// The first parameter that is not understood.
    pub fn parse<'q>(
        parameters: impl IntoIterator<Item = (&'q str, &'q str)>,
    ) -> Result<Self, QueryProblem> {
        let (mut filter, mut sort, mut limit, mut after) =
            (TunnelFilter::default(), None, None, None);
        for (name, value) in parameters {
            let (is_new, wanted) = match name {
                "sort" => (put(&mut sort, Sort::parse(value)), SortBy::WANTED),
                "limit" => (put(&mut limit, page_size(value)), "a number from 1 to 1000"),
                "cursor" => (
                    put(&mut after, Place::parse(value)),
                    "a cursor; take the one of `nextLink` as it is",
                ),
                _ if filter.set(name, value)? => continue,
                _ => return Err(QueryProblem::unknown(name, &["sort", "limit", "cursor"])),
            };
            match is_new {
                Some(true) => {}
                Some(false) => {
                    return Err(QueryProblem {
                        parameter: name.to_owned(),
                        message: "is given twice".to_owned(),
                    });
                }
                None => return Err(QueryProblem::wanted(name, value, wanted)),
            }
        }
        Ok(Self {
            filter,
            sort: sort.unwrap_or_default(),
            limit: limit.unwrap_or(PER_PAGE),
            after,
        })
    }
}

/// Reads the filter of `POST /v1/connections:close`. None at all could be an accident of somebody's
/// script: whoever means all tunnels says `all=true`.
///
/// # Errors
/// The first parameter that is not understood, or that there is none.
pub fn parse_close_filter<'q>(
    parameters: impl IntoIterator<Item = (&'q str, &'q str)>,
) -> Result<TunnelFilter, QueryProblem> {
    let (mut filter, mut all) = (TunnelFilter::default(), false);
    for (name, value) in parameters {
        match (name, value) {
            ("all", "true") => all = true,
            ("all", _) => return Err(QueryProblem::wanted(name, value, "true")),
            _ if filter.set(name, value)? => {}
            _ => return Err(QueryProblem::unknown(name, &["all"])),
        }
    }
    let message = match (all, filter.is_empty()) {
        (true, true) | (false, false) => return Ok(filter),
        (true, false) => "all=true goes with no filter",
        (false, true) => "say which connections, by a filter such as target=10.0.0.4, or all=true",
    };
    Err(QueryProblem {
        parameter: "all".to_owned(),
        message: message.to_owned(),
    })
}

/// Puts a value in its place: `None` for one that is not understood, `Some(false)` for a second.
fn put<T>(place: &mut Option<T>, value: Option<T>) -> Option<bool> {
    Some(place.replace(value?).is_none())
}

fn resource_name(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn network(value: &str) -> Option<IpNet> {
    let net = match value.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => value.parse::<IpNet>().ok()?.trunc(),
    };
    Some(net)
}

fn seconds(value: &str) -> Option<Duration> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = is_number.then(|| value.parse().ok()).flatten()?;
    Some(Duration::from_secs(seconds))
}

fn page_size(value: &str) -> Option<usize> {
    let size = value.parse().ok()?;
    (1..=MOST_PER_PAGE).contains(&size).then_some(size)
}

impl Place {
    /// Reads what [`Display`](fmt::Display) wrote.
    fn parse(text: &str) -> Option<Self> {
        let (value, id) = text.split_once('.')?;
        let place = Self {
            value: value.parse().ok()?,
            id: id.parse::<TunnelId>().ok()?,
        };
        (place.to_string() == text).then_some(place)
    }
}

#[cfg(test)]
mod tests;
