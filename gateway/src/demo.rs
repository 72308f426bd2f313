//! `gateway demo`: three backends, a gateway in front of them, and the commands to try.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use gateway_admin::{ApplyError, Control, Precondition, Write};
use gateway_core::resource::{Edit, JsonTree};
use gateway_core::snapshot::CompileOptions;
use gateway_net::files::FileWatcher;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_backend::{Backend, BackendOptions};

use crate::admin_listener::AdminListener;
use crate::cli::{AdminAddress, AdminArgs, DemoArgs, LogFormat};
use crate::process::{Process, ProcessOptions, default_workers};
use crate::run::{RunError, to_the_end};
use crate::shutdown::Signals;
use crate::store::EmbeddedStore;
use crate::supervisor::Source;
use crate::telemetry::Telemetry;

/// The first two are in the pool; the third waits to be added.
const BACKENDS: [&str; 3] = ["red", "green", "blue"];

/// Ctrl-C is pressed by somebody who watches.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The demo's certificate cannot be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// A listener's port is taken.
    #[error(
        "cannot listen on {address}: another process listens there; choose another port with {option}"
    )]
    Taken {
        /// Where.
        address: String,
        /// Which option names it.
        option: &'static str,
    },
    /// The document is refused otherwise.
    #[error("the demo's document is refused")]
    Apply(#[source] ApplyError),
}

/// Serves until Ctrl-C.
pub(crate) fn demo(arguments: &DemoArgs) -> ExitCode {
    to_the_end(Some(LogFormat::Text), "warn", async |telemetry| {
        serve(arguments, telemetry).await
    })
}

async fn serve(arguments: &DemoArgs, telemetry: &Telemetry) -> Result<(), RunError> {
    let signals = Signals::listen().map_err(RunError::system("listening to signals"))?;
    let admin = AdminListener::bind(&admin_arguments(arguments)).await?;
    let folder = TempDir::with_prefix("gateway-demo-").map_err(RunError::system("a folder"))?;
    let certificate = folder.path().join("localhost.pem");
    write_certificate(&certificate)?;
    let mut backends = Vec::new();
    for name in BACKENDS {
        let options = BackendOptions {
            name: name.to_owned(),
            ..BackendOptions::default()
        };
        let backend = Backend::start(options).await;
        backends.push(backend.map_err(RunError::system("a backend"))?);
    }

    let process = Process::start(ProcessOptions {
        source: Source::Store(EmbeddedStore::open(&folder.path().join("state"))?),
        files: FileWatcher::start().map_err(RunError::system("watching files"))?,
        admin,
        compile: CompileOptions {
            workers: default_workers().get(),
            ..CompileOptions::default()
        },
        access_log: None,
        drain_timeout: DRAIN_TIMEOUT,
        log_lines_dropped: telemetry.dropped(),
    })
    .await?;
    let addresses: Vec<_> = backends.iter().map(Backend::address).collect();
    let document = document(arguments, &certificate, &addresses[..2]);
    let tree = JsonTree::from_value(&document).expect("the demo's document nests a few levels");
    let write = Write {
        edit: Edit::Replace(tree),
        precondition: Precondition::None,
        dry_run: false,
    };
    let applied = process.control().apply(write).await;
    applied.map_err(|error| refusal(arguments, error))?;
    print!("{}", instructions(arguments, &addresses));
    process.serve(signals).await;
    for backend in backends {
        backend.stop().await;
    }
    println!("Drained. Good-bye.");
    Ok(())
}

fn admin_arguments(arguments: &DemoArgs) -> AdminArgs {
    AdminArgs {
        address: AdminAddress::Tcp(arguments.admin),
        token_file: None,
        certificate: None,
        hosts: Vec::new(),
        health: None,
    }
}

/// A certificate for this machine's loopback names, with its key, in one file.
fn write_certificate(path: &Path) -> Result<(), RunError> {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names).map_err(DemoError::from)?;
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    fs::write(path, pem).map_err(RunError::system("a certificate file"))
}

