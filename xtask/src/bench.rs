//! `cargo xtask bench`: the gateway side by side with nginx and HAProxy, one worker each, in one
//! interleaved run against the same backend, all on loopback.
//!
//! It measures; it judges nothing. What it found goes to standard output and into
//! `docs/benchmarks.md`.

mod children;
mod load;
mod proxies;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use crate::shell::{self, cargo, command, is_installed, target_directory};
use children::{Child, Cores};
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
    let kinds = available()?;
    let (tools, gateway) = build(&options)?;
    let cores = Cores::of_this_machine();
    let backend = Child::backend(&tools.backend, &cores)?;
    let proxies: Vec<Proxy> = kinds
        .iter()
        .map(|kind| {
            let proxy = Proxy::start(*kind, &gateway, backend.port, &cores);
            proxy.with_context(|| format!("{} does not start", kind.name()))
        })
        .collect::<Result<_>>()?;
    let mut figures: Vec<Figures> = proxies
        .iter()
        .map(|proxy| Figures::of(&proxy.label))
        .collect();
    for round in 0..=options.rounds {
        for (proxy, figures) in proxies.iter().zip(&mut figures) {
            let http = load::http(proxy, &options, &cores)?;
            let bodies = load::bodies(proxy, &options, &cores)?;
            let websocket = load::websocket(proxy, &tools.websocket_load, &options, &cores)?;
            // The first round warms up caches and connections.
            if round > 0 {
                report(round, &proxy.label, [&http, &bodies, &websocket]);
                figures.http.push(http);
                figures.bodies.push(bodies);
                figures.websocket.push(websocket);
            }
        }
    }
    drop(proxies);
    if options.tunnels > 0 {
        for (kind, figures) in kinds.iter().zip(&mut figures) {
            // A new process: what the load above has left on the heap would be used again for
            // nothing.
            let proxy = Proxy::start(*kind, &gateway, backend.port, &cores)?;
            let memory = load::idle(&proxy, &tools.websocket_load, options.tunnels, &cores)?;
            println!("{:<16} {memory:.1} KiB per idle tunnel", proxy.label);
            figures.idle = Some(memory);
        }
    }
    let table = table::render(&figures, &options, &cores);
    println!("\n{table}");
    if !options.print_only {
        table::write(&table)?;
    }
    Ok(())
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
    let packages = ["test-backend", "conformance", "gateway"];
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
fn version(program: &std::path::Path, argument: &str) -> Result<String> {
    let output = command(program).arg(argument).output()?;
    // nginx says it on standard error.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
