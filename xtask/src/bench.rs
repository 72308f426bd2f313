//! `cargo xtask bench`: the gateway side by side with nginx and HAProxy, one worker each, in one
//! interleaved run against the same backend, all on loopback.
//!
//! It measures; it judges nothing. What it found goes to standard output and into
//! `docs/benchmarks.md`.

mod changes;
mod cores;
mod frames;
mod load;
mod proxies;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;

use crate::children::Child;
use crate::shell::{self, cargo, command, is_installed, target_directory};
use cores::Cores;
use load::{Figures, Sample};
use proxies::{Kind, Proxy};

/// Measures the gateway side by side with nginx and HAProxy.
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Options {
    /// Take this gateway instead of building one with the `dist` profile
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// How often each proxy is measured; the medians count
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Connections of each measurement
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Idle tunnels for the memory of one; 0 leaves that out
    #[arg(long, default_value_t = 5000)]
    tunnels: u32,
    /// Changes of the configuration for the time until one is live; 0 leaves that out
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// Measure nothing but that
    #[arg(long, group = "only")]
    only_changes: bool,
    /// Measure nothing but what it costs to follow WebSockets' frames
    #[arg(long, group = "only")]
    only_frames: bool,
    /// Measure nothing but the memory of idle tunnels
    #[arg(long, group = "only")]
    only_idle: bool,
    /// Leave docs/benchmarks.md as it is
    #[arg(long)]
    print_only: bool,
}

/// The programs that load and serve.
struct Tools {
    backend: PathBuf,
    websocket_load: PathBuf,
}

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let name = "cargo xtask bench".to_owned();
    let options = Options::parse_from(std::iter::once(&name).chain(arguments));
    let (tools, gateway) = build(&options)?;
    let cores = Cores::of_this_machine();
    let tell = |name: &str, table: &str| {
        println!("\n{table}");
        match options.print_only {
            true => Ok(()),
            false => table::write(name, table),
        }
    };
    let all = !options.only_changes && !options.only_frames && !options.only_idle;
    if all {
        tell("bench", &side_by_side(&options, &tools, &gateway, &cores)?)?;
    }
    if options.tunnels > 0 && (all || options.only_idle) {
        tell("idle", &idle(options.tunnels, &tools, &gateway, &cores)?)?;
    }
    if all || options.only_frames {
        tell(
            "frames",
            &frames::measure(&options, &tools, &gateway, &cores)?,
        )?;
    }
    if options.changes > 0 && (all || options.only_changes) {
        tell(
            "changes",
            &changes::measure(&gateway, &tools.backend, options.changes)?,
        )?;
    }
    Ok(())
}

/// The gateway and its peers, by turns; the table as Markdown.
fn side_by_side(options: &Options, tools: &Tools, gateway: &Path, cores: &Cores) -> Result<String> {
    let backend = start_backend(tools, cores)?;
    let proxies: Vec<Proxy> = available()?
        .into_iter()
        .map(|kind| {
            let proxy = Proxy::start(kind, gateway, backend.port, cores);
            proxy.with_context(|| format!("{} does not start", kind.name()))
        })
        .collect::<Result<_>>()?;
    let mut figures: Vec<Figures> = proxies
        .iter()
        .map(|proxy| Figures::of(&proxy.label))
        .collect();
    for round in 0..=options.rounds {
        for (proxy, figures) in proxies.iter().zip(&mut figures) {
            let http = load::http(proxy, options, cores)?;
            let bodies = load::bodies(proxy, options, cores)?;
            let websocket = load::websocket(proxy, &tools.websocket_load, 128, options, cores)?;
            // The first round warms up caches and connections.
            if round > 0 {
                report(round, &proxy.label, [&http, &bodies, &websocket]);
                figures.http.push(http);
                figures.bodies.push(bodies);
                figures.websocket.push(websocket);
            }
        }
    }
    let (rounds, seconds) = (options.rounds, options.seconds);
    let what = format!(
        "{rounds} rounds of {seconds} s, {} connections; {}",
        options.connections,
        cores.describe(),
    );
    Ok(table::render(&what, &figures))
}

