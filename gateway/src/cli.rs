//! The command line: what can be asked for, read into types. Deciding what it means is `run`'s part.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU16, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  gateway demo                                    See it work: three backends, a gateway, the API
  gateway check gateway.json                      Every problem of a document, in its text
  gateway run --config gateway.json               Serve a file; it is reloaded when it changes
  gateway run --state /var/lib/gateway            Serve what the API was given; it survives crashes
  gateway run --config prod.json --map-port 80=8080,443=8443
                                                  Serve a production document without privileges

Each option of `run` is also an environment variable: GATEWAY_CONFIG, GATEWAY_ADMIN ...";

const RUN_EXAMPLES: &str = "\
Examples:
  gateway run --config gateway.json --map-port 80=8080,443=8443
  gateway run --state /var/lib/gateway --health 0.0.0.0:9081
  gateway run --state ./state --admin unix:/run/gateway/admin.sock
  gateway run --state ./state --admin 0.0.0.0:9080 \\
      --admin-token-file token --admin-cert admin.pem

Signals:
  TERM, INT   drain, then end with status 0; a second one ends at once
  HUP         read the configuration and the certificates again, reopen the access log";

/// An open application gateway: HTTP and WebSocket load balancing, changed by `curl` while it runs.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a gateway.
    Run(Box<RunArgs>),
    /// Say everything that is wrong with a document, without serving it.
    Check(CheckArgs),
    /// Serve three backends of its own, to try things out.
    Demo(DemoArgs),
    /// Ask a running gateway whether it lives: status 0 if it does, else 1.
    Healthcheck(HealthcheckArgs),
}

/// `gateway run`.
#[derive(Debug, Clone, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Where the process is steered and watched.
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// How it serves.
    #[command(flatten)]
    pub(crate) serving: ServingArgs,
    /// What it tells.
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// Where the configuration comes from: a file, or the API.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
#[command(next_help_heading = "Configuration (one of)")]
pub(crate) struct SourceArgs {
    /// Serve this document; a new version is taken up when the file changes, a bad one is refused
    /// and the old one goes on. The API then only reads.
    #[arg(long, env = "GATEWAY_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Serve what the API was given last, kept in this directory with its history.
    #[arg(long, env = "GATEWAY_STATE", value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// The admin API and the health listener.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Admin API and health")]
pub(crate) struct AdminArgs {
    /// Where the admin API listens: an address, or unix:PATH. Anything but loopback and unix: needs
    /// --admin-token-file and --admin-cert.
    #[arg(
        long = "admin",
        env = "GATEWAY_ADMIN",
        value_name = "ADDR|unix:PATH",
        default_value = "127.0.0.1:9080"
    )]
    pub(crate) address: AdminAddress,

    /// Ask for the bearer token in this file.
    #[arg(
        long = "admin-token-file",
        env = "GATEWAY_ADMIN_TOKEN_FILE",
        value_name = "FILE"
    )]
    pub(crate) token_file: Option<PathBuf>,

    /// Speak TLS with the certificate and key in this file (PEM with both, or PFX without password).
    #[arg(long = "admin-cert", env = "GATEWAY_ADMIN_CERT", value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,

    /// Names that the API may be called by, besides localhost and its address.
    #[arg(
        long = "admin-host",
        env = "GATEWAY_ADMIN_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) hosts: Vec<String>,

    /// Serve /healthz and /readyz alone on another address, without a token.
    #[arg(long = "health", env = "GATEWAY_HEALTH", value_name = "ADDR")]
    pub(crate) health: Option<SocketAddr>,
}

/// How requests are served.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Serving")]
pub(crate) struct ServingArgs {
    /// Bind another port than the document's.
    #[arg(
        long,
        env = "GATEWAY_MAP_PORT",
        value_name = "80=8080,...",
        value_delimiter = ','
    )]
    pub(crate) map_port: Vec<Mapping<NonZeroU16>>,

    /// Bind another address than the document's.
    #[arg(
        long,
        env = "GATEWAY_MAP_ADDRESS",
        value_name = "A=B,...",
        value_delimiter = ','
    )]
    pub(crate) map_address: Vec<Mapping<IpAddr>>,

    /// Threads that serve requests [default: one per core].
    #[arg(long, env = "GATEWAY_WORKERS", value_name = "N", value_parser = parse_workers)]
    pub(crate) workers: Option<NonZeroUsize>,

    /// How long requests and tunnels may go on after SIGTERM, in seconds.
    #[arg(
        long,
        env = "GATEWAY_DRAIN_TIMEOUT",
        value_name = "SECONDS",
        default_value = "30",
        value_parser = parse_seconds
    )]
    pub(crate) drain_timeout: Duration,
}

