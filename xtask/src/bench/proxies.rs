//! The three proxies, configured alike: one worker, keep-alive to the backend, the same six
//! forwarding fields, no access log.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cores::Cores;
use super::version;
use crate::children::Child;
use crate::free_port::free_port;
use crate::shell::target_directory;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gateway,
    /// The gateway with WebSocket frames that it does not follow.
    Opaque,
    Nginx,
    HaProxy,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Opaque => "opaque",
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
        }
    }
}

/// A running proxy before the backend.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) label: String,
    pub(super) child: Child,
}

impl Proxy {
    pub(super) fn start(kind: Kind, gateway: &Path, backend: u16, cores: &Cores) -> Result<Self> {
        Self::start_with(kind, None, gateway, backend, cores)
    }

    /// One whose clients speak TLS, where a file with certificate and key is given.
    pub(super) fn start_with(
        kind: Kind,
        pem: Option<&Path>,
        gateway: &Path,
        backend: u16,
        cores: &Cores,
    ) -> Result<Self> {
        let port = free_port();
        let folder = target_directory().join("bench");
        std::fs::create_dir_all(&folder)?;
        let text = match kind {
            Kind::Gateway | Kind::Opaque => GATEWAY,
            Kind::Nginx => NGINX,
            Kind::HaProxy => HAPROXY,
        };
        let frames = if kind == Kind::Opaque {
            "Opaque"
        } else {
            "Tracked"
        };
        let pem = pem.map(Path::to_string_lossy);
        let tls = |with: &str| match &pem {
            Some(pem) => with.replace("{pem}", pem),
            None => String::new(),
        };
        let text = text
            .replace("{protocol}", if pem.is_some() { "Https" } else { "Http" })
            .replace("{certificates}", &tls(GATEWAY_CERTIFICATES))
            .replace("{certificate}", &tls(GATEWAY_CERTIFICATE))
            .replace("{nginx ssl}", &tls(" ssl"))
            .replace("{nginx certificate}", &tls(NGINX_CERTIFICATE))
            .replace("{haproxy ssl}", &tls(" ssl crt {pem}"))
            .replace("{frames}", frames)
            .replace("{port}", &port.to_string())
            .replace("{backend}", &backend.to_string())
            .replace("{folder}", &folder.to_string_lossy());
        let file = folder.join(format!("{}.conf", kind.name()));
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        let (program, flag) = match kind {
            Kind::Gateway | Kind::Opaque => (gateway.to_owned(), "--version"),
            Kind::Nginx => (PathBuf::from("nginx"), "-v"),
            Kind::HaProxy => (PathBuf::from("haproxy"), "-v"),
        };
        let mut command = cores.proxy(&program);
        match kind {
            Kind::Gateway | Kind::Opaque => {
                let admin = format!("127.0.0.1:{}", free_port());
                command.args(["run", "--workers", "1", "--access-log", "off"]);
                command.args(["--log-level", "warn", "--admin", &admin, "--config"]);
            }
            Kind::Nginx => {
                command.args(["-e", "stderr", "-c"]);
            }
            Kind::HaProxy => {
                command.args(["-db", "-f"]);
            }
        }
        command.arg(&file);
        Ok(Self {
            label: label(&version(&program, flag)?),
            child: Child::start(&mut command, port)?,
        })
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.child.port)
    }
}

/// `nginx version: nginx/1.22.1` and `HAProxy version 2.6.12-1+deb12u2 2025/...` as name and number.
fn label(line: &str) -> String {
    let line = line
        .replace("nginx version: nginx/", "nginx ")
        .replace(" version", "");
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default().to_owned();
    let number = words.next().unwrap_or_default();
    let number = number.split(['-', '+']).next().unwrap_or_default();
    format!("{name} {number}")
}

const GATEWAY_CERTIFICATES: &str = r#""sslCertificates": [{ "name": "site", "properties": {
      "keyVaultSecretId": "file://{pem}" } }],"#;

const GATEWAY_CERTIFICATE: &str = r#""sslCertificate": { "id": "sslCertificates/site" },"#;

const NGINX_CERTIFICATE: &str = "ssl_certificate {pem}; ssl_certificate_key {pem};";

const GATEWAY: &str = r#"{
  "name": "benchmark",
  "properties": {
    "frontendIPConfigurations": [
      { "name": "loopback", "properties": { "privateIPAddress": "127.0.0.1" } },
    ],
    {certificates}
    "frontendPorts": [{ "name": "port", "properties": { "port": {port} } }],
    "probes": [
      { "name": "probe", "properties": { "protocol": "Http", "host": "benchmark", "path": "/health",
          "interval": 30, "timeout": 30, "unhealthyThreshold": 3 } },
    ],
    "backendAddressPools": [
      { "name": "pool", "properties": {
          "backendAddresses": [{ "ipAddress": "127.0.0.1", "port": {backend} }] } },
    ],
    "backendHttpSettingsCollection": [
      { "name": "settings", "properties": { "port": {backend}, "protocol": "Http",
          "requestTimeout": 30, "probe": { "id": "probes/probe" },
          "webSocket": { "frames": "{frames}" } } },
    ],
    "httpListeners": [
      { "name": "listener", "properties": { "protocol": "{protocol}", {certificate}
          "frontendIPConfiguration": { "id": "frontendIPConfigurations/loopback" },
          "frontendPort": { "id": "frontendPorts/port" } } },
    ],
    "requestRoutingRules": [
      { "name": "rule", "properties": { "ruleType": "Basic",
          "httpListener": { "id": "httpListeners/listener" },
          "backendAddressPool": { "id": "backendAddressPools/pool" },
          "backendHttpSettings": { "id": "backendHttpSettingsCollection/settings" } } },
    ],
  },
}
"#;

const NGINX: &str = "\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 16000; }
http {
  access_log off;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  keepalive_requests 100000000;
  map $http_upgrade $connection_field { default upgrade; '' ''; }
  upstream backend {
    server 127.0.0.1:{backend};
    keepalive 256;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:{port} backlog=4096{nginx ssl};
    {nginx certificate}
    # Bodies stream, as with the other two; by default they go by way of temporary files.
    proxy_request_buffering off;
    proxy_buffering off;
    client_body_buffer_size 64k;
    proxy_buffer_size 32k;
    proxy_buffers 8 32k;
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Connection $connection_field;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Port $server_port;
      proxy_set_header X-Original-Host $http_host;
      proxy_set_header X-Original-URL $request_uri;
      proxy_set_header X-AppGw-Trace-Id $request_id;
      proxy_read_timeout 1h;
    }
  }
}
";

const HAPROXY: &str = "\
global
  nbthread 1
  maxconn 8000
defaults
  mode http
  option http-keep-alive
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:{port} backlog 4096{haproxy ssl}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Original-Host %[req.hdr(host)]
  http-request set-header X-Original-URL %[pathq]
  http-request set-header X-AppGw-Trace-Id %[uuid()]
  default_backend back
backend back
  server one 127.0.0.1:{backend} pool-max-conn 256
";

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn labels_are_name_and_number() {
        let rows = [
            ("gateway 0.1.0", "gateway 0.1.0"),
            ("nginx version: nginx/1.22.1", "nginx 1.22.1"),
            (
                "HAProxy version 2.6.12-1+deb12u2 2025/04/23 - https://haproxy.org/",
                "HAProxy 2.6.12",
            ),
        ];
        for (line, expected) in rows {
            assert_eq!(label(line), expected);
        }
    }
}