fn document(arguments: &DemoArgs, certificate: &Path, pool: &[SocketAddr]) -> Value {
    let named = |name: &str, properties: Value| json!({ "name": name, "properties": properties });
    let port = |name, port: u16| named(name, json!({ "port": port }));
    let reference = |collection: &str, name: &str| json!({ "id": format!("{collection}/{name}") });
    let listener = |name, port: &str, protocol: &str| {
        named(
            name,
            json!({
                "frontendIPConfiguration": reference("frontendIPConfigurations", "loopback"),
                "frontendPort": reference("frontendPorts", port),
                "protocol": protocol,
                "sslCertificate": (protocol == "Https").then(|| reference("sslCertificates", "localhost")),
            }),
        )
    };
    let rule = |name, listener: &str, priority: u16| {
        named(
            name,
            json!({
                "ruleType": "Basic",
                "priority": priority,
                "httpListener": reference("httpListeners", listener),
                "backendAddressPool": reference("backendAddressPools", "colours"),
                "backendHttpSettings": reference("backendHttpSettingsCollection", "plain"),
            }),
        )
    };
    let certificate_file = format!("file://{}", certificate.display());
    json!({
        "name": "demo",
        "properties": {
            "frontendIPConfigurations": [named("loopback", json!({
                "privateIPAddress": Ipv4Addr::LOCALHOST, "privateIPAllocationMethod": "Static",
            }))],
            "frontendPorts": [port("http", arguments.port), port("https", arguments.tls_port)],
            "sslCertificates": [named("localhost", json!({ "keyVaultSecretId": certificate_file }))],
            "probes": [named("health", json!({
                "protocol": "Http", "host": "127.0.0.1", "path": "/health",
                "interval": 1, "timeout": 1, "unhealthyThreshold": 2,
            }))],
            "backendAddressPools": [named("colours", json!({ "backendAddresses": members(pool) }))],
            "backendHttpSettingsCollection": [named("plain", json!({
                "protocol": "Http", "port": 80, "requestTimeout": 30,
                "probe": reference("probes", "health"),
            }))],
            "httpListeners": [listener("http", "http", "Http"), listener("https", "https", "Https")],
            "requestRoutingRules": [rule("http", "http", 10), rule("https", "https", 20)],
        },
    })
}

fn members(pool: &[SocketAddr]) -> Value {
    let member =
        |address: &SocketAddr| json!({ "ipAddress": address.ip(), "port": address.port() });
    pool.iter().map(member).collect()
}

/// What to try, in less than 15 lines.
fn instructions(arguments: &DemoArgs, backends: &[SocketAddr]) -> String {
    let DemoArgs {
        port,
        tls_port,
        admin,
    } = arguments;
    let (red, all) = (backends[0], members(backends));
    format!(
        "\
Backends red and green are in the pool, blue waits. Each says who it is:
  curl http://127.0.0.1:{port}/
  curl --insecure https://127.0.0.1:{tls_port}/
A WebSocket that stays open (or: websocat ws://127.0.0.1:{port}/):
  curl --http1.1 -N -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \\
    -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' http://127.0.0.1:{port}/
Break red for 20 seconds, and see it leave the pool and come back:
  curl -X POST 'http://{red}/_fault/health?status=500&for=20'; curl http://{admin}/v1/backendHealth
Add blue while the WebSocket stays open:
  curl -X PUT http://{admin}/v1/backendAddressPools/colours -H 'Content-Type: application/json' \\
    -d '{{\"properties\":{{\"backendAddresses\":{all}}}}}'
The whole API: http://{admin}/docs        Ctrl-C drains and ends.
"
    )
}

/// Which option moves a port that is taken.
fn refusal(arguments: &DemoArgs, error: ApplyError) -> DemoError {
    let ApplyError::Bind { address, .. } = &error else {
        return DemoError::Apply(error);
    };
    let taken: Option<SocketAddr> = address.parse().ok();
    let option = match taken.map(|address| address.port()) {
        Some(port) if port == arguments.port => "--port",
        Some(port) if port == arguments.tls_port => "--tls-port",
        _ => return DemoError::Apply(error),
    };
    DemoError::Taken {
        address: address.clone(),
        option,
    }
}