/// What is told about the process and its requests.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct LogArgs {
    /// How events are written to standard error [default: text on a terminal, else json].
    #[arg(long = "log", env = "GATEWAY_LOG", value_name = "FORMAT")]
    pub(crate) format: Option<LogFormat>,

    /// Which events: error, warn, info, debug, trace, or directives like `info,gateway_proxy=debug`.
    #[arg(
        long = "log-level",
        env = "GATEWAY_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    pub(crate) level: String,

    /// One JSON record per request and tunnel: a file, `-` for standard output, or `off`.
    #[arg(
        long = "access-log",
        env = "GATEWAY_ACCESS_LOG",
        value_name = "FILE|-|off",
        default_value = "-"
    )]
    pub(crate) access: AccessLog,
}

/// `gateway check`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit status: 0 the document is good, 1 it has problems, 2 it cannot be read."
)]
pub(crate) struct CheckArgs {
    /// The document; `-` reads standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// How problems are shown.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = CheckFormat::Text)]
    pub(crate) format: CheckFormat,
}

/// `gateway demo`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// The port for plain HTTP and WebSocket.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,

    /// The port for TLS.
    #[arg(long, value_name = "PORT", default_value_t = 8443)]
    pub(crate) tls_port: u16,

    /// Where the admin API listens, on loopback.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9080")]
    pub(crate) admin: SocketAddr,
}

/// `gateway healthcheck`.
#[derive(Debug, Clone, Args)]
pub(crate) struct HealthcheckArgs {
    /// Its health listener; asked first, and needed where the admin API speaks TLS.
    #[arg(long, env = "GATEWAY_HEALTH", value_name = "ADDR")]
    pub(crate) health: Option<SocketAddr>,

    /// Its admin API.
    #[arg(
        long,
        env = "GATEWAY_ADMIN",
        value_name = "ADDR|unix:PATH",
        default_value = "127.0.0.1:9080"
    )]
    pub(crate) admin: AdminAddress,
}

/// Where the admin API listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AdminAddress {
    /// An address and port.
    Tcp(SocketAddr),
    /// A Unix socket, for its owner alone.
    Unix(PathBuf),
}

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: needs a path".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "expected ADDRESS:PORT or unix:PATH".to_owned()),
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// `A=B`: what the document says, and what is bound instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mapping<T> {
    /// The document's.
    pub(crate) from: T,
    /// Ours.
    pub(crate) to: T,
}

impl<T: FromStr> FromStr for Mapping<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = |side: &str| {
            side.parse()
                .map_err(|_| format!("`{side}` is not one; expected FROM=TO"))
        };
        let (from, to) = text.split_once('=').ok_or("expected FROM=TO")?;
        Ok(Self {
            from: parse(from)?,
            to: parse(to)?,
        })
    }
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// How `check` shows problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// Annotated in the document's text.
    Text,
    /// One JSON object, for programs.
    Json,
}

/// Where access records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to a file, which SIGHUP opens anew.
    File(PathBuf),
}

impl FromStr for AccessLog {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" => return Err("expected a file, - or off".to_owned()),
            "off" => Self::Off,
            "-" => Self::Stdout,
            path => Self::File(path.into()),
        })
    }
}

/// Each worker is a thread and a socket for each listener: more than this is a slip of the hand.
const MAX_WORKERS: usize = 1024;

fn parse_workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .ok()
        .filter(|workers: &NonZeroUsize| workers.get() <= MAX_WORKERS)
        .ok_or_else(|| format!("expected a number from 1 to {MAX_WORKERS}"))
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: u32 = text
        .parse()
        .map_err(|_| "expected a whole number of seconds".to_owned())?;
    Ok(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_takes_what_the_help_shows() {
        let cli = Cli::try_parse_from([
            "gateway",
            "run",
            "--config",
            "a.json",
            "--map-port",
            "80=8080,443=8443",
            "--map-address",
            "10.0.1.10=127.0.0.1",
            "--admin",
            "unix:/run/admin.sock",
            "--access-log",
            "off",
            "--drain-timeout",
            "5",
            "--log",
            "json",
        ])
        .unwrap();
        let Command::Run(run) = cli.command else {
            panic!("not run");
        };
        let ports: Vec<_> = run
            .serving
            .map_port
            .iter()
            .map(|map| (map.from.get(), map.to.get()))
            .collect();
        assert_eq!(ports, [(80, 8080), (443, 8443)]);
        assert_eq!(
            run.admin.address,
            AdminAddress::Unix("/run/admin.sock".into())
        );
        assert_eq!(run.log.access, AccessLog::Off);
        assert_eq!(run.serving.drain_timeout, Duration::from_secs(5));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let rows: [&[&str]; 9] = [
            &["run"],
            &["run", "--config", "a", "--state", "b"],
            &["run", "--config", "a", "--workers", "0"],
            &["run", "--config", "a", "--workers", "100000"],
            &["run", "--config", "a", "--map-port", "80=0"],
            &["run", "--config", "a", "--map-port", "80"],
            &["run", "--config", "a", "--map-port", "80=http"],
            &["run", "--config", "a", "--admin", "unix:"],
            &["run", "--config", "a", "--admin", "localhost"],
        ];
        for row in rows {
            let arguments = ["gateway"].into_iter().chain(row.iter().copied());
            assert!(Cli::try_parse_from(arguments).is_err(), "{row:?}");
        }
    }
}