/// The memory of idle tunnels, in the clear and with clients under TLS; the table as Markdown.
fn idle(tunnels: u32, tools: &Tools, gateway: &Path, cores: &Cores) -> Result<String> {
    let backend = start_backend(tools, cores)?;
    let pem = certificate()?;
    let mut figures = Vec::new();
    for kind in available()? {
        // A new process each time: what a load has left on the heap would be used again for nothing.
        let idle = |pem: Option<&Path>| {
            let proxy = Proxy::start_with(kind, pem, gateway, backend.port, cores)?;
            let kib = load::idle(&proxy, &tools.websocket_load, pem, tunnels, cores)?;
            println!("{:<16} {kib:.2} KiB, TLS: {}", proxy.label, pem.is_some());
            Ok::<_, anyhow::Error>((proxy.label.clone(), kib))
        };
        let ((label, plain), (_, tls)) = (idle(None)?, idle(Some(&pem))?);
        figures.push(Figures {
            idle: Some(plain),
            idle_tls: Some(tls),
            ..Figures::of(&label)
        });
    }
    let what = format!("{tunnels} tunnels");
    Ok(table::render(&what, &figures))
}

/// A file with a certificate for `localhost` and its key.
fn certificate() -> Result<PathBuf> {
    shell::provide("openssl", &["openssl"])?;
    let folder = target_directory().join("bench");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("localhost.pem");
    // By a crate, each `cargo xtask` would wait for the cryptography to be built.
    shell::run(
        command("openssl")
            .args(["req", "-x509", "-nodes", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30"])
            .args(["-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "localhost.key", "-out", "localhost.crt"])
            .current_dir(&folder),
    )?;
    let read = |name| std::fs::read_to_string(folder.join(name));
    std::fs::write(&file, read("localhost.crt")? + &read("localhost.key")?)?;
    Ok(file)
}

/// What all proxies send everything on to.
fn start_backend(tools: &Tools, cores: &Cores) -> Result<Child> {
    let mut backend = cores.beside(&tools.backend);
    Child::that_says_its_port(backend.args(["--record", "0", "--name", "benchmark"]))
}

fn report(round: usize, label: &str, samples: [&Sample; 3]) {
    print!("round {round}  {label:<16}");
    for (what, sample) in ["requests", "bodies", "messages"].iter().zip(samples) {
        print!(
            "  {:>8.0} {what}/s {:>6.2} us CPU each",
            sample.per_second, sample.cpu_micros
        );
    }
    println!();
}

/// The gateway, and the peers that are here or can be had.
fn available() -> Result<Vec<Kind>> {
    for (program, package) in [("wrk", "wrk"), ("h2load", "nghttp2-client")] {
        shell::provide(program, &[package])?;
        anyhow::ensure!(
            is_installed(program),
            "{program} is needed: apt-get install {package}"
        );
    }
    let mut kinds = vec![Kind::Gateway];
    for (kind, program, package) in [
        (Kind::Nginx, "nginx", "nginx-light"),
        (Kind::HaProxy, "haproxy", "haproxy"),
    ] {
        if shell::provide(program, &[package])? {
            kinds.push(kind);
        } else {
            println!("left out: {program} is not installed (apt-get install {package})");
        }
    }
    Ok(kinds)
}

fn build(options: &Options) -> Result<(Tools, PathBuf)> {
    let mut programs = vec!["--bin=test-backend", "--bin=websocket-load"];
    if options.gateway.is_none() {
        programs.push("--bin=gateway");
    }
    let packages = ["test-backend", "gateway"];
    let packages = packages.map(|name| format!("--package={name}"));
    shell::run(
        cargo()
            .args(["build", "--profile=dist"])
            .args(packages)
            .args(programs),
    )?;
    let built = target_directory().join("dist");
    let tools = Tools {
        backend: built.join("test-backend"),
        websocket_load: built.join("websocket-load"),
    };
    let gateway = options
        .gateway
        .clone()
        .unwrap_or_else(|| built.join("gateway"));
    Ok((tools, gateway))
}

/// The first line that `program` prints about its version.
fn version(program: &Path, argument: &str) -> Result<String> {
    let output = command(program).arg(argument).output()?;
    // nginx says it on standard error.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
