//! How long a change takes until it is live, at 100 listeners and 1,000 targets.
//!
//! The members of the first pool change between two backends; a client that asks without pause sees
//! when the new ones answer. The time in the store (its fsync) is not counted, as the gateway says it.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::children::Child;
use crate::free_port::free_port;
use crate::shell::command;

const LISTENERS: usize = 100;
/// So that there are 1,000 targets.
const MEMBERS: usize = 10;
/// Changes that are not counted: caches are cold.
const WARM_UP: usize = 10;

/// What one change took, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// From sending the PUT to the first answer by a new member, without the store.
    live: f64,
    /// As the gateway says.
    apply: f64,
    store: f64,
}

/// What is PUT.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Pool,
    Document,
}

/// Measures `count` changes of each kind; the table as Markdown.
pub(super) fn measure(gateway: &Path, backend: &Path, count: usize) -> Result<String> {
    let backends = ["first", "second"].map(|name| {
        let arguments = ["--listen", "0.0.0.0:0", "--record", "0", "--name", name];
        Child::that_says_its_port(command(backend).args(arguments))
    });
    let [first, second] = backends;
    let (first, second) = (first?, second?);
    let admin = free_port();
    let ports: Vec<u16> = (0..LISTENERS).map(|_| free_port()).collect();
    let state = tempfile::tempdir()?;
    let mut program = command(gateway);
    program
        .args(["run", "--access-log", "off", "--log-level", "warn"])
        .args(["--admin", &format!("127.0.0.1:{admin}"), "--state"])
        .arg(state.path());
    let _gateway = Child::start(&mut program, admin)?;
    let backends = [first.port, second.port];
    let mut api = Connection::open(admin)?;
    let put = api.ask(
        "PUT",
        "/v1/config",
        &document(&ports, backends[0], backends[0]),
    )?;
    ensure!(put.status == 201, "the document is refused: {}", put.head);
    let mut samples = [Vec::new(), Vec::new()];
    for (kind, samples) in [Kind::Pool, Kind::Document].into_iter().zip(&mut samples) {
        let mut client = Connection::open(ports[0])?;
        for number in 0..WARM_UP + count {
            let to = (number + 1) % 2;
            let body = match kind {
                Kind::Pool => json!({ "properties": pool(0, backends[to]) }).to_string(),
                Kind::Document => document(&ports, backends[to], backends[0]),
            };
            let sample = change(&mut api, &mut client, kind, &body, ["first", "second"][to])?;
            if number >= WARM_UP {
                samples.push(sample);
            }
        }
    }
    Ok(render(&samples, count))
}

/// One change, watched from outside.
fn change(
    api: &mut Connection,
    client: &mut Connection,
    kind: Kind,
    body: &str,
    expected: &str,
) -> Result<Sample> {
    let path = match kind {
        Kind::Pool => "/v1/backendAddressPools/n0",
        Kind::Document => "/v1/config",
    };
    let started = Instant::now();
    api.send("PUT", path, body)?;
    let live = loop {
        let answer = client.ask("GET", "/fast", "")?;
        ensure!(answer.status == 200, "a request fails: {}", answer.head);
        if answer.field("x-backend") == Some(expected) {
            break started.elapsed();
        }
        ensure!(
            started.elapsed() < Duration::from_secs(10),
            "a PUT is not live after 10 s"
        );
    };
    let answer = api.answer()?;
    ensure!(answer.status == 200, "a PUT is refused: {}", answer.head);
    let timing = answer.field("server-timing").context("no Server-Timing")?;
    let (apply, store) = (entry(timing, "apply")?, entry(timing, "store")?);
    Ok(Sample {
        live: live.as_secs_f64() * 1e3 - store,
        apply,
        store,
    })
}

/// `apply;dur=1.5, store;dur=3`, by its name.
fn entry(timing: &str, name: &str) -> Result<f64> {
    let entries = timing.split(',').map(str::trim);
    let mut named = entries.filter_map(|entry| entry.strip_prefix(name)?.strip_prefix(";dur="));
    let value = named
        .next()
        .with_context(|| format!("no {name} in {timing}"))?;
    Ok(value.parse()?)
}

