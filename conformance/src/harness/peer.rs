//! nginx and HAProxy as systems under test, each configured as someone who knows it well would: its
//! defaults, WebSocket as its manual says, and the bounds that our own gateway is given.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::front::{CLIENT_TIMEOUT, MAX_HEAD, System};
use super::process::{Log, Process};
use super::scene::Prop;
use super::{Programs, until};
use crate::scenario::Stage;

/// A peer listens nearly at once; a busy machine takes its time.
const START: Duration = Duration::from_secs(10);

/// A running peer.
#[derive(Debug)]
pub(crate) struct Peer {
    process: Process,
    _folder: Prop<tempfile::TempDir>,
}

impl Peer {
    /// Listens when this returns.
    pub(crate) async fn start(
        stage: &Stage,
        backend: SocketAddr,
        plain: SocketAddr,
        tls: SocketAddr,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().display();
        let what = format!("its folder {path}  (rm -r {path})");
        let folder = Prop::new(folder, what);
        let (template, before) = match stage.system {
            System::Nginx => (NGINX, ["-e", "stderr", "-c"].as_slice()),
            System::Haproxy => (HAPROXY, ["-db", "-f"].as_slice()),
            System::Gateway => bail!("the gateway is no peer of itself"),
        };
        let text = template
            .replace("{folder}", &folder.path().display().to_string())
            .replace("{plain}", &plain.to_string())
            .replace("{tls}", &tls.to_string())
            .replace("{backend}", &backend.to_string())
            .replace("{pem}", &stage.certificates.gateway().display().to_string())
            .replace("{seconds}", &CLIENT_TIMEOUT.as_secs().to_string())
            .replace("{head}", &MAX_HEAD.to_string());
        let file = folder.path().join("peer.conf");
        std::fs::write(&file, text)?;
        let name = stage.system.name();
        let mut process = Process::start(name, Command::new(name).args(before).arg(&file))?;
        process.describe(&format!("listens at {plain} and, for TLS, {tls}"));
        for address in [plain, tls] {
            let listens = until("it listens", START, async || {
                if let Err(ended) = process.is_running() {
                    return Ok(Some(Err(ended)));
                }
                Ok(TcpStream::connect(address).await.ok().map(|_| Ok(())))
            });
            let listens = listens.await.and_then(|listens| listens);
            listens.with_context(|| format!("{name} says:\n{}", process.log.tail(20)))?;
        }
        Ok(Self {
            process,
            _folder: folder,
        })
    }

    pub(crate) fn log(&self) -> &Log {
        &self.process.log
    }
}

/// `gateway 0.1.0`, `nginx version: nginx/1.22.1` or `HAProxy version 2.6.12-1+deb12u2 ...`, as name and number; an
/// error that names the remedy where it is not installed.
pub(crate) async fn version(system: System, programs: &Programs) -> Result<String> {
    let (program, package) = match system {
        System::Gateway => return Ok(say(&programs.gateway, "--version").await?.trim().to_owned()),
        System::Nginx => ("nginx", "nginx-light"),
        System::Haproxy => ("haproxy", "haproxy"),
    };
    let said = say(Path::new(program), "-v").await;
    let said =
        said.with_context(|| format!("no {program} here; on Debian: apt-get install {package}"))?;
    label(&said).with_context(|| format!("{program} -v says {said:?}"))
}

async fn say(program: &Path, flag: &str) -> Result<String> {
    let mut command = Command::new(program);
    let output = command.arg(flag).stdin(Stdio::null()).output().await?;
    // nginx says it to standard error.
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn label(said: &str) -> Option<String> {
    let (name, number) = match said.split_once("nginx/") {
        Some((_, number)) => ("nginx", number),
        None => ("HAProxy", said.split_once("HAProxy version ")?.1),
    };
    let end = number.find(|next: char| !next.is_ascii_digit() && next != '.');
    Some(format!("{name} {}", &number[..end.unwrap_or(number.len())]))
}

/// One process, so that killing it leaves no worker. Upgrade goes on for WebSocket alone: with the
/// `$http_upgrade` of the manual every token would become a tunnel.
const NGINX: &str = r#"
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr info;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_header_timeout {seconds}s;
  client_body_timeout {seconds}s;
  client_max_body_size 0;
  large_client_header_buffers 4 8k;
  map $http_upgrade $upgrade_field {
    default "";
    "~*(^|,)\s*websocket\s*(,|$)" websocket;
  }
  map $upgrade_field $connection_field {
    default "";
    websocket upgrade;
  }
  upstream backend {
    server {backend};
    keepalive 16;
  }
  server {
    listen {plain};
    listen {tls} ssl;
    server_name gateway.test;
    ssl_certificate {pem};
    ssl_certificate_key {pem};
    location / {
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $upgrade_field;
      proxy_set_header Connection $connection_field;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout 1h;
    }
  }
}
"#;

/// HAProxy knows WebSocket by itself.
const HAPROXY: &str = "
global
  nbthread 1
  maxconn 1000
  tune.bufsize {head}
  log stdout format raw local0
defaults
  mode http
  log global
  option httplog
  option dontlognull
  option forwardfor
  timeout connect 5s
  timeout http-request {seconds}s
  timeout http-keep-alive 60s
  timeout client {seconds}s
  timeout server 60s
  timeout tunnel 1h
frontend front
  bind {plain}
  bind {tls} ssl crt {pem}
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  default_backend back
backend back
  server one {backend}
";

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn labels_are_name_and_number() {
        let rows = [
            ("nginx version: nginx/1.22.1\n", Some("nginx 1.22.1")),
            (
                "HAProxy version 2.6.12-1+deb12u2 2025/04/23 - https://haproxy.org/\n",
                Some("HAProxy 2.6.12"),
            ),
            ("something else", None),
        ];
        for (line, expected) in rows {
            assert_eq!(label(line).as_deref(), expected);
        }
    }
}
