//! The loads: small HTTP answers by wrk, echoed bodies by h2load, echoed WebSocket messages, idle
//! tunnels.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Options;
use super::cores::Cores;
use super::proxies::Proxy;
use crate::children::pause;
use crate::shell::{output, target_directory};

/// The body of each request that [`bodies`] sends, in bytes.
const BODY: usize = 16 * 1024;

/// One measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) per_second: f64,
    pub(super) p99_millis: f64,
    /// CPU time of the proxy for each operation.
    pub(super) cpu_micros: f64,
}

/// What was found of one proxy.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) label: String,
    pub(super) http: Vec<Sample>,
    pub(super) bodies: Vec<Sample>,
    pub(super) websocket: Vec<Sample>,
    /// KiB of resident memory for each idle tunnel.
    pub(super) idle: Option<f64>,
    /// The same, with clients under TLS.
    pub(super) idle_tls: Option<f64>,
}

impl Figures {
    pub(super) fn of(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            http: Vec::new(),
            bodies: Vec::new(),
            websocket: Vec::new(),
            idle: None,
            idle_tls: None,
        }
    }
}

/// Small answers over keep-alive connections.
pub(super) fn http(proxy: &Proxy, options: &Options, cores: &Cores) -> Result<Sample> {
    let mut wrk = cores.beside(Path::new("wrk"));
    wrk.args(["--threads", "1", "--latency"])
        .args(["--connections", &options.connections.to_string()])
        .args(["--duration", &format!("{}s", options.seconds)])
        .arg(format!("http://{}/fast", proxy.address()));
    let before = proxy.child.cpu()?;
    let text = output(&mut wrk)?;
    let cpu = proxy.child.cpu()? - before;
    ensure!(
        !text.contains("Non-2xx"),
        "answers that are no 200:\n{text}"
    );
    ensure!(
        !text.contains("Socket errors"),
        "broken connections:\n{text}"
    );
    parse_wrk(&text, cpu).with_context(|| format!("what does wrk mean by\n{text}"))
}

/// Requests, rate and latency out of wrk's report.
fn parse_wrk(text: &str, cpu: Duration) -> Option<Sample> {
    let lines = || text.lines().map(str::trim);
    let rate = lines().find_map(|line| line.strip_prefix("Requests/sec:"))?;
    let p99 = lines().find_map(|line| line.strip_prefix("99%"))?.trim();
    let requests = lines().find(|line| line.contains(" requests in "))?;
    let requests: f64 = requests.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        per_second: rate.trim().parse().ok()?,
        p99_millis: millis(p99)?,
        cpu_micros: cpu.as_secs_f64() * 1e6 / requests,
    })
}

/// Bodies of 16 KiB to and fro, over keep-alive connections.
pub(super) fn bodies(proxy: &Proxy, options: &Options, cores: &Cores) -> Result<Sample> {
    let folder = target_directory().join("bench");
    fs::create_dir_all(&folder)?;
    let (body, log) = (folder.join("body"), folder.join("h2load.log"));
    fs::write(&body, [b'x'; BODY])?;
    // h2load appends.
    let _ = fs::remove_file(&log);
    let mut h2load = cores.beside(Path::new("h2load"));
    h2load
        .args(["--h1", "--threads=1"])
        .arg(format!("--clients={}", options.connections))
        .arg(format!("--duration={}", options.seconds))
        .arg(format!("--data={}", body.display()))
        .arg(format!("--log-file={}", log.display()))
        .arg(format!("http://{}/echo", proxy.address()));
    let before = proxy.child.cpu()?;
    let text = output(&mut h2load)?;
    let cpu = proxy.child.cpu()? - before;
    ensure!(
        text.contains(" 0 failed, 0 errored"),
        "requests failed:\n{text}"
    );
    parse_h2load(&text, &fs::read_to_string(&log)?, cpu)
        .with_context(|| format!("what does h2load mean by\n{text}"))
}

/// Requests and rate out of h2load's report; latency out of its log, whose third column is the time
/// of a request in microseconds.
fn parse_h2load(text: &str, log: &str, cpu: Duration) -> Option<Sample> {
    let finished = text.lines().find(|line| line.starts_with("finished in"))?;
    let rate = finished.split(", ").nth(1)?.strip_suffix(" req/s")?;
    let done = text
        .lines()
        .find_map(|line| line.strip_prefix("requests: "))?;
    let done: f64 = done.split_whitespace().next()?.parse().ok()?;
    let times = log
        .lines()
        .map(|line| line.split_whitespace().nth(2)?.parse().ok());
    let mut times: Vec<u64> = times.collect::<Option<_>>()?;
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100)?;
    Some(Sample {
        per_second: rate.parse().ok()?,
        p99_millis: *p99 as f64 / 1e3,
        cpu_micros: cpu.as_secs_f64() * 1e6 / done,
    })
}

