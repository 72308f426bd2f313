//! What the suite runs against: echo servers, and one gateway with a plain and a TLS listener before
//! two of them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::suite;
use crate::children::{Child, pause};
use crate::free_port::free_port;
use crate::shell::{self, command};

/// A way from the suite's client to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Direct,
    Plain,
    Tls,
}

impl Lane {
    pub(super) const ALL: [Self; 3] = [Self::Direct, Self::Plain, Self::Tls];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Plain => "plain",
            Self::Tls => "tls",
        }
    }
}

/// All that runs; it ends when this is dropped.
pub(super) struct Scene {
    direct: u16,
    plain: u16,
    tls: u16,
    /// What the gateway says.
    pub(super) log: PathBuf,
    gateway: Child,
    _servers: Vec<Child>,
}

impl Scene {
    pub(super) fn open(program: &Path, folder: &Path) -> Result<Self> {
        let python = suite::server_environment(folder)?;
        let server = || {
            let file = shell::root().join("conformance/autobahn/echo-server.py");
            Child::that_says_its_port(command(&python).arg(file))
        };
        // A server for each lane: they are slow, and the lanes run side by side.
        let servers = [server()?, server()?, server()?];
        let [direct, behind_plain, behind_tls] = [0, 1, 2].map(|at: usize| servers[at].port);
        let (plain, tls, admin) = (free_port(), free_port(), free_port());
        let certificate = certificate(folder)?;
        let document = document(&[
            ("plain", plain, behind_plain, None),
            ("tls", tls, behind_tls, Some(&certificate)),
        ]);
        let file = folder.join("gateway.json");
        fs::write(&file, document.to_string())?;
        let log = folder.join("gateway.log");
        let mut run = command(program);
        run.args(["run", "--access-log", "off", "--admin"])
            .arg(format!("127.0.0.1:{admin}"))
            .arg("--config")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?);
        let gateway = Child::that_ends(&mut run)?;
        let mut scene = Self {
            direct,
            plain,
            tls,
            log,
            gateway,
            _servers: servers.into(),
        };
        scene.await_listeners()?;
        Ok(scene)
    }

    pub(super) fn url(&self, lane: Lane) -> String {
        match lane {
            Lane::Direct => format!("ws://127.0.0.1:{}", self.direct),
            Lane::Plain => format!("ws://127.0.0.1:{}", self.plain),
            Lane::Tls => format!("wss://127.0.0.1:{}", self.tls),
        }
    }

    fn await_listeners(&mut self) -> Result<()> {
        let patience = Instant::now() + Duration::from_secs(20);
        for port in [self.plain, self.tls] {
            while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_err() {
                let alive = self.gateway.ended()?.is_none() && Instant::now() < patience;
                let log = || fs::read_to_string(&self.log).unwrap_or_default();
                ensure!(alive, "the gateway does not listen:\n{}", log());
                pause();
            }
        }
        Ok(())
    }
}

/// A certificate and its key in one file; the suite's client does not look at it.
fn certificate(folder: &Path) -> Result<PathBuf> {
    ensure!(
        shell::provide("openssl", &["openssl"])?,
        "openssl is needed for a certificate: apt-get install openssl"
    );
    let [key, certificate, both] =
        ["key.pem", "certificate.pem", "both.pem"].map(|name| folder.join(name));
    shell::output(
        command("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
            .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=gateway.test", "-addext"])
            .args(["subjectAltName=DNS:gateway.test", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate),
    )?;
    let text = [fs::read(&certificate)?, fs::read(&key)?].concat();
    fs::write(&both, text).context("cannot write the certificate")?;
    Ok(both)
}

/// A listener: its name, its port, its backend's, and its certificate.
type Listener<'l> = (&'l str, u16, u16, Option<&'l PathBuf>);

fn document(listeners: &[Listener<'_>]) -> Value {
    let reference = |collection: &str, name: &str| json!({ "id": format!("{collection}/{name}") });
    let each = |member: &dyn Fn(&Listener<'_>) -> Value| -> Vec<Value> {
        let members = listeners.iter();
        members
            .map(|listener| json!({ "name": listener.0, "properties": member(listener) }))
            .collect()
    };
    let certificates = listeners.iter().filter_map(|listener| {
        let file = format!("file://{}", listener.3?.display());
        Some(json!({ "name": listener.0, "properties": { "keyVaultSecretId": file } }))
    });
    json!({
        "name": "autobahn",
        "properties": {
            "frontendIPConfigurations": [
                { "name": "loopback", "properties": { "privateIPAddress": "127.0.0.1" } },
            ],
            "sslCertificates": certificates.collect::<Vec<_>>(),
            "probes": [{ "name": "probe", "properties": {
                "protocol": "Http", "host": "backend.test", "path": "/health",
                // The servers are kept busy; that is no illness.
                "interval": 60, "timeout": 60, "unhealthyThreshold": 20,
            } }],
            "frontendPorts": each(&|listener| json!({ "port": listener.1 })),
            "backendAddressPools": each(&|listener| json!({
                "backendAddresses": [{ "ipAddress": "127.0.0.1", "port": listener.2 }],
            })),
            "backendHttpSettingsCollection": [{ "name": "settings", "properties": {
                "port": 80, "protocol": "Http", "requestTimeout": 60,
                "probe": reference("probes", "probe"),
            } }],
            "httpListeners": each(&|listener| {
                let mut properties = json!({
                    "protocol": "Http",
                    "frontendIPConfiguration": reference("frontendIPConfigurations", "loopback"),
                    "frontendPort": reference("frontendPorts", listener.0),
                });
                if listener.3.is_some() {
                    properties["protocol"] = "Https".into();
                    properties["sslCertificate"] = reference("sslCertificates", listener.0);
                }
                properties
            }),
            "requestRoutingRules": each(&|listener| json!({
                "ruleType": "Basic",
                "httpListener": reference("httpListeners", listener.0),
                "backendAddressPool": reference("backendAddressPools", listener.0),
                "backendHttpSettings": reference("backendHttpSettingsCollection", "settings"),
            })),
        },
    })
}