/// 100 listeners, each with a pool of ten members of its own.
fn document(ports: &[u16], first_pool: u16, others: u16) -> String {
    let named = |properties: &dyn Fn(usize) -> Value| {
        let all = (0..ports.len()).map(
            |number| json!({ "name": format!("n{number}"), "properties": properties(number) }),
        );
        Value::Array(all.collect())
    };
    let id = |collection: &str, number: usize| json!({ "id": format!("{collection}/n{number}") });
    let probe = json!({ "protocol": "Http", "host": "benchmark", "path": "/fast", "interval": 60,
        "timeout": 30, "unhealthyThreshold": 3 });
    let settings = json!({ "port": 80, "protocol": "Http", "requestTimeout": 30,
        "probe": id("probes", 0) });
    let one = |properties: Value| json!([{ "name": "n0", "properties": properties }]);
    let document = json!({ "name": "benchmark", "properties": {
        "frontendIPConfigurations": one(json!({ "privateIPAddress": "127.0.0.1" })),
        "frontendPorts": named(&|number| json!({ "port": ports[number] })),
        "probes": one(probe),
        "backendAddressPools":
            named(&|number| pool(number, if number == 0 { first_pool } else { others })),
        "backendHttpSettingsCollection": one(settings),
        "httpListeners": named(&|number| json!({
            "protocol": "Http",
            "frontendIPConfiguration": id("frontendIPConfigurations", 0),
            "frontendPort": id("frontendPorts", number),
        })),
        "requestRoutingRules": named(&|number| json!({
            "ruleType": "Basic",
            "priority": number + 1,
            "httpListener": id("httpListeners", number),
            "backendAddressPool": id("backendAddressPools", number),
            "backendHttpSettings": id("backendHttpSettingsCollection", 0),
        })),
    } });
    document.to_string()
}

/// Ten addresses of the loopback network, on all of which the backend listens.
fn pool(number: usize, port: u16) -> Value {
    let address = |member: usize| format!("127.0.{}.{}", number + 1, member + 1);
    let members = (0..MEMBERS).map(|member| json!({ "ipAddress": address(member), "port": port }));
    json!({ "backendAddresses": members.collect::<Vec<_>>() })
}

fn render(samples: &[Vec<Sample>; 2], count: usize) -> String {
    let mut text = format!(
        "{count} PUTs of each kind; without the time in the store, but for its own row.\n\n\
         | at {LISTENERS} listeners and {} targets | p50, ms | p95, ms |\n|---|---:|---:|\n",
        LISTENERS * MEMBERS
    );
    let [pool, document] = samples;
    let rows: [(&str, Vec<f64>); 5] = [
        (
            "PUT of a pool: until the first answer under the new revision",
            pool.iter().map(|sample| sample.live).collect(),
        ),
        (
            "PUT of a pool: `apply`, as the gateway says",
            pool.iter().map(|sample| sample.apply).collect(),
        ),
        (
            "PUT of the whole document: until the first answer under the new revision",
            document.iter().map(|sample| sample.live).collect(),
        ),
        (
            "PUT of the whole document: `apply`, as the gateway says",
            document.iter().map(|sample| sample.apply).collect(),
        ),
        (
            "the store besides",
            samples
                .iter()
                .flatten()
                .map(|sample| sample.store)
                .collect(),
        ),
    ];
    for (name, values) in rows {
        let [p50, p95] = [50, 95].map(|part| percentile(&values, part));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {name} | {p50:.2} | {p95:.2} |");
    }
    text
}

fn percentile(values: &[f64], part: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let index = (values.len() * part / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or_default()
}

/// A kept HTTP/1.1 connection; its peers are known to send a length.
struct Connection(BufReader<TcpStream>);

struct Answer {
    status: u16,
    head: String,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        self.send(method, path, body)?;
        self.answer()
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<()> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        Ok(self.0.get_mut().write_all(request.as_bytes())?)
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            ensure!(self.0.read_line(&mut head)? > 0, "no whole answer: {head}");
        }
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status in {head}"))?;
        let answer = Answer { status, head };
        let length = answer.field("content-length").context("no length")?;
        let mut body = vec![0; length.parse()?];
        self.0.read_exact(&mut body)?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::{entry, percentile};

    #[test]
    fn server_timing_by_name() {
        let timing = "apply;dur=1.500, store;dur=3.250";
        assert_eq!(entry(timing, "store").unwrap(), 3.25);
        assert!(entry(timing, "other").is_err());
    }

    #[test]
    fn percentiles_of_few_and_many() {
        let hundred: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 95), 95.0);
        assert_eq!(percentile(&[7.0], 95), 7.0);
        assert_eq!(percentile(&[], 50), 0.0);
    }
}