/// `812.00us`, `1.23ms`, `1.20s` in milliseconds.
fn millis(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

/// Messages of `size` bytes to and fro.
pub(super) fn websocket(
    proxy: &Proxy,
    program: &Path,
    size: u16,
    options: &Options,
    cores: &Cores,
) -> Result<Sample> {
    let mut load = cores.beside(program);
    load.args(["--connect", &proxy.address()])
        .args(["--connections", &options.connections.to_string()])
        .args(["--seconds", &options.seconds.to_string()])
        .args(["--size", &size.to_string()]);
    let before = proxy.child.cpu()?;
    let text = output(&mut load)?;
    let cpu = proxy.child.cpu()? - before;
    parse_load(&text, cpu).with_context(|| format!("what does the load mean by {text:?}"))
}

fn parse_load(text: &str, cpu: Duration) -> Option<Sample> {
    let value = |name: &str| -> Option<f64> {
        let mut pairs = text
            .split_whitespace()
            .filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name)?.1.parse().ok()
    };
    let messages = value("messages")?;
    Some(Sample {
        per_second: messages / value("seconds")?,
        p99_millis: value("p99_us")? / 1e3,
        cpu_micros: cpu.as_secs_f64() * 1e6 / messages,
    })
}

/// KiB of resident memory that each of `tunnels` idle tunnels adds, after one message each.
/// Clients speak TLS where there is a certificate to believe.
pub(super) fn idle(
    proxy: &Proxy,
    program: &Path,
    certificate: Option<&Path>,
    tunnels: u32,
    cores: &Cores,
) -> Result<f64> {
    let load = |seconds: &str| {
        let mut load = cores.beside(program);
        load.args(["--connect", &proxy.address(), "--seconds", seconds]);
        if let Some(certificate) = certificate {
            load.arg("--tls-root").arg(certificate);
        }
        load
    };
    // What the first connections cost once is not a tunnel's.
    let mut first = load("1");
    output(first.args(["--connections", "8"]))?;
    let before = settled_kib(proxy)?;
    let mut load = load("0")
        .args(["--connections", &tunnels.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let said = load.stdout.take().context("no output")?;
    BufReader::new(said).read_line(&mut line)?;
    let settled = settled_kib(proxy);
    // Its standard input ends, and with it the load.
    drop(load.stdin.take());
    let status = load.wait()?;
    ensure!(line.starts_with("idle="), "the load ended with {status}");
    Ok(settled?.saturating_sub(before) as f64 / f64::from(tunnels))
}

/// The memory when it does not change any more.
fn settled_kib(proxy: &Proxy) -> Result<u64> {
    let end = Instant::now() + Duration::from_secs(3);
    let mut seen = (proxy.child.resident_kib()?, Instant::now());
    while Instant::now() < end && seen.1.elapsed() < Duration::from_secs(1) {
        pause();
        let now = proxy.child.resident_kib()?;
        if now != seen.0 {
            seen = (now, Instant::now());
        }
    }
    Ok(seen.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse_h2load, parse_load, parse_wrk};

    const WRK: &str = "\
Running 4s test @ http://127.0.0.1:1/fast
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.21ms  102.10us   5.10ms   91.23%
    Req/Sec    52.81k     1.20k   54.64k    80.00%
  Latency Distribution
     50%    1.20ms
     99%    1.58ms
  200000 requests in 4.00s, 26.90MB read
Requests/sec:  50000.25
Transfer/sec:      6.72MB
";

    #[test]
    fn reports_are_read() {
        let sample = parse_wrk(WRK, Duration::from_secs(3)).unwrap();
        assert_eq!((sample.per_second, sample.p99_millis), (50000.25, 1.58));
        assert_eq!(sample.cpu_micros, 15.0);
        let text = "starting\nfinished in 2.00s, 87890.50 req/s, 1.35GB/s\n\
            requests: 200000 total, 200064 started, 0 failed\n";
        let log = "1795406417230317\t200\t500\n1795406417230352\t200\t2500\n";
        let sample = parse_h2load(text, log, Duration::from_secs(3)).unwrap();
        assert_eq!((sample.per_second, sample.p99_millis), (87890.5, 2.5));
        assert_eq!(sample.cpu_micros, 15.0);
        let line = "messages=400000 seconds=4.000 p99_us=812\n";
        let sample = parse_load(line, Duration::from_secs(4)).unwrap();
        assert_eq!((sample.per_second, sample.p99_millis), (100_000.0, 0.812));
        assert_eq!(sample.cpu_micros, 10.0);
    }
}
