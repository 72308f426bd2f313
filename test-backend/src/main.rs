//! The backend as a program: prints where it listens as one line of JSON, and serves until it is
//! told to end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use test_backend::{Backend, BackendOptions, TlsIdentity};
use tokio::signal::unix::{SignalKind, signal};

/// A fault-injecting HTTP and WebSocket backend.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Listen at so many ports of that address besides: those that follow, or free ones with port 0
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    more: usize,
    /// A second, plain address for /_fault and /_requests that no fault touches
    #[arg(long)]
    control: Option<SocketAddr>,
    /// Said in every answer
    #[arg(long, default_value = "backend")]
    name: String,
    /// Speak TLS, with the certificate chain and the key in this PEM file
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// So many requests are kept in the log; 0 is fastest
    #[arg(long, default_value_t = 1000)]
    record: usize,
    /// Threads; 0 takes one per core
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("test-backend: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    raise_descriptor_limit();
    let runtime = match arguments.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            if threads > 0 {
                builder.worker_threads(threads);
            }
            builder
        }
    }
    .enable_all()
    .build()?;
    runtime.block_on(serve(arguments))
}

/// Scenarios open ten thousand WebSockets; what a shell or a container allows at first is often 1024.
/// Where more is not to be had, the limit stays as it was.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let tls = match &arguments.tls {
        Some(file) => Some(TlsIdentity::from_pem(&std::fs::read(file)?)?),
        None => None,
    };
    let backend = Backend::start(BackendOptions {
        name: arguments.name,
        listen: arguments.listen,
        more: arguments.more,
        control: arguments.control,
        tls,
        record: arguments.record,
    })
    .await?;
    println!(
        "{}",
        json!({
            "name": backend.name(),
            "address": backend.address(),
            "more": backend.more_addresses(),
            "control": backend.control_address(),
        })
    );
    let mut terminate = signal(SignalKind::terminate())?;
    // The first process of a container has no default action for either.
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    backend.stop().await;
    Ok(())
}
